// The flushed sums of forward_tcgen05 (flushed_sums.hpp): its softmax warps flush them, its finishers add them.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"
#include "kernel/softmax.hpp"

namespace varlen::kernel {

/// Those of one row of the block's tile, [1 + kDimVo / 4][kRows] × 16 bytes: its state, then its sums.
template <class Shape>
class Tcgen05FlushedSums {
 public:
  VARLEN_DEVICE Tcgen05FlushedSums(float* flushed, int row)
      : chunks_(reinterpret_cast<gpu::Words4*>(flushed) + gpu::block_index() * (Shape::kFlushedBytes / 16) + row) {}

  VARLEN_DEVICE void store_state(const RowState& state) const {
    gpu::store_global(chunks_, {{gpu::float_as_word(state.reference), gpu::float_as_word(state.sum), 0, 0}});
  }
  /// The factor of the sums here beside those with this reference.
  VARLEN_DEVICE float weight(float reference, const ScoreFactors& factors) const {
    return part_weight(gpu::word_as_float(gpu::load_global(chunks_).word[0]), reference, factors.log2_per_one);
  }
  VARLEN_DEVICE float sum() const { return gpu::word_as_float(gpu::load_global(chunks_).word[1]); }

  template <int kColumns>
  VARLEN_DEVICE void store(int column, const float (&out)[kColumns]) const {
    VARLEN_UNROLL
    for (int i = 0; i < kColumns; i += 4) {
      gpu::store_global(chunk(column + i), {{gpu::float_as_word(out[i]), gpu::float_as_word(out[i + 1]),
                                             gpu::float_as_word(out[i + 2]), gpu::float_as_word(out[i + 3])}});
    }
  }
  template <int kColumns>
  VARLEN_DEVICE void add_to(float weight, int column, float (&out)[kColumns]) const {
    VARLEN_UNROLL
    for (int i = 0; i < kColumns; i += 4) {
      const gpu::Words4 words = gpu::load_global(chunk(column + i));
      VARLEN_UNROLL
      for (int word = 0; word < 4; ++word) out[i + word] += weight * gpu::word_as_float(words.word[word]);
    }
  }

 private:
  VARLEN_DEVICE gpu::Words4* chunk(int column) const { return chunks_ + (1 + column / 4) * Shape::kRows; }

  gpu::Words4* chunks_;
};

}  // namespace varlen::kernel
