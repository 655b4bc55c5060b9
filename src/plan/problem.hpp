// What decides a plan besides the requests' lengths: target, heads and mask, as plain data that a kernel gets by value.
#pragma once

#include <cstdint>

#include "batch/ragged_batch.hpp"
#include "plan/select_tiles.hpp"
#include "varlen/plan.hpp"

namespace varlen {

/// Lengths up to this many tokens may be planned in 32 bits, if costs allow it.
inline constexpr std::int64_t kNarrowTokens = std::int64_t{1} << 29;

struct PlanProblem {
  TileSelector selector;
  Mask mask;
  Cost block_cost[PlanTarget::kMaxTileShapes];
  Cost most_block_cost;  // of all shapes
  Cost item_cost;
  Cost split_cost;
  std::int64_t section_keys;        // keys of one head that half of L2 holds
  std::int64_t whole_section_keys;  // and of all heads
  std::int32_t key_block;
  std::int32_t kv_heads;
  std::int32_t group;
  std::int32_t workers;
  std::int32_t cost_classes;  // every tile's cost_class() is below this
  bool batch_invariant;

  VARLEN_HOST_DEVICE Cost part_cost() const { return item_cost + split_cost; }  // what a part costs besides its blocks
};

/// What tiles of a request follow from besides its lengths, in their type.
template <class Int>
struct TileRules {
  MaskOf<Int> mask;
  std::int32_t key_block;
  std::int32_t kv_heads;
  std::int32_t group;
};
template <class Int>
VARLEN_HOST_DEVICE TileRules<Int> tile_rules(const PlanProblem& problem) {
  // With 32 bits no request has so many keys; a window of this size hides none, and its sums with lengths fit.
  constexpr std::int64_t kMostKeys = sizeof(Int) == sizeof(std::int64_t) ? INT64_MAX : kNarrowTokens;
  const Mask& mask = problem.mask;
  return {{static_cast<Int>(least(mask.left, kMostKeys)), static_cast<Int>(least(mask.right, kMostKeys))},
          problem.key_block,
          problem.kv_heads,
          problem.group};
}

/// Of a batch, its lengths aside: `longest_keys` bounds its key lengths.
PlanProblem plan_problem(const RaggedBatch& batch, const PlanTarget& target, std::int64_t longest_keys);

/// Throws Error(kUnsupported) if the costs of all tiles, workers times, do not fit 64 bits.
void check_costs(const PlanProblem& problem, const RaggedBatch& batch);

/// Rises with the cost; costs within an eighth of a power of two share a class.
VARLEN_HOST_DEVICE constexpr int cost_class(Cost cost) {
  constexpr int kClassBits = 3;
  if (cost < 1 << kClassBits) return static_cast<int>(cost);
  const int shift = bit_width(cost) - 1 - kClassBits;
  return (shift << kClassBits) + static_cast<int>(cost >> shift);  // its highest bit counts as the next shift
}

}  // namespace varlen
