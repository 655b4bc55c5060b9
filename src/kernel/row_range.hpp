// Rows of a matrix in shared memory.
#pragma once

#include "gpu/operations.hpp"

namespace varlen::kernel {

/// Rows [begin, end) of a matrix.
struct RowRange {
  int begin;
  int end;

  VARLEN_DEVICE bool contain(int row) const {
    return static_cast<unsigned>(row - begin) < static_cast<unsigned>(end - begin);
  }
};

}  // namespace varlen::kernel
