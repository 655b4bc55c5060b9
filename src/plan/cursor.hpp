// The cursor: from an index to a work item, without a record per tile. The same code on CPU and GPU.
#pragma once

#include <cstdint>

#include "batch/ragged_batch.hpp"
#include "plan/select_tiles.hpp"
#include "plan/tile_geometry.hpp"
#include "varlen/plan.hpp"

namespace varlen {

/// The items of one request that are drawn in order, not listed: tiles [0, tiles) for every KV head and head chunk.
///
/// Order: sections of `heads_per_section` KV heads, whose keys and values fit half of L2 together; in a section the
/// last tile first (under a causal mask the longest); for a tile every head of the section, so that neighbours share
/// keys.
struct Run {
  std::int64_t item_begin;  // index of its first item among the items in runs
  std::int64_t tiles;       // of the request's, the first ones; the others are listed
  std::int32_t request;
  std::int32_t heads_per_section;
  TileCut cut;
};

/// How many there are of what a plan's arrays hold.
struct PlanCounts {
  std::int64_t runs;
  std::int64_t listed_front;  // items before those in runs
  std::int64_t run_items;
  std::int64_t listed_back;  // items after them
  std::int64_t merges;
  std::int64_t partial_rows;
  std::int64_t is_made;  // on a device: 1, or 0 where there is no plan, as its lengths were refused
};

/// Pointers into a plan's arrays plus what every item needs to know.
struct PlanView {
  const RequestExtent* requests;
  const Run* runs;         // [run_count], by item_begin
  const WorkItem* listed;  // [listed_front + listed_back]
  std::int64_t run_count;
  std::int64_t listed_front;
  std::int64_t run_items;
  std::int64_t listed_back;
  Mask mask;
  std::int32_t key_block;
  std::int32_t kv_heads;
  std::int32_t group;  // query heads per KV head
};

VARLEN_HOST_DEVICE inline std::int64_t item_count(const PlanView& plan) {
  return plan.listed_front + plan.run_items + plan.listed_back;
}

/// Tile `tile` of a request, whole, for one chunk of a KV head's group of heads. `plan` is a PlanView or whatever else
/// knows mask, key_block and group.
template <class Plan, class Int>
VARLEN_HOST_DEVICE inline WorkItem whole_tile(const Plan& plan, const TilesOf<Int>& tiles, std::int32_t request,
                                              std::int32_t kv_head, std::int32_t chunk,
                                              std::type_identity_t<Int> tile) {
  WorkItem item{};
  item.query_begin = tile * tiles.tile_tokens;
  item.query_count = tile_query_end(tiles, tile) - item.query_begin;
  const KeyRangeOf<Int> keys = tile_keys(tiles, plan.mask, plan.key_block, tile);
  item.key_begin = keys.begin;
  item.key_end = keys.end;
  item.partial_row = -1;
  item.request = request;
  const std::int32_t first_head = chunk * tiles.heads_per_tile;
  item.kv_head = kv_head;
  item.query_head_begin = kv_head * plan.group + first_head;
  item.query_head_count = least(plan.group - first_head, tiles.heads_per_tile);
  item.tile_shape = tile_shape(tiles, tile);
  item.part = 0;
  item.parts = 1;
  item.merge = -1;
  return item;
}

/// The item at `offset` among those of the first `run_tiles` tiles of a request, in the order of a Run. `Index` is the
/// type of item numbers.
template <class Plan, class Int, class Index>
VARLEN_HOST_DEVICE inline WorkItem tile_at(const Plan& plan, const TilesOf<Int>& tiles, std::int32_t request,
                                           std::type_identity_t<Int> run_tiles, std::int32_t heads_per_section,
                                           Index offset) {
  const std::int32_t chunks = tiles.head_chunks;
  Index head_begin = 0;
  if (heads_per_section < plan.kv_heads) {
    const Index per_section = static_cast<Index>(run_tiles) * heads_per_section * chunks;
    const Index section = quotient<Index>(offset, per_section);
    offset -= section * per_section;
    head_begin = section * heads_per_section;
  }
  const Index width = least<Index>(plan.kv_heads - head_begin, heads_per_section) * chunks;  // items of one tile
  const Index rank = quotient<Index>(offset, width);
  offset -= rank * width;
  const Index head = chunks == 1 ? offset : quotient<Index>(offset, chunks);
  return whole_tile(plan, tiles, request, static_cast<std::int32_t>(head_begin + head),
                    static_cast<std::int32_t>(offset - head * chunks), static_cast<Int>(run_tiles - 1 - rank));
}

/// The item at `offset` of a run.
VARLEN_HOST_DEVICE inline WorkItem run_item(const PlanView& plan, const Run& run, std::int64_t offset) {
  const RequestExtent& request = plan.requests[run.request];
  const RequestTiles tiles = tiles_of(run.cut, plan.group, request.query_length, request.key_length);
  return tile_at(plan, tiles, run.request, run.tiles, run.heads_per_section, offset);
}

/// The run that holds item `index` of the items in runs.
VARLEN_HOST_DEVICE inline const Run* find_run(const PlanView& plan, std::int64_t index) {
  std::int64_t low = 0;
  std::int64_t high = plan.run_count;
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    if (plan.runs[middle].item_begin <= index) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return plan.runs + low;
}

/// The item at `index`, 0 ≤ index < item_count(plan). O(log requests).
VARLEN_HOST_DEVICE inline WorkItem item_at(const PlanView& plan, std::int64_t index) {
  if (index < plan.listed_front) return plan.listed[index];
  index -= plan.listed_front;
  if (index >= plan.run_items) return plan.listed[plan.listed_front + index - plan.run_items];
  const Run* run = find_run(plan, index);
  return run_item(plan, *run, index - run->item_begin);
}

/// Draws items by rising index; a step to a nearby index costs no search.
class Cursor {
 public:
  VARLEN_HOST_DEVICE explicit Cursor(const PlanView& plan) : plan_(&plan), run_(plan.runs) {}

  /// The item at `index`, which is not below the index of the previous call.
  VARLEN_HOST_DEVICE WorkItem seek(std::int64_t index) {
    const PlanView& plan = *plan_;
    if (index < plan.listed_front) return plan.listed[index];
    index -= plan.listed_front;
    if (index >= plan.run_items) return plan.listed[plan.listed_front + index - plan.run_items];
    const Run* last = plan.runs + plan.run_count - 1;
    for (int step = 0; step < kNearbyRuns && run_ < last && run_[1].item_begin <= index; ++step) ++run_;
    if (run_ < last && run_[1].item_begin <= index) run_ = find_run(plan, index);
    return run_item(plan, *run_, index - run_->item_begin);
  }

 private:
  static constexpr int kNearbyRuns = 4;
  const PlanView* plan_;
  const Run* run_;
};

}  // namespace varlen
