#include "plan/problem.hpp"

#include <algorithm>

namespace varlen {
namespace {

__extension__ using Wide = __int128;

constexpr std::int64_t kMostCost = std::int64_t{1} << 61;  // times workers

/// Of every batch with so many requests and tokens: each query a tile of its own that sees all keys.
double most_cost(const PlanProblem& problem, std::int64_t requests, std::int64_t query_tokens,
                 std::int64_t key_tokens) {
  const double tiles = (static_cast<double>(query_tokens) + static_cast<double>(requests)) * problem.group;
  const double blocks = static_cast<double>(key_tokens) / problem.key_block + 1;
  const double tile = static_cast<double>(problem.item_cost) + blocks * static_cast<double>(problem.most_block_cost);
  return tiles * tile * problem.kv_heads * problem.workers;
}

}  // namespace

PlanProblem plan_problem(const RaggedBatch& batch, const PlanTarget& target, std::int64_t longest_keys) {
  PlanProblem problem{};
  problem.selector = TileSelector(target, batch.group);
  problem.mask = batch.mask;
  for (std::size_t s = 0; s < target.tile_shapes.size(); ++s) {
    problem.block_cost[s] = target.tile_shapes[s].block_cost;
    problem.most_block_cost = std::max(problem.most_block_cost, problem.block_cost[s]);
  }
  problem.item_cost = target.item_cost;
  problem.split_cost = target.split_cost;
  problem.section_keys =
      target.l2_bytes / 2 / (dtype_size(batch.input_dtype) * (batch.head_dim_qk + batch.head_dim_vo));
  problem.whole_section_keys = problem.section_keys / batch.kv_heads;
  problem.key_block = target.key_block;
  problem.kv_heads = batch.kv_heads;
  problem.group = batch.group;
  problem.workers = target.workers;
  // A cost that 64 bits cannot hold is refused by check_costs(); its class does not matter.
  const double longest =
      static_cast<double>(target.item_cost) +
      (static_cast<double>(longest_keys) / target.key_block + 1) * static_cast<double>(problem.most_block_cost);
  problem.cost_classes = cost_class(static_cast<Cost>(std::min(longest, 0x1p62))) + 1;
  problem.batch_invariant = batch.batch_invariant;
  return problem;
}

void check_costs(const PlanProblem& problem, const RaggedBatch& batch) {
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

}  // namespace varlen
