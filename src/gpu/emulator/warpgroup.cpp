// The products of a warpgroup, computed for its 128 threads at once.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/matrix_places.hpp"
#include "gpu/emulator/number.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/registers.hpp"

namespace varlen::gpu::emulator {
namespace {

constexpr int kRows = 64;
constexpr int kDepth = 16;
constexpr int kMaxColumns = 256;
constexpr int kGranuleElements = 8;

using Elements = std::uint16_t[kGranuleElements];

float widen(bool is_bfloat16, std::uint16_t bits) {
  return is_bfloat16 ? emulator::widen<BFloat16>(bits) : emulator::widen<Float16>(bits);
}

struct Operand {
  float a[kRows][kDepth];
  float b[kDepth][kMaxColumns];
};

/// Calls visit(row, k, granule) for each granule of `rows` rows along which the depth runs.
template <class Visit>
void visit_along_rows(std::uint64_t descriptor, int rows, const Visit& visit) {
  MatrixPlaces::decode(descriptor).visit_along_rows(rows, [&](int row, int half, std::uint32_t granule) {
    visit(row, half * kGranuleElements, granule);
  });
}

/// The same for rows across which the depth runs: visit(k, column, granule).
template <class Visit>
void visit_across_rows(std::uint64_t descriptor, int columns, const Visit& visit) {
  MatrixPlaces::decode(descriptor).visit_across_rows(kDepth, 2 * columns, [&](int k, int place, std::uint32_t granule) {
    visit(k, place * kGranuleElements, granule);
  });
}

/// Calls visit(granule) for what each warp reads of shared memory. Which warp reads which rows of `a` is not said: all
/// read all. (PTX ISA: wgmma.mma_async.)
template <class Visit>
void visit_read(const Product& product, const Visit& visit) {
  const auto visit_granule = [&](int /*row*/, int /*column*/, std::uint32_t granule) { visit(granule); };
  if (product.operation == Operation::kWarpgroupMultiply) {
    visit_along_rows(product.a_matrix, kRows, visit_granule);
    visit_along_rows(product.b_matrix, 8 * product.tiles, visit_granule);
  } else {
    visit_across_rows(product.b_matrix, 8 * product.tiles, visit_granule);
  }
}

void read_fragments(Thread* threads, bool is_bfloat16, Operand& operand) {
  for (int t = 0; t < kWarpgroupThreads; ++t) {
    const Fragment& own = *threads[t].products.front().fragment;
    const int row = t / kWarpThreads * 16 + t % kWarpThreads / 4;
    const int k = 2 * (t % 4);
    for (int i = 0; i < 4; ++i) {
      std::uint16_t pair[2];
      std::memcpy(pair, &own[i], 4);
      for (int j = 0; j < 2; ++j) operand.a[row + i % 2 * 8][k + i / 2 * 8 + j] = widen(is_bfloat16, pair[j]);
    }
  }
}

void read_operands(Machine& machine, Thread* threads, const Product& product, Operand& operand) {
  const int columns = 8 * product.tiles;
  const auto read = [&](std::uint32_t granule, const auto& place) {
    Elements elements;
    std::memcpy(elements, machine.shared().data(granule), kGranuleBytes);
    for (int i = 0; i < kGranuleElements; ++i) place(i) = widen(product.is_bfloat16, elements[i]);
  };
  if (product.operation == Operation::kWarpgroupMultiply) {
    visit_along_rows(product.a_matrix, kRows, [&](int row, int k, std::uint32_t granule) {
      read(granule, [&](int i) -> float& { return operand.a[row][k + i]; });
    });
    visit_along_rows(product.b_matrix, columns, [&](int column, int k, std::uint32_t granule) {
      read(granule, [&](int i) -> float& { return operand.b[k + i][column]; });
    });
    return;
  }
  read_fragments(threads, product.is_bfloat16, operand);
  visit_across_rows(product.b_matrix, columns, [&](int k, int column, std::uint32_t granule) {
    read(granule, [&](int i) -> float& { return operand.b[k][column + i]; });
  });
}

/// The 64 × columns sums, gathered from the threads' registers and scattered back.
class GatheredSums {
 public:
  GatheredSums(Thread* threads, int tiles) : threads_(threads), tiles_(tiles) {}
  void load() {
    visit([](float& here, const float& there) { here = there; });
  }
  void store() {
    visit([](const float& here, float& there) { there = here; });
  }
  void clear() { std::fill(&value_[0][0], &value_[0][0] + kRows * kMaxColumns, 0.0F); }

  /// Products are exact in fp32, sums are rounded to it one by one by rising k.
  void add_product(const Operand& operand) {
    const int columns = 8 * tiles_;
    for (int row = 0; row < kRows; ++row) {
      for (int k = 0; k < kDepth; ++k) {
        const float a = operand.a[row][k];
        for (int column = 0; column < columns; ++column) value_[row][column] += a * operand.b[k][column];
      }
    }
  }

 private:
  template <class Visit>
  void visit(const Visit& each) {
    for (int t = 0; t < kWarpgroupThreads; ++t) {
      float* const sum = threads_[t].products.front().sum;
      const int row = t / kWarpThreads * 16 + t % kWarpThreads / 4;
      for (int i = 0; i < 4 * tiles_; ++i) {
        each(value_[row + i % 4 / 2 * 8][i / 4 * 8 + 2 * (t % 4) + i % 2], sum[i]);
      }
    }
  }

  Thread* threads_;
  int tiles_;
  float value_[kRows][kMaxColumns];
};

bool is_same(const Product& a, const Product& b) {
  return a.operation == b.operation && a.is_bfloat16 == b.is_bfloat16 && a.add == b.add && a.tiles == b.tiles &&
         a.a_matrix == b.a_matrix && a.b_matrix == b.b_matrix && a.group == b.group;
}

/// The oldest product of every thread, which must be the same for all.
void execute_product(Machine& machine, Thread* threads) {
  const Product product = threads[0].products.front();
  for (int t = 1; t < kWarpgroupThreads; ++t) {
    if (threads[t].products.empty() || !is_same(threads[t].products.front(), product)) {
      machine.fail(threads[t], product.operation, "is not the product that the warpgroup's first thread asks for");
    }
  }
  Operand operand;
  read_operands(machine, threads, product, operand);
  GatheredSums sums(threads, product.tiles);
  if (product.add) {
    sums.load();
  } else {
    sums.clear();
  }
  sums.add_product(operand);
  sums.store();
  for (int w = 0; w < 4; ++w) {
    const Actor actor = machine.actor(threads[w * kWarpThreads]);
    visit_read(product, [&](std::uint32_t granule) { machine.shared().end_product(granule, actor); });
  }
  for (int t = 0; t < kWarpgroupThreads; ++t) {
    const Product& own = threads[t].products.front();
    own.sums->give_back_sums();
    if (own.fragment != nullptr) own.fragment->give_back_operand();
    threads[t].products.erase(threads[t].products.begin());
  }
}

}  // namespace

void begin_reading(Machine& machine, const Thread& thread, const Product& product) {
  visit_read(product, [&](std::uint32_t granule) {
    const auto fault = machine.shared().begin_product(granule, machine.actor(thread));
    if (fault) machine.fail(thread, product.operation, *fault);
    machine.check_fenced(thread, product.operation, granule);
  });
}

void execute_products(Machine& machine, Thread* threads, std::int64_t group) {
  while (!threads[0].products.empty() && threads[0].products.front().group < group) execute_product(machine, threads);
  for (int t = 1; t < kWarpgroupThreads; ++t) {
    const auto& products = threads[t].products;
    if (!products.empty() && products.front().group < group) {
      machine.fail(threads[t], products.front().operation,
                   "is not a product that the warpgroup's first thread asks for");
    }
  }
}

}  // namespace varlen::gpu::emulator
