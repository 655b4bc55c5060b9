// Micro-kernels of one warp: 8 × 8 matrices and their products.
#pragma once

#include "fidelity/micro_memory.hpp"

namespace varlen::fidelity {

using Fragment = std::uint32_t[4];  // of a warp's matrices, in one lane

/// in: for each block an image of 256 rows of sixteen bytes, then 32 words, each lane's row. out: four words a lane.
struct MatrixCase {
  static constexpr int kRows = 256;
  static constexpr int kImage = kRows * 16;
  static constexpr int kIn = kImage + 32 * 4;
  static constexpr int kOut = 32 * 16;
};

template <bool kTransposed>
struct LoadMatricesOf {
  VARLEN_DEVICE static void run(const Parameters& p) {
    const std::int64_t in = std::int64_t{gpu::block_index()} * MatrixCase::kIn;
    fill_shared(p, in, MatrixCase::kImage);
    const int lane = gpu::lane_index();
    const gpu::SharedAddress row = shared_at(load_in<std::uint32_t>(p, in + MatrixCase::kImage + 4 * lane) * 16);
    Fragment matrix;
    if constexpr (kTransposed) {
      gpu::load_matrices_transposed(matrix, row);
    } else {
      gpu::load_matrices(matrix, row);
    }
    const std::int64_t out = std::int64_t{gpu::block_index()} * MatrixCase::kOut;
    store_out(p, out + 16 * lane, gpu::Words4{{matrix[0], matrix[1], matrix[2], matrix[3]}});
  }
};
using LoadMatrices = LoadMatricesOf<false>;
using LoadMatricesTransposed = LoadMatricesOf<true>;

/// in: as MatrixCase, then four words a lane to store. out: the image after that.
struct StoreMatrices {
  static constexpr int kIn = MatrixCase::kIn + 32 * 16;

  VARLEN_DEVICE static void run(const Parameters& p) {
    const std::int64_t in = std::int64_t{gpu::block_index()} * kIn;
    fill_shared(p, in, MatrixCase::kImage);
    const int lane = gpu::lane_index();
    const gpu::SharedAddress row = shared_at(load_in<std::uint32_t>(p, in + MatrixCase::kImage + 4 * lane) * 16);
    const auto words = load_in<gpu::Words4>(p, in + MatrixCase::kIn + 16 * lane);
    const Fragment matrix = {words.word[0], words.word[1], words.word[2], words.word[3]};
    gpu::store_matrices(row, matrix);
    dump_shared(p, 0, MatrixCase::kImage, std::int64_t{gpu::block_index()} * MatrixCase::kImage);
  }
};

/// in: for each block and lane twelve words: `a`, two of `b`, two unused, `sum`. out: four floats a lane.
template <class Element>
struct MultiplyAdd {
  VARLEN_DEVICE static void run(const Parameters& p) {
    const std::int64_t thread = std::int64_t{gpu::block_index()} * 32 + gpu::lane_index();
    const auto left = load_in<gpu::Words4>(p, thread * 48);
    const auto right = load_in<gpu::Words4>(p, thread * 48 + 16);
    const auto sums = load_in<gpu::Words4>(p, thread * 48 + 32);
    const Fragment a = {left.word[0], left.word[1], left.word[2], left.word[3]};
    float sum[4] = {gpu::word_as_float(sums.word[0]), gpu::word_as_float(sums.word[1]),
                    gpu::word_as_float(sums.word[2]), gpu::word_as_float(sums.word[3])};
    gpu::multiply_add_16x8x16<Element>(sum, a, right.word[0], right.word[1]);
    store_out(p, thread * 16,
              gpu::Words4{{gpu::float_as_word(sum[0]), gpu::float_as_word(sum[1]), gpu::float_as_word(sum[2]),
                           gpu::float_as_word(sum[3])}});
  }
};
using MultiplyAddFp16 = MultiplyAdd<gpu::Float16>;
using MultiplyAddBf16 = MultiplyAdd<gpu::BFloat16>;

}  // namespace varlen::fidelity
