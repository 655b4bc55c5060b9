// The memory that a block takes as a planner's team (block_team.hpp).
#pragma once

#include <cstdint>

#include "plan/integers.hpp"

namespace varlen::kernel {

/// Sizes in bytes.
struct TeamMemory {
  static constexpr std::int32_t kMaxWarps = 16;  // twice as many would have too few registers each
  static constexpr std::int32_t kSlotBytes = 32;
  static constexpr std::int32_t kSlotsBytes = 2 * kMaxWarps * kSlotBytes;
  static constexpr std::int32_t kStageBytes = 1024;  // of a warp: 32 runs or 8 work items

  VARLEN_HOST_DEVICE static constexpr std::int32_t table(std::int32_t warps, std::int32_t classes) {
    // A row of counters for each warp, one more of sums.
    return greatest(warps * kStageBytes, (warps + 1) * classes * 4);
  }
  VARLEN_HOST_DEVICE static constexpr std::int32_t before_arrays(std::int32_t warps, std::int32_t classes) {
    return kSlotsBytes + (table(warps, classes) + 15) / 16 * 16;
  }
  /// Of an array, in shared or global memory.
  VARLEN_HOST_DEVICE static constexpr std::int64_t array(std::int64_t bytes) {
    return (bytes + 15) & ~std::int64_t{15};
  }
};

}  // namespace varlen::kernel
