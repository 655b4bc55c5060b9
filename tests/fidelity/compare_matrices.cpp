// 8 × 8 matrices to and from registers, and the products of a warp.
#include <algorithm>
#include <limits>
#include <numeric>

#include "fidelity/comparison.hpp"
#include "fidelity/experiment_data.hpp"
#include "fidelity/float_comparison.hpp"

namespace varlen::fidelity {
namespace {

constexpr int kRows = 256;  // as MatrixCase of micro_matrices.hpp
constexpr int kImage = kRows * 16;
constexpr int kLoadIn = kImage + 32 * 4;
constexpr int kStoreIn = kLoadIn + 32 * 16;

void compare_moves(Comparison& comparison, const Extent& extent) {
  RandomBits random(1);
  const auto blocks = static_cast<int>(extent.of(1024));
  Experiment load;
  load.blocks = blocks;
  load.shared_bytes = kImage;
  load.in = random_bytes(random, std::int64_t{blocks} * kLoadIn);
  load.out.resize(static_cast<std::size_t>(blocks) * 32 * 16);
  for (std::int64_t block = 0; block < blocks; ++block) {
    for (int lane = 0; lane < 32; ++lane) {
      put(load.in, block * kLoadIn + kImage + 4 * lane, static_cast<std::uint32_t>(random.below(kRows)));
    }
  }
  load.kernel = MicroKernel::kLoadMatrices;
  comparison.expect_same("load_matrices", load, blocks);
  load.kernel = MicroKernel::kLoadMatricesTransposed;
  comparison.expect_same("load_matrices_transposed", load, blocks);

  Experiment store;
  store.kernel = MicroKernel::kStoreMatrices;
  store.blocks = blocks;
  store.shared_bytes = kImage;
  store.in = random_bytes(random, std::int64_t{blocks} * kStoreIn);
  store.out.resize(static_cast<std::size_t>(blocks) * kImage);
  for (std::int64_t block = 0; block < blocks; ++block) {
    std::uint32_t rows[kRows];
    std::iota(rows, rows + kRows, 0U);
    for (int lane = 0; lane < 32; ++lane) {
      std::swap(rows[lane], rows[lane + random.below(kRows - lane)]);
      put(store.in, block * kStoreIn + kImage + 4 * lane, rows[lane]);
    }
  }
  comparison.expect_same("store_matrices", store, blocks);
}

/// Words of a lane: eight elements of `a`, four of `b`, four unused, four floats.
constexpr int kLane = 48;

template <class Number, class Sum>
Experiment products(Dtype dtype, int blocks, const Number& number, const Sum& sum) {
  Experiment test;
  test.kernel = dtype == Dtype::kFloat16 ? MicroKernel::kMultiplyAddFp16 : MicroKernel::kMultiplyAddBf16;
  test.blocks = blocks;
  test.in.resize(static_cast<std::size_t>(blocks) * 32 * kLane);
  test.out.resize(static_cast<std::size_t>(blocks) * 32 * 16);
  for (std::int64_t lane = 0; lane < std::int64_t{blocks} * 32; ++lane) {
    put_elements(test.in, dtype, lane * kLane / 2, 12, [&](std::int64_t i) { return number(i % 24 < 8); });
    for (int i = 0; i < 4; ++i) put(test.in, lane * kLane + 32 + 4 * i, static_cast<float>(sum()));
  }
  return test;
}

/// The same without signs: then the sums are those of magnitudes.
Experiment magnitudes_of(Experiment test) {
  for (std::size_t i = 0; i < test.in.size(); ++i) {
    const std::size_t in_lane = i % kLane;
    const bool is_top = in_lane < 32 ? i % 2 == 1 : i % 4 == 3;
    if (is_top) test.in[i] &= std::byte{0x7F};
  }
  return test;
}

void compare_multiply_add(Comparison& comparison, Dtype dtype, const Extent& extent) {
  RandomBits random(2);
  const bool is_fp16 = dtype == Dtype::kFloat16;
  const std::string name = is_fp16 ? "multiply_add_16x8x16 (fp16)" : "multiply_add_16x8x16 (bf16)";
  const auto blocks = static_cast<int>(extent.of(512));
  const auto integer = [&](bool) { return static_cast<double>(random.between(-16, 16)); };
  const auto integer_sum = [&] { return static_cast<double>(random.between(-4000, 4000)); };
  comparison.expect_same(name + ", integers", products(dtype, blocks, integer, integer_sum), blocks);

  // Left elements are subnormal; the right ones bring the products back among the normal numbers.
  const double least = is_fp16 ? 0x1p-24 : 0x1p-133;
  const double factor = is_fp16 ? 1.0 : 0x1p100;
  const auto subnormal = [&](bool left) {
    return left ? least * static_cast<double>(random.between(-100, 100))
                : factor * static_cast<double>(random.between(-8, 8));
  };
  comparison.expect_same(name + ", subnormal inputs", products(dtype, blocks, subnormal, [] { return 0.0; }), blocks);
  if (!is_fp16) {
    const auto tiny = [&](bool left) {
      return left ? 0x1p-133 * static_cast<double>(random.between(-100, 100))
                  : static_cast<double>(random.between(-8, 8));
    };
    const auto tiny_sum = [&] { return 0x1p-140 * static_cast<double>(random.between(-1000, 1000)); };
    comparison.expect_same(name + ", subnormal sums", products(dtype, blocks, tiny, tiny_sum), blocks);
  }

  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  const auto special = [&](bool) {
    return random.one_in(40) ? random.pick({kInfinite, -kInfinite, std::numeric_limits<double>::quiet_NaN()})
                             : static_cast<double>(random.between(-3, 3));
  };
  const auto special_sum = [&] {
    return random.one_in(10) ? random.pick({kInfinite, -kInfinite, std::numeric_limits<double>::quiet_NaN()}) : 1.0;
  };
  const Comparison::Results specials = comparison.run(products(dtype, blocks, special, special_sum));
  comparison.add(name + ", infinities and NaN", "bits, NaNs alike", blocks,
                 different_but_for_nan(specials.real, specials.emulated));

  constexpr double kBound = 0x1p-18;  // seventeen roundings or truncations to 24 bits, on both sides
  const auto normal = [&](bool) { return random.normal(); };
  const Experiment test = products(dtype, blocks, normal, [&] { return random.normal() * 4; });
  const Comparison::Results results = comparison.run(test);
  double worst = 0;
  const std::string finding =
      beyond(results.real, results.emulated, comparison.emulated().run(magnitudes_of(test)), 0, kBound, worst);
  comparison.add(name + ", random", fmt::format("2^-18 of |c| + Σ|ab|; worst 2^{:.1f}", std::log2(worst)), blocks,
                 finding);
}

}  // namespace

void compare_matrices(Comparison& comparison, const Extent& extent) {
  compare_moves(comparison, extent);
  compare_multiply_add(comparison, Dtype::kFloat16, extent);
  compare_multiply_add(comparison, Dtype::kBFloat16, extent);
}

}  // namespace varlen::fidelity
