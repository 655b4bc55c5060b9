// Sums in two levels. Tensor cores keep about 24 bits of an accumulator and drop what a product has below them: beside
// a large sum many small products would be lost. So after kFlushKeys keys of an item its sums move to memory of the
// block, in L2, and accumulators begin with zeros again. What is lost is at most as much as kFlushKeys products can
// lose.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/band.hpp"
#include "kernel/parameters.hpp"
#include "kernel/softmax.hpp"

namespace varlen::kernel {

/// The flushed sums of one thread, [1 + kColumnTiles][kThreads] × 16 bytes: the states of its two rows, then its
/// accumulators tile by tile. `index` is that of the band, if a thread has several.
template <int kThreads, int kColumnTiles>
class FlushedSums {
  static constexpr int kChunks = 1 + kColumnTiles;

 public:
  static constexpr int kBytes = flushed_bytes(kThreads, kColumnTiles);

  VARLEN_DEVICE FlushedSums(float* flushed, int thread, int index = 0, int bands = 1) {
    auto block = static_cast<std::uint32_t>(gpu::block_index());
    gpu::forget(block);  // or the address would be kept in registers throughout the loop over keys
    chunks_ = reinterpret_cast<gpu::Words4*>(flushed) +
              ((static_cast<int>(block) * bands + index) * (kChunks * kThreads) + thread);
  }

  /// Moves sums here, to those that are here already if there are `any`.
  VARLEN_DEVICE void flush(const ScoreFactors& factors, bool any, Band<kColumnTiles>& band) const {
    if (any) add_to(factors, band);
    gpu::store_global(chunks_, {{gpu::float_as_word(band.row[0].reference), gpu::float_as_word(band.row[0].sum),
                                 gpu::float_as_word(band.row[1].reference), gpu::float_as_word(band.row[1].sum)}});
    VARLEN_UNROLL
    for (int half = 0; half < 2; ++half) band.row[half].sum = 0.0F;
    VARLEN_UNROLL
    for (int tile = 0; tile < kColumnTiles; ++tile) {
      gpu::Words4 chunk;
      VARLEN_UNROLL
      for (int i = 0; i < 4; ++i) chunk.word[i] = gpu::float_as_word(band.out[tile][i]);
      gpu::store_global(chunks_ + (1 + tile) * kThreads, chunk);
    }
    clear<kColumnTiles>(band.out);
  }

  /// Adds what is here to sums of later keys.
  VARLEN_DEVICE void add_to(const ScoreFactors& factors, Band<kColumnTiles>& band) const {
    const gpu::Words4 state = gpu::load_global(chunks_);
    float factor[2];
    VARLEN_UNROLL
    for (int half = 0; half < 2; ++half) {
      factor[half] =
          part_weight(gpu::word_as_float(state.word[2 * half]), band.row[half].reference, factors.log2_per_one);
      band.row[half].sum += factor[half] * gpu::word_as_float(state.word[2 * half + 1]);
    }
    VARLEN_UNROLL
    for (int tile = 0; tile < kColumnTiles; ++tile) {
      const gpu::Words4 chunk = gpu::load_global(chunks_ + (1 + tile) * kThreads);
      VARLEN_UNROLL
      for (int i = 0; i < 4; ++i) band.out[tile][i] += factor[i / 2] * gpu::word_as_float(chunk.word[i]);
    }
  }

 private:
  gpu::Words4* chunks_;
};

}  // namespace varlen::kernel
