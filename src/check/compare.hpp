// The numerics contract, row by row.
#pragma once

#include "batch/ragged_batch.hpp"
#include "reference/reference.hpp"
#include "varlen/check.hpp"

namespace varlen::check {

/// Compares `tensors.out` and `tensors.lse` with `expected`. `rounded_weights`: the backend rounds p to the
/// input's dtype.
Comparison compare(const RaggedBatch& batch, const Tensors& tensors, const reference::Result& expected,
                   bool rounded_weights = false);

}  // namespace varlen::check
