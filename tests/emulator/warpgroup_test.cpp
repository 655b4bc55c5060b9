// Products of a warpgroup against the same sums in double, and what goes wrong around them.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "emulator/small_kernel.hpp"

namespace varlen::gpu::emulator::test {
namespace {

constexpr int kRows = 64;
constexpr int kColumns = 64;
constexpr int kDepth = 64;
constexpr std::uint32_t kMatrixBytes = 64 * 128;

struct Matrices {
  float a[kRows][kDepth];
  float b[kDepth][kColumns];
};

Matrices random_matrices() {
  std::mt19937 random(3);
  Matrices matrices;
  const auto number = [&] { return static_cast<float>(static_cast<int>(random() % 17) - 8); };
  for (auto& row : matrices.a) {
    for (float& element : row) element = number();
  }
  for (auto& row : matrices.b) {
    for (float& element : row) element = number();
  }
  return matrices;
}

/// Element (row, column) of a matrix of 64 columns at `start`, swizzled, by one thread a chunk.
template <class Element, class At>
void write_matrix(SharedAddress start, const At& at) {
  for (int chunk = thread_index(); chunk < 64 * 8; chunk += kWarpgroupThreads) {
    const int row = chunk / 8;
    Words4 words;
    for (int i = 0; i < 4; ++i) {
      words.word[i] = pack<Element>(at(row, chunk % 8 * 8 + 2 * i), at(row, chunk % 8 * 8 + 2 * i + 1));
    }
    store_shared(start + swizzled(static_cast<std::uint32_t>(chunk) * 16), words);
  }
}

struct Options {
  bool fence_shared = true;
  bool fence = true;
  bool wait = true;
};

/// a · b, with `a` in shared memory and `b` as its transpose, or with `a` in registers and `b` as it is.
template <class Element>
std::string multiply(const Matrices& matrices, bool a_in_registers, std::vector<float>& result, Options options = {}) {
  result.assign(kRows * kColumns, 0.0F);
  return fault_of({1, kWarpgroupThreads, 2 * kMatrixBytes}, [&] {
    const SharedAddress a_start = shared_memory();
    const SharedAddress b_start = shared_memory() + kMatrixBytes;
    write_matrix<Element>(a_start, [&](int row, int k) { return matrices.a[row][k]; });
    write_matrix<Element>(b_start, [&](int row, int column) {
      return a_in_registers ? matrices.b[row][column] : matrices.b[column][row];
    });
    if (options.fence_shared) fence_shared_for_products();
    sync_block();
    Sums<kColumns / 8> sum;
    for (int tile = 0; tile < kColumns / 8; ++tile) {
      for (float& element : sum[tile]) element = 1.0F;
    }
    const int row = warp_index() * 16 + lane_index() / 4;
    const int pair = 2 * (lane_index() % 4);
    Fragment a[kDepth / 16];
    for (int depth = 0; depth < kDepth; depth += 16) {
      for (int i = 0; i < 4; ++i) {
        const float* const from = &matrices.a[row + i % 2 * 8][depth + i / 2 * 8 + pair];
        a[depth / 16][i] = pack<Element>(from[0], from[1]);
      }
    }
    const MatrixDescriptor a_matrix = matrix_descriptor(a_start, kMatrixBytes, 1024);
    const MatrixDescriptor b_matrix = matrix_descriptor(b_start, kMatrixBytes, 1024);
    if (options.fence) warpgroup_fence();
    for (int depth = 0; depth < kDepth; depth += 16) {
      const auto along = static_cast<std::uint32_t>(2 * depth);
      if (a_in_registers) {
        warpgroup_multiply_add<Element, kColumns / 8>(sum, a[depth / 16], b_matrix + 64 * along);
      } else {
        warpgroup_multiply<Element, kColumns / 8>(sum, a_matrix + along, b_matrix + along, depth > 0);
      }
    }
    warpgroup_commit();
    if (options.wait) warpgroup_wait<0>();
    for (int tile = 0; tile < kColumns / 8; ++tile) {
      for (int i = 0; i < 4; ++i) {
        result[static_cast<std::size_t>((row + i / 2 * 8) * kColumns + tile * 8 + pair + i % 2)] = sum[tile][i];
      }
    }
  });
}

template <class Element>
void expect_products() {
  const Matrices matrices = random_matrices();
  for (const bool a_in_registers : {false, true}) {
    std::vector<float> result;
    ASSERT_EQ(multiply<Element>(matrices, a_in_registers, result), "");
    for (int row = 0; row < kRows; ++row) {
      for (int column = 0; column < kColumns; ++column) {
        double expected = a_in_registers ? 1 : 0;  // from registers, products are added to what is there
        for (int k = 0; k < kDepth; ++k) expected += static_cast<double>(matrices.a[row][k]) * matrices.b[k][column];
        ASSERT_EQ(result[static_cast<std::size_t>(row * kColumns + column)], expected) << row << ", " << column;
      }
    }
  }
}

TEST(Warpgroup, MultipliesInFp16) { expect_products<Float16>(); }
TEST(Warpgroup, MultipliesInBf16) { expect_products<BFloat16>(); }

TEST(Warpgroup, ProductsNeedAFence) {
  std::vector<float> result;
  const std::string fault = multiply<Float16>(random_matrices(), true, result, {.fence = false});
  EXPECT_NE(fault.find("warpgroup_multiply_add comes without a warpgroup_fence since its registers were touched"),
            std::string::npos)
      << fault;
}

TEST(Warpgroup, WhatTheyReadNeedsAFence) {
  std::vector<float> result;
  const std::string fault = multiply<Float16>(random_matrices(), false, result, {.fence_shared = false});
  EXPECT_NE(fault.find("with no fence_shared_for_products since then"), std::string::npos) << fault;
}

TEST(Warpgroup, SumsOfProductsInFlightMustNotBeTouched) {
  std::vector<float> result;
  for (const bool a_in_registers : {false, true}) {
    const std::string fault = multiply<Float16>(random_matrices(), a_in_registers, result, {.wait = false});
    EXPECT_NE(fault.find("is in flight while its sums are touched: it was not waited for"), std::string::npos) << fault;
  }
}

TEST(Warpgroup, RegistersAreThoseOfTheLaunch) {
  const auto registers = [](auto give, auto take) {
    return fault_of({1, 3 * kWarpgroupThreads, 0}, [=] { thread_index() < kWarpgroupThreads ? give() : take(); });
  };
  EXPECT_EQ(registers([] { give_back_registers<40>(); }, [] { take_registers<232>(); }), "");
  EXPECT_EQ(registers([] { give_back_registers<48>(); }, [] { take_registers<232>(); }),
            "block 0: its warpgroups have 65536 registers together, of which there are 64512");
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
