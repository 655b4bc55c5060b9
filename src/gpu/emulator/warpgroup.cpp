// The products of a warpgroup, computed for its 128 threads at once.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/number.hpp"
#include "gpu/emulator/operations.hpp"

namespace varlen::gpu::emulator {
namespace {

constexpr int kRows = 64;
constexpr int kDepth = 16;
constexpr int kMaxColumns = 256;
constexpr int kGranuleElements = 8;

/// A matrix descriptor, taken apart (PTX ISA: matrix descriptor).
struct Matrix {
  std::uint32_t start;
  std::uint32_t panel_bytes;
  std::uint32_t group_bytes;
};
Matrix decode(std::uint64_t bits) {
  const auto field = [bits](int shift) { return static_cast<std::uint32_t>(bits >> shift & 0x3FFFU) << 4; };
  return {field(0), field(16), field(32)};
}

/// Reads granules for the warps of a warpgroup, and complains in the name of one of them.
class Reader {
 public:
  Reader(Machine& machine, Operation operation, Thread* threads)
      : machine_(machine), operation_(operation), threads_(threads) {
    for (int w = 0; w < 4; ++w) {
      seen_writes_[w] = threads[w * kWarpThreads].seen_writes;
      for (int lane = 1; lane < kWarpThreads; ++lane) {
        seen_writes_[w] = std::min(seen_writes_[w], threads[w * kWarpThreads + lane].seen_writes);
      }
    }
  }

  /// Eight elements at `address` before swizzling, for warps [first, end) of the warpgroup.
  const std::byte* read(std::uint32_t address, int first, int end) {
    const std::uint32_t place = swizzled(address);
    for (int w = first; w < end; ++w) {
      const Thread& thread = threads_[w * kWarpThreads];
      const auto fault = machine_.shared().read(place, machine_.actor(thread));
      if (fault) machine_.fail(thread, operation_, *fault);
      const std::uint64_t written = machine_.shared().write_number(place);
      const int writer = machine_.shared().writer(place);
      if (seen_writes_[w] < written && machine_.thread(writer).seen_writes < written) {
        machine_.fail(thread, operation_,
                      fmt::format("reads shared byte {}, which thread {} wrote with no fence_shared_for_products "
                                  "since then",
                                  place, writer));
      }
    }
    return machine_.shared().data(place);
  }

 private:
  Machine& machine_;
  Operation operation_;
  Thread* threads_;
  std::uint64_t seen_writes_[4];
};

using Elements = std::uint16_t[kGranuleElements];

float widen(bool is_bfloat16, std::uint16_t bits) {
  return is_bfloat16 ? emulator::widen<BFloat16>(bits) : emulator::widen<Float16>(bits);
}

struct Operand {
  float a[kRows][kDepth];
  float b[kDepth][kMaxColumns];
};

/// `rows` rows along which the depth runs: place(row, k, element).
template <class Warps, class Place>
void read_along_rows(Reader& reader, std::uint64_t descriptor, int rows, const Warps& warps, const Place& place) {
  const Matrix matrix = decode(descriptor);
  for (int row = 0; row < rows; ++row) {
    const std::uint32_t row_start = matrix.start + static_cast<std::uint32_t>(row / 8) * matrix.group_bytes +
                                    static_cast<std::uint32_t>(row % 8) * 128;
    const auto [first, end] = warps(row);
    for (int k = 0; k < kDepth; k += kGranuleElements) {
      Elements elements;
      std::memcpy(elements, reader.read(row_start + static_cast<std::uint32_t>(k) * 2, first, end), kGranuleBytes);
      for (int i = 0; i < kGranuleElements; ++i) place(row, k + i, elements[i]);
    }
  }
}

void read_operands(Machine& machine, Thread* threads, const Product& product, Operand& operand) {
  const int columns = 8 * product.tiles;
  const bool bf = product.is_bfloat16;
  Reader reader(machine, product.operation, threads);
  struct Warps {
    int first;
    int end;
  };
  if (product.operation == Operation::kWarpgroupMultiply) {
    read_along_rows(
        reader, product.a_matrix, kRows,
        [](int row) {
          return Warps{row / 16, row / 16 + 1};
        },
        [&](int row, int k, std::uint16_t bits) { operand.a[row][k] = widen(bf, bits); });
    read_along_rows(
        reader, product.b_matrix, columns,
        [](int) {
          return Warps{0, 4};
        },
        [&](int column, int k, std::uint16_t bits) { operand.b[k][column] = widen(bf, bits); });
    return;
  }
  for (int t = 0; t < kWarpgroupThreads; ++t) {
    const Product& own = threads[t].products.front();
    const int row = t / kWarpThreads * 16 + t % kWarpThreads / 4;
    const int k = 2 * (t % 4);
    for (int i = 0; i < 4; ++i) {
      std::uint16_t pair[2];
      std::memcpy(pair, &own.a[i], 4);
      for (int j = 0; j < 2; ++j) operand.a[row + i % 2 * 8][k + i / 2 * 8 + j] = widen(bf, pair[j]);
    }
  }
  const Matrix matrix = decode(product.b_matrix);
  for (int k = 0; k < kDepth; ++k) {
    for (int column = 0; column < columns; column += kGranuleElements) {
      const std::uint32_t address = matrix.start + static_cast<std::uint32_t>(column / 64) * matrix.panel_bytes +
                                    static_cast<std::uint32_t>(column % 64) * 2 +
                                    static_cast<std::uint32_t>(k / 8) * matrix.group_bytes +
                                    static_cast<std::uint32_t>(k % 8) * 128;
      Elements elements;
      std::memcpy(elements, reader.read(address, 0, 4), kGranuleBytes);
      for (int i = 0; i < kGranuleElements; ++i) operand.b[k][column + i] = widen(bf, elements[i]);
    }
  }
}

/// The 64 × columns sums, gathered from the threads' registers and scattered back.
class Sums {
 public:
  Sums(Thread* threads, int tiles) : threads_(threads), tiles_(tiles) {}
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
  Sums sums(threads, product.tiles);
  if (product.add) {
    sums.load();
  } else {
    sums.clear();
  }
  sums.add_product(operand);
  sums.store();
  for (int t = 0; t < kWarpgroupThreads; ++t) threads[t].products.erase(threads[t].products.begin());
}

}  // namespace

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
