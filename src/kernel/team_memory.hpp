// The memory that a block takes as a planner's team or as a part of it (block_team.hpp).
#pragma once

#include <cstdint>

#include "plan/integers.hpp"

namespace varlen::kernel {

/// Where a team has its arrays.
enum class Arrays : std::uint8_t {
  kShared,   // of one block
  kGlobal,   // memory; the team is one block
  kCluster,  // the shared memory of all blocks of a cluster
};

/// Sizes in bytes, of one block.
struct TeamMemory {
  static constexpr std::int32_t kMaxWarps = 16;  // twice as many would have too few registers each
  // More than the 8 blocks that every GPU with clusters takes: it is asked whether it takes them.
  static constexpr std::int32_t kClusterBlocks = 16;
  static constexpr std::int32_t kClusterWarps = 8;  // of each
  static constexpr std::int32_t kSlotBytes = 32;
  static constexpr std::int32_t kWarpSlotsBytes = 2 * kMaxWarps * kSlotBytes;
  static constexpr std::int32_t kSlotsBytes = kWarpSlotsBytes + 3 * kSlotBytes;  // the last holds a barrier
  static constexpr std::int32_t kStageBytes = 1024;                              // of a warp: 32 runs or 8 work items

  VARLEN_HOST_DEVICE static constexpr std::int32_t blocks(Arrays arrays) {
    return arrays == Arrays::kCluster ? kClusterBlocks : 1;
  }
  VARLEN_HOST_DEVICE static constexpr std::int32_t table(std::int32_t warps, std::int32_t classes) {
    // A row of counters for each warp, one more of sums.
    return greatest(warps * kStageBytes, (warps + 1) * classes * 4);
  }
  VARLEN_HOST_DEVICE static constexpr std::int32_t before_arrays(Arrays arrays, std::int32_t warps,
                                                                 std::int32_t classes) {
    const std::int32_t block_sums = arrays == Arrays::kCluster ? classes * 4 : 0;
    return kSlotsBytes + (table(warps, classes) + block_sums + 15) / 16 * 16;
  }
  /// Of an array of so many bytes in all.
  VARLEN_HOST_DEVICE static constexpr std::int64_t array(Arrays arrays, std::int64_t bytes) {
    if (arrays != Arrays::kCluster) return (bytes + 15) & ~std::int64_t{15};
    // Elements of 8 bytes at most, one of each thread in turn.
    constexpr std::int64_t kTurn = kClusterWarps * 32 * 8;
    return (bytes + kTurn * kClusterBlocks - 1) / (kTurn * kClusterBlocks) * kTurn;
  }
};

}  // namespace varlen::kernel
