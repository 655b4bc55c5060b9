// What decides a plan besides the requests' lengths: target, heads and mask, as plain data that a kernel gets by value.
#pragma once

#include <cstdint>

#include "batch/ragged_batch.hpp"
#include "plan/select_tiles.hpp"
#include "varlen/plan.hpp"

namespace varlen {

/// Lengths up to this many tokens may be planned in 32 bits, if costs allow it.
inline constexpr std::int64_t kNarrowTokens = std::int64_t{1} << 29;

/// `Int`: of lengths, and of all costs and numbers of one request's tiles.
template <class Int>
struct PlanProblem {
  // What decides tiles and their keys.
  TileSelectorOf<Int> selector;
  MaskOf<Int> mask;
  Divisor<Int> key_block;
  std::int32_t kv_heads;
  std::int32_t group;
  // Costs.
  Int block_cost[PlanTarget::kMaxTileShapes];
  Int least_blocks[PlanTarget::kMaxTileShapes];  // of a part: that many are worth its overhead
  Int most_block_cost;                           // of all shapes
  Int item_cost;
  Int split_cost;
  std::int32_t cost_classes;  // every tile's cost_class() is below this
  // And the rest.
  Int section_keys;        // keys of one head that half of L2 holds
  Int whole_section_keys;  // and of all heads
  std::int32_t workers;
  std::int32_t invariant_shares;  // with batch_invariant, of each request
  bool batch_invariant;

  VARLEN_HOST_DEVICE Int part_cost() const { return item_cost + split_cost; }  // what a part costs besides its blocks
};

/// Of a batch, its lengths aside: `longest_keys` bounds its key lengths.
template <class Int>
PlanProblem<Int> plan_problem(const RaggedBatch& batch, const PlanTarget& target, std::int64_t longest_keys);

/// Throws Error(kUnsupported) if the costs of all tiles, workers times, do not fit 64 bits.
void check_costs(const PlanProblem<std::int64_t>& problem, const RaggedBatch& batch);
/// The same if they need not fit for a batch within these limits.
void check_costs(const PlanProblem<std::int64_t>& problem, const Limits& limits);

/// Rises with the cost; costs within an eighth of a power of two share a class.
template <class Int>
VARLEN_HOST_DEVICE constexpr std::int32_t cost_class(Int cost) {
  constexpr int kClassBits = 3;
  if (cost < 1 << kClassBits) return static_cast<std::int32_t>(cost);
  const int shift = bit_width(cost) - 1 - kClassBits;
  return (shift << kClassBits) + static_cast<std::int32_t>(cost >> shift);  // its highest bit counts as the next shift
}

}  // namespace varlen
