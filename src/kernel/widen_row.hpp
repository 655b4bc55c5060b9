// Rows of fp8 in shared memory become rows of fp16, for products that read them there.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"

namespace varlen::kernel {

/// One row of a matrix, which may be in the same place before and after: from its end on nothing is written over what
/// has not been read.
template <class Narrow, class Wide>
VARLEN_DEVICE void widen_row(const Narrow& from, const Wide& to, int row) {
  static_assert(Narrow::kElementBytes == 1 && Wide::kElementBytes == 2 && Narrow::kColumns == Wide::kColumns);
  constexpr int kChunks = Narrow::kColumns / 16;
  constexpr int kAtOnce = kChunks % 3 == 0 ? 3 : 4;  // wideners have registers for that at most
  // Unrolled, addresses of all chunks would be kept in registers.
  VARLEN_UNROLL_BY(1)
  for (int first = kChunks - kAtOnce; first >= 0; first -= kAtOnce) {
    gpu::Words4 narrow[kAtOnce];
    VARLEN_UNROLL
    for (int i = 0; i < kAtOnce; ++i) narrow[i] = gpu::load_shared(from.chunk(row, first + i));
    VARLEN_UNROLL
    for (int i = 0; i < 2 * kAtOnce; ++i) {
      gpu::Words4 wide;
      VARLEN_UNROLL
      for (int word = 0; word < 4; word += 2) {
        gpu::widen_e4m3(narrow[i / 2].word[(i % 2 * 4 + word) / 2], wide.word[word], wide.word[word + 1]);
      }
      gpu::store_shared(to.chunk(row, 2 * first + i), wide);
    }
  }
}

}  // namespace varlen::kernel
