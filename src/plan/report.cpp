// report(): what walking the emitted items shows. Everything is counted here again, nothing is taken from the planner's
// sums.

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plan/item_sums.hpp"
#include "plan/select_tiles.hpp"
#include "plan/simulate.hpp"
#include "varlen/plan.hpp"

namespace varlen {
namespace {

/// More items than this are not walked one by one: with so many, which worker draws which hardly matters any more.
constexpr std::int64_t kMostWalked = std::int64_t{1} << 20;

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

/// Weighs the distinct (request, KV head) pairs that are in flight, as items begin one after another.
class Footprints {
 public:
  explicit Footprints(const PlanData& plan)
      : batch_(plan.batch),
        bytes_per_key_(static_cast<double>(batch_.head_dim_qk + batch_.head_dim_vo) *
                       static_cast<double>(dtype_size(batch_.input_dtype))) {}

  void begin(const ScheduledItem& scheduled, const WorkItem& item) {
    if (scheduled.begin == scheduled.end) return;
    // At one instant ends come first, so that an item and its successor on the same worker never count together.
    end_until(scheduled.begin);
    const std::int64_t pair = std::int64_t{item.request} * batch_.kv_heads + item.kv_head;
    if (in_flight_[pair]++ == 0) bytes_ += size_of(pair);
    running_.emplace(scheduled.end, pair);
    peak_ = std::max(peak_, bytes_);
  }
  void end_until(Cost time) {
    while (!running_.empty() && running_.top().first <= time) {
      const auto [end, pair] = running_.top();
      running_.pop();
      advance_to(end);
      const auto found = in_flight_.find(pair);
      if (--found->second > 0) continue;
      bytes_ -= size_of(pair);
      in_flight_.erase(found);
    }
    advance_to(time);
  }

  double peak() const { return peak_; }
  /// Over all time that has passed.
  double mean() const { return time_ == 0 ? 0 : weighted_ / static_cast<double>(time_); }

 private:
  using Running = std::pair<Cost, std::int64_t>;  // its end, (request, KV head)

  double size_of(std::int64_t pair) const {
    const auto request = static_cast<std::size_t>(pair / batch_.kv_heads);
    return bytes_per_key_ * static_cast<double>(batch_.requests[request].key_length);
  }
  void advance_to(Cost time) {
    weighted_ += bytes_ * static_cast<double>(time - time_);
    time_ = time;
  }

  const RaggedBatch& batch_;
  const double bytes_per_key_;
  std::unordered_map<std::int64_t, std::int32_t> in_flight_;  // items of each pair
  std::priority_queue<Running, std::vector<Running>, std::greater<>> running_;
  Cost time_ = 0;
  double bytes_ = 0;
  double peak_ = 0;
  double weighted_ = 0;
};

/// What drawing the last `report.simulated_items` items shows. All before them count as spread evenly over the workers.
void simulate_items(const PlanData& plan, const ItemSums& sums, PlanReport& report) {
  Footprints footprints(plan);
  Cost drawn = 0;
  Cost last_end = 0;
  draw_items(plan, report.items - report.simulated_items, [&](const ScheduledItem& scheduled, const WorkItem& item) {
    drawn += scheduled.end - scheduled.begin;
    last_end = std::max(last_end, scheduled.end);
    footprints.begin(scheduled, item);
  });
  footprints.end_until(last_end);
  report.l2_footprint_max = static_cast<std::int64_t>(footprints.peak());
  report.l2_footprint_mean = footprints.mean();

  const auto unit = static_cast<double>(kCostPerBlock);
  const auto workers = static_cast<double>(plan.target.workers);
  report.mean = static_cast<double>(sums.cost) / workers / unit;
  report.makespan = (static_cast<double>(sums.cost - drawn) / workers + static_cast<double>(last_end)) / unit;
  if (sums.cost > 0) report.makespan_over_mean = report.makespan / report.mean;
  if (sums.unsplit_cost > 0) {
    report.makespan_over_unsplit_mean = report.makespan * unit * workers / static_cast<double>(sums.unsplit_cost);
  }
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

  report.items = item_count();
  report.simulated_items = std::min(report.items, kMostWalked);
  const ItemSums sums = report.items <= kMostWalked ? sum_items(plan) : sum_runs(plan);
  report.tiles = sums.tiles;
  report.empty_tiles = sums.empty_tiles;
  report.blind_tiles = sums.blind_tiles;
  report.splits = sums.splits;
  report.partial_slots = sums.partial_slots;
  report.live_rows = sums.live_rows;
  report.tile_rows = sums.tile_rows;
  report.key_blocks = sums.key_blocks;
  if (report.items > 0) simulate_items(plan, sums, report);
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
  json["simulated_items"] = report.simulated_items;
  return json.dump();
}

}  // namespace varlen
