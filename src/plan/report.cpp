// report(): what walking the emitted items shows. Everything is counted here again, nothing is taken from the planner's
// sums.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <vector>

#include "plan/cursor.hpp"
#include "plan/plan_data.hpp"
#include "plan/select_tiles.hpp"
#include "varlen/plan.hpp"

namespace varlen {
namespace {

/// Tiles of the grid that is sized by the longest request: what a kernel without a ragged plan launches.
std::int64_t padded_tiles(const PlanData& plan) {
  std::int64_t longest_query = 0;
  std::int64_t longest_key = 0;
  for (const RequestExtent& request : plan.batch.requests) {
    longest_query = std::max(longest_query, request.query_length);
    longest_key = std::max(longest_key, request.key_length);
  }
  if (longest_query == 0) return 0;
  const RequestTiles tiles = TileSelector(plan.target, plan.batch.group).select(longest_query, longest_key);
  return static_cast<std::int64_t>(plan.batch.requests.size()) * plan.batch.kv_heads * tiles.head_chunks * tiles.tiles;
}

/// Sweeps over the schedule's beginnings and ends and weighs the distinct (request, KV head) pairs in flight.
void measure_footprint(const PlanData& plan, const std::vector<ScheduledItem>& schedule, PlanReport& report) {
  struct Event {
    Cost time;
    std::int64_t pair;
    bool begins;
  };
  const PlanView view = plan.view();
  std::vector<Event> events;
  events.reserve(2 * schedule.size());
  Cursor cursor(view);
  for (const ScheduledItem& scheduled : schedule) {
    const WorkItem item = cursor.seek(scheduled.item);
    const std::int64_t pair = std::int64_t{item.request} * plan.batch.kv_heads + item.kv_head;
    events.push_back({scheduled.begin, pair, true});
    events.push_back({scheduled.end, pair, false});
  }
  // At one instant ends come first, so that an item and its successor on the same worker never count together.
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    if (a.time != b.time) return a.time < b.time;
    return a.begins < b.begins;
  });
  const double bytes_per_key = static_cast<double>(plan.batch.head_dim_qk + plan.batch.head_dim_vo) *
                               static_cast<double>(dtype_size(plan.batch.input_dtype));
  std::unordered_map<std::int64_t, std::int32_t> in_flight;
  double bytes = 0;
  double peak = 0;
  double weighted = 0;
  Cost last = 0;
  for (const Event& event : events) {
    weighted += bytes * static_cast<double>(event.time - last);
    last = event.time;
    const auto request = static_cast<std::size_t>(event.pair / plan.batch.kv_heads);
    const double size = bytes_per_key * static_cast<double>(plan.batch.requests[request].key_length);
    std::int32_t& count = in_flight[event.pair];
    if (event.begins) {
      if (count++ == 0) bytes += size;
      peak = std::max(peak, bytes);
    } else if (--count == 0) {
      bytes -= size;
      in_flight.erase(event.pair);
    }
  }
  report.l2_footprint_max = static_cast<std::int64_t>(peak);
  report.l2_footprint_mean = last == 0 ? 0 : weighted / static_cast<double>(last);
}

}  // namespace

PlanReport Plan::report() const {
  const PlanData& plan = *data_;
  PlanReport report;
  report.requests = static_cast<std::int64_t>(plan.batch.requests.size());
  report.workers = plan.target.workers;
  report.padded_tiles = padded_tiles(plan);
  report.partial_rows = plan.partial_rows;
  report.plan_us = plan.plan_us;
  report.plan_bytes = static_cast<std::int64_t>(sizeof(PlanData) + plan.batch.requests.size() * sizeof(RequestExtent) +
                                                plan.runs.size() * sizeof(Run) + plan.listed.size() * sizeof(WorkItem) +
                                                plan.merges.size() * sizeof(Merge) +
                                                plan.target.tile_shapes.size() * sizeof(TileShape));

  const PlanView view = plan.view();
  report.items = varlen::item_count(view);
  Cursor cursor(view);
  Cost total = 0;
  Cost unsplit = 0;
  for (std::int64_t i = 0; i < report.items; ++i) {
    const WorkItem item = cursor.seek(i);
    const std::int64_t rows = item.query_count * item.query_head_count;
    const std::int64_t blocks = block_count({item.key_begin, item.key_end}, plan.target.key_block);
    const Cost cost = item_cost(item);
    total += cost;
    unsplit += item.part == 0 ? cost_of(plan.target, item.tile_shape, blocks, false)
                              : cost - plan.target.item_cost - plan.target.split_cost;
    report.key_blocks += blocks;
    if (item.parts > 1) ++report.partial_slots;
    if (item.part > 0) continue;
    ++report.tiles;
    report.empty_tiles += rows <= 0 ? 1 : 0;
    report.blind_tiles += blocks == 0 ? 1 : 0;
    report.splits += item.parts > 1 ? 1 : 0;
    report.live_rows += rows;
    report.tile_rows += plan.target.tile_shapes[static_cast<std::size_t>(item.tile_shape)].rows;
  }
  if (report.items == 0) return report;

  const std::vector<ScheduledItem> schedule = simulate();
  Cost makespan = 0;
  for (const ScheduledItem& item : schedule) makespan = std::max(makespan, item.end);
  const auto unit = static_cast<double>(kCostPerBlock);
  report.mean = static_cast<double>(total) / plan.target.workers / unit;
  report.makespan = static_cast<double>(makespan) / unit;
  if (total > 0) report.makespan_over_mean = report.makespan / report.mean;
  if (unsplit > 0) {
    report.makespan_over_unsplit_mean = report.makespan * unit * plan.target.workers / static_cast<double>(unsplit);
  }
  measure_footprint(plan, schedule, report);
  return report;
}

std::string report_json(const PlanReport& report) {
  nlohmann::ordered_json json;
  json["requests"] = report.requests;
  json["tiles"] = report.tiles;
  json["empty_tiles"] = report.empty_tiles;
  json["blind_tiles"] = report.blind_tiles;
  json["items"] = report.items;
  json["splits"] = report.splits;
  json["partial_slots"] = report.partial_slots;
  json["partial_rows"] = report.partial_rows;
  json["live_rows"] = report.live_rows;
  json["tile_rows"] = report.tile_rows;
  json["key_blocks"] = report.key_blocks;
  json["padded_tiles"] = report.padded_tiles;
  json["workers"] = report.workers;
  json["mean"] = report.mean;
  json["makespan"] = report.makespan;
  json["makespan_over_mean"] = report.makespan_over_mean;
  json["makespan_over_unsplit_mean"] = report.makespan_over_unsplit_mean;
  json["l2_footprint_mean"] = report.l2_footprint_mean;
  json["l2_footprint_max"] = report.l2_footprint_max;
  json["plan_bytes"] = report.plan_bytes;
  json["plan_us"] = report.plan_us;
  return json.dump();
}

}  // namespace varlen
