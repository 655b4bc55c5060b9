#include "plan/item_sums.hpp"

#include <algorithm>

#include "plan/cursor.hpp"
#include "plan/tile_geometry.hpp"

namespace varlen {
namespace {

/// `sign`: 1, or −1 to take the item out again.
void add_item(const PlanData& plan, const WorkItem& item, std::int64_t sign, ItemSums& sums) {
  const std::int64_t rows = item.query_count * item.query_head_count;
  const std::int64_t blocks = block_count({item.key_begin, item.key_end}, plan.target.key_block);
  const Cost of_item = item.part > 0 ? plan.target.item_cost : 0;  // which a whole tile would have once
  sums.cost += sign * cost_of(plan.target, item.tile_shape, blocks, item.parts > 1);
  sums.unsplit_cost += sign * (cost_of(plan.target, item.tile_shape, blocks, false) - of_item);
  sums.key_blocks += sign * blocks;
  if (item.parts > 1) sums.partial_slots += sign;
  if (item.part > 0) return;
  sums.tiles += sign;
  if (rows <= 0) sums.empty_tiles += sign;
  if (blocks == 0) sums.blind_tiles += sign;
  if (item.parts > 1) sums.splits += sign;
  sums.live_rows += sign * rows;
  sums.tile_rows += sign * plan.target.tile_shapes[static_cast<std::size_t>(item.tile_shape)].rows;
}

/// `count` tiles, whole and of one shape, of which each has this many copies: one for each KV head and chunk of heads.
void add_tiles(const PlanData& plan, std::int32_t shape, std::int64_t count, std::int64_t blocks, std::int64_t copies,
               ItemSums& sums) {
  const TileShape& tile = plan.target.tile_shapes[static_cast<std::size_t>(shape)];
  const Cost cost = copies * (count * plan.target.item_cost + blocks * tile.block_cost);
  sums.cost += cost;
  sums.unsplit_cost += cost;
  sums.key_blocks += copies * blocks;
  sums.tiles += copies * count;
  sums.tile_rows += copies * count * tile.rows;
}

void add_run(const PlanData& plan, const Run& run, ItemSums& sums) {
  if (run.tiles == 0) return;
  const RequestExtent& request = plan.batch.requests[static_cast<std::size_t>(run.request)];
  const RequestTiles tiles = tiles_of(run.cut, plan.batch.group, request.query_length, request.key_length);
  const Divisor<std::int64_t> key_block = plan.target.key_block;
  const auto blocks_of = [&](std::int64_t tile) {
    return block_count(tile_keys(tiles, plan.batch.mask, key_block, tile), key_block);
  };
  const std::int64_t copies = std::int64_t{plan.batch.kv_heads} * tiles.head_chunks;
  std::int64_t blocks = total_blocks(tiles, plan.batch.mask, key_block);
  for (std::int64_t tile = run.tiles; tile < tiles.tiles; ++tile) blocks -= blocks_of(tile);  // those that are listed
  std::int64_t of_main_shape = run.tiles;
  if (run.tiles == tiles.tiles) {
    const std::int64_t last = blocks_of(tiles.tiles - 1);
    add_tiles(plan, tiles.tail_shape, 1, last, copies, sums);
    blocks -= last;
    --of_main_shape;
  }
  add_tiles(plan, tiles.main_shape, of_main_shape, blocks, copies, sums);
  sums.blind_tiles += copies * std::min(run.tiles, blind_tiles(tiles, plan.batch.mask));
  sums.live_rows += tile_query_end(tiles, run.tiles - 1) * plan.batch.query_heads;
  // The plan's last items may be listed instead of those that end the runs.
  const PlanView view = plan.view();
  const std::int64_t first = std::max<std::int64_t>(0, plan.run_items - run.item_begin);
  for (std::int64_t i = first; i < run.tiles * copies; ++i) add_item(plan, run_item(view, run, i), -1, sums);
}

}  // namespace

ItemSums sum_items(const PlanData& plan) {
  const PlanView view = plan.view();
  ItemSums sums;
  Cursor cursor(view);
  const std::int64_t items = item_count(view);
  for (std::int64_t i = 0; i < items; ++i) add_item(plan, cursor.seek(i), 1, sums);
  return sums;
}

ItemSums sum_runs(const PlanData& plan) {
  ItemSums sums;
  for (const WorkItem& item : plan.listed) add_item(plan, item, 1, sums);
  for (const Run& run : plan.runs) add_run(plan, run, sums);
  return sums;
}

}  // namespace varlen
