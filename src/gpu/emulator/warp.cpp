// The operations of a warp, computed for its 32 lanes at once.
#include <fmt/format.h>

#include <cstring>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/number.hpp"
#include "gpu/emulator/operations.hpp"

namespace varlen::gpu::emulator {
namespace {

constexpr int kMatrixRows = 8;
constexpr int kRowWords = 4;

/// Matrix i, row r, element c, of the rows whose addresses lanes 8 i + r gave. (PTX ISA: ldmatrix, stmatrix, .m8n8.x4:
/// which lane gives which address, and that rows are 16-byte aligned.)
struct Matrices {
  std::uint16_t element[4][kMatrixRows][2 * kRowWords];
};

void read_rows(Machine& machine, Operation operation, const Thread* lanes, Matrices& matrices) {
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    const Thread& thread = lanes[lane];
    const std::uint32_t address = thread.operands.row.value;
    if (address % kGranuleBytes != 0) {
      machine.fail(thread, operation,
                   fmt::format("has a shared address {} bytes past a multiple of 16", address % kGranuleBytes));
    }
    const auto fault = machine.shared().read(address, machine.actor(thread));
    if (fault) machine.fail(thread, operation, *fault);
    std::memcpy(matrices.element[lane / kMatrixRows][lane % kMatrixRows], machine.shared().data(address),
                kGranuleBytes);
  }
}

// PTX ISA: ldmatrix, the fragment of .m8n8: lane l has elements 2 (l % 4) and the next of row l / 4.
void load_matrices(Thread* lanes, const Matrices& matrices) {
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    for (int i = 0; i < 4; ++i) {
      std::memcpy(&lanes[lane].operands.matrix[i], &matrices.element[i][lane / 4][2 * (lane % 4)], 4);
    }
  }
}

// PTX ISA: ldmatrix, .trans: each matrix is loaded in column-major order.
void load_matrices_transposed(Thread* lanes, const Matrices& matrices) {
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    const int column = lane / 4;
    const int row = 2 * (lane % 4);
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t low = matrices.element[i][row][column];
      const std::uint32_t high = matrices.element[i][row + 1][column];
      lanes[lane].operands.matrix[i] = low | high << 16;
    }
  }
}

// PTX ISA: stmatrix: the fragments of ldmatrix, the other way.
void store_matrices(Machine& machine, const Thread* lanes) {
  Matrices matrices;
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    for (int i = 0; i < 4; ++i) {
      std::memcpy(&matrices.element[i][lane / 4][2 * (lane % 4)], &lanes[lane].operands.stored[i], 4);
    }
  }
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    Words4 row;
    std::memcpy(&row, matrices.element[lane / kMatrixRows][lane % kMatrixRows], kGranuleBytes);
    machine.store_shared_by(lanes[lane], Operation::kStoreMatrices, lanes[lane].operands.row, row);
  }
}

// PTX ISA: vote.sync, .ballot; popc.
void count_votes(Thread* lanes) {
  int votes = 0;
  for (int lane = 0; lane < kWarpThreads; ++lane) votes += lanes[lane].operands.vote ? 1 : 0;
  for (int lane = 0; lane < kWarpThreads; ++lane) lanes[lane].operands.votes = votes;
}

// PTX ISA: shfl.sync, .idx from lane 0.
void broadcast(Thread* lanes) {
  for (int lane = 1; lane < kWarpThreads; ++lane) lanes[lane].operands.wide = lanes[0].operands.wide;
}

constexpr int kRows = 16;
constexpr int kColumns = 8;
constexpr int kDepth = 16;

/// Products are exact in fp32, sums are rounded to it one by one by rising k. (PTX ISA: mma, floating point with .f32
/// accumulation: at least single precision, in an order that is not specified. H100 differs by up to 2^-21 of the sum
/// of magnitudes: docs/emulator-fidelity.md.)
void multiply_add(const float (&a)[kRows][kDepth], const float (&b)[kDepth][kColumns], float (&sum)[kRows][kColumns]) {
  for (int row = 0; row < kRows; ++row) {
    float total[kColumns];
    for (int column = 0; column < kColumns; ++column) total[column] = sum[row][column];
    for (int k = 0; k < kDepth; ++k) {
      for (int column = 0; column < kColumns; ++column) total[column] += a[row][k] * b[k][column];
    }
    for (int column = 0; column < kColumns; ++column) sum[row][column] = total[column];
  }
}

// PTX ISA: mma.m16n8k16, matrix fragments with floating point type.
template <class Element>
void multiply_add_lanes(Thread* lanes) {
  std::uint16_t a_bits[kRows][kDepth];
  std::uint16_t b_bits[kColumns][kDepth];
  float sum[kRows][kColumns];
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    const Operands& operands = lanes[lane].operands;
    const int row = lane / 4;
    const int column = 2 * (lane % 4);
    for (int i = 0; i < 4; ++i) std::memcpy(&a_bits[row + i % 2 * 8][column + i / 2 * 8], &operands.a[i], 4);
    for (int i = 0; i < 2; ++i) std::memcpy(&b_bits[row][column + i * 8], &operands.b[i], 4);
    for (int i = 0; i < 4; ++i) sum[row + i / 2 * 8][column + i % 2] = operands.sum[i];
  }
  float a[kRows][kDepth];
  float b[kDepth][kColumns];
  for (int row = 0; row < kRows; ++row) {
    for (int k = 0; k < kDepth; ++k) a[row][k] = widen<Element>(a_bits[row][k]);
  }
  for (int column = 0; column < kColumns; ++column) {
    for (int k = 0; k < kDepth; ++k) b[k][column] = widen<Element>(b_bits[column][k]);
  }
  multiply_add(a, b, sum);
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    for (int i = 0; i < 4; ++i) {
      lanes[lane].operands.sum[i] = sum[lane / 4 + i / 2 * 8][2 * (lane % 4) + i % 2];
    }
  }
}

// PTX ISA: shfl.sync, .bfly.
void shuffle(Machine& machine, Thread* lanes) {
  float values[kWarpThreads];
  for (int lane = 0; lane < kWarpThreads; ++lane) values[lane] = lanes[lane].operands.value;
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    Operands& operands = lanes[lane].operands;
    if (operands.lane_mask < 0 || operands.lane_mask >= kWarpThreads) {
      machine.fail(lanes[lane], Operation::kShuffleXor, fmt::format("has the lane mask {}", operands.lane_mask));
    }
    operands.value = values[lane ^ operands.lane_mask];
  }
}

// PTX ISA: shfl.sync, .idx; .up is made of it.
void shuffle_words(Machine& machine, Thread* lanes) {
  std::uint32_t values[kWarpThreads];
  for (int lane = 0; lane < kWarpThreads; ++lane) values[lane] = lanes[lane].operands.stored[0];
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    Operands& operands = lanes[lane].operands;
    if (operands.lane_mask < 0 || operands.lane_mask >= kWarpThreads) {
      machine.fail(lanes[lane], Operation::kShuffle, fmt::format("asks lane {}", operands.lane_mask));
    }
    operands.stored[0] = values[operands.lane_mask];
  }
}

// PTX ISA: match.sync, .any.
void match_any(Thread* lanes) {
  std::uint32_t values[kWarpThreads];
  for (int lane = 0; lane < kWarpThreads; ++lane) values[lane] = lanes[lane].operands.stored[0];
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    std::uint32_t same = 0;
    for (int other = 0; other < kWarpThreads; ++other) same |= (values[other] == values[lane] ? 1U : 0U) << other;
    lanes[lane].operands.stored[0] = same;
  }
}

}  // namespace

void execute_warp(Machine& machine, Operation operation, Thread* lanes) {
  Matrices matrices;
  switch (operation) {
    case Operation::kLoadMatrices:
      read_rows(machine, operation, lanes, matrices);
      load_matrices(lanes, matrices);
      break;
    case Operation::kLoadMatricesTransposed:
      read_rows(machine, operation, lanes, matrices);
      load_matrices_transposed(lanes, matrices);
      break;
    case Operation::kMultiplyAddFloat16:
      multiply_add_lanes<Float16>(lanes);
      break;
    case Operation::kMultiplyAddBFloat16:
      multiply_add_lanes<BFloat16>(lanes);
      break;
    case Operation::kStoreMatrices:
      store_matrices(machine, lanes);
      break;
    case Operation::kShuffleXor:
      shuffle(machine, lanes);
      break;
    case Operation::kCountVotes:
      count_votes(lanes);
      break;
    case Operation::kBroadcast:
      broadcast(lanes);
      break;
    case Operation::kShuffle:
      shuffle_words(machine, lanes);
      break;
    case Operation::kMatchAny:
      match_any(lanes);
      break;
    case Operation::kAllocateTensorMemory:
      machine.allocate_tensor_memory(lanes);
      break;
    case Operation::kGiveUpTensorAllocation:
      machine.give_up_tensor_allocation(lanes);
      break;
    case Operation::kFreeTensorMemory:
      machine.free_tensor_memory(lanes);
      break;
    case Operation::kLoadTensor:
      machine.load_tensor(lanes);
      break;
    case Operation::kWaitTensorLoads:
      machine.wait_tensor_loads(lanes);
      break;
    case Operation::kStoreTensor:
      machine.store_tensor(lanes);
      break;
    case Operation::kWaitTensorStores:
      machine.wait_tensor_stores(lanes);
      break;
    default:
      break;
  }
}

}  // namespace varlen::gpu::emulator
