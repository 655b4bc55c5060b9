#include "plan/problem.hpp"

#include <algorithm>
#include <iterator>
#include <limits>

namespace varlen {
namespace {

__extension__ using Wide = __int128;

constexpr std::int64_t kMostCost = std::int64_t{1} << 61;  // times workers

/// Of every batch with so many requests and tokens: each query a tile of its own that sees all keys.
double most_cost(const PlanProblem<std::int64_t>& problem, std::int64_t requests, std::int64_t query_tokens,
                 std::int64_t key_tokens) {
  const double tiles = (static_cast<double>(query_tokens) + static_cast<double>(requests)) * problem.group;
  const double blocks = static_cast<double>(key_tokens) / static_cast<double>(problem.key_block.value) + 1;
  const double tile = static_cast<double>(problem.item_cost) + blocks * static_cast<double>(problem.most_block_cost);
  return tiles * tile * problem.kv_heads * problem.workers;
}

}  // namespace

template <class Int>
PlanProblem<Int> plan_problem(const RaggedBatch& batch, const PlanTarget& target, std::int64_t longest_keys) {
  // In 32 bits no request has so many keys: a window of this size hides none, and its sums with lengths fit.
  const auto narrowed = [](std::int64_t keys) {
    return static_cast<Int>(sizeof(Int) == sizeof(keys) ? keys : std::min(keys, kNarrowTokens));
  };
  PlanProblem<Int> problem{};
  problem.selector = TileSelectorOf<Int>(target, batch.group);
  problem.mask = {narrowed(batch.mask.left), narrowed(batch.mask.right)};
  problem.key_block = target.key_block;
  problem.kv_heads = batch.kv_heads;
  problem.group = batch.group;
  problem.item_cost = static_cast<Int>(target.item_cost);
  problem.split_cost = static_cast<Int>(target.split_cost);
  for (std::size_t s = 0; s < target.tile_shapes.size(); ++s) {
    problem.block_cost[s] = static_cast<Int>(target.tile_shapes[s].block_cost);
    problem.least_blocks[s] = std::max<Int>(1, ceil_div<Int>(problem.part_cost(), problem.block_cost[s]));
    problem.most_block_cost = std::max(problem.most_block_cost, problem.block_cost[s]);
  }
  // A cost that 64 bits cannot hold is refused by check_costs(); its class does not matter.
  const double longest =
      static_cast<double>(target.item_cost) +
      (static_cast<double>(longest_keys) / target.key_block + 1) * static_cast<double>(problem.most_block_cost);
  problem.cost_classes = cost_class(static_cast<Cost>(std::min(longest, 0x1p62))) + 1;
  const std::int64_t section_keys =
      target.l2_bytes / 2 / (dtype_size(batch.input_dtype) * (batch.head_dim_qk + batch.head_dim_vo));
  problem.section_keys = narrowed(section_keys);
  problem.whole_section_keys = narrowed(section_keys / batch.kv_heads);
  problem.workers = target.workers;
  problem.invariant_shares = target.invariant_shares > 0 ? target.invariant_shares : target.workers;
  problem.batch_invariant = batch.batch_invariant;
  return problem;
}
template PlanProblem<std::int32_t> plan_problem(const RaggedBatch&, const PlanTarget&, std::int64_t);
template PlanProblem<std::int64_t> plan_problem(const RaggedBatch&, const PlanTarget&, std::int64_t);

void check_costs(const PlanProblem<std::int64_t>& problem, const RaggedBatch& batch) {
  const std::int64_t requests = std::ssize(batch.requests);
  if (most_cost(problem, requests, batch.query_tokens, batch.key_tokens) < static_cast<double>(kMostCost)) return;
  Wide cost = 0;
  for (const RequestExtent& request : batch.requests) {
    if (request.query_length == 0) continue;
    const RequestTiles tiles = problem.selector.select(request.query_length, request.key_length);
    const Wide tile_costs = Wide{tiles.tiles} * problem.item_cost +
                            Wide{total_blocks(tiles, problem.mask, problem.key_block)} * problem.most_block_cost;
    cost += tile_costs * problem.kv_heads * tiles.head_chunks;
  }
  if (cost * problem.workers <= kMostCost) return;
  throw Error(
      ErrorCode::kUnsupported, "batch", Error::kNoIndex, "",
      "batch: its query-key pairs exceed what a plan can count (2^61 sixteenths of a key block, workers times)");
}

void check_costs(const PlanProblem<std::int64_t>& problem, const Limits& limits) {
  constexpr double kMostScores = 0x1p56;  // as of every batch
  const double scores = static_cast<double>(limits.query_tokens) * static_cast<double>(limits.key_length) *
                        problem.kv_heads * problem.group;
  const double cost = most_cost(problem, limits.requests, limits.query_tokens, limits.key_length);
  if (scores <= kMostScores && cost <= static_cast<double>(kMostCost)) return;
  throw Error(ErrorCode::kUnsupported, "limits", Error::kNoIndex, "",
              "limits: a batch within them may have more query-key pairs than a plan can count (2^56 scores, or 2^61 "
              "sixteenths of a key block, workers times)");
}

}  // namespace varlen
