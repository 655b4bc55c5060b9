#include "policies.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <queue>
#include <utility>

#include "plan/padded_grid.hpp"
#include "plan/plan_data.hpp"
#include "plan/select_tiles.hpp"

namespace varlen::bench {

Schedule schedule_plan(const Plan& plan) {
  Schedule schedule;
  for (const ScheduledItem& scheduled : plan.simulate()) {
    const WorkItem item = plan.item(scheduled.item);
    schedule.intervals.push_back({scheduled.begin, scheduled.end, item.request, item.kv_head});
    schedule.makespan = std::max(schedule.makespan, scheduled.end);
    schedule.useful_cost += scheduled.end - scheduled.begin;
  }
  return schedule;
}

Schedule schedule_padded(const RaggedBatch& batch, const PlanTarget& target) {
  constexpr Cost kAll = std::numeric_limits<Cost>::max();
  const PaddedGrid grid = simulate_padded_grid(batch, target, kAll, 0);
  Schedule schedule;
  schedule.makespan = grid.makespan;
  schedule.useful_cost = grid.useful_cost;
  for (const PaddedTile& tile : grid.tiles) {
    schedule.intervals.push_back({tile.begin, tile.end, tile.request, tile.kv_head});
  }
  return schedule;
}

Schedule schedule_list(const RaggedBatch& batch, const PlanTarget& target) {
  using Load = std::pair<Cost, std::int32_t>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> workers;
  for (std::int32_t worker = 0; worker < target.workers; ++worker) workers.emplace(0, worker);

  Schedule schedule;
  const TileSelector selector(target, batch.group);
  for (std::size_t r = 0; r < batch.requests.size(); ++r) {
    const RequestExtent& extent = batch.requests[r];
    if (extent.query_length == 0) continue;
    const RequestTiles request = selector.select(extent.query_length, extent.key_length);
    for (std::int32_t head = 0; head < batch.kv_heads * request.head_chunks; ++head) {
      for (std::int64_t tile = 0; tile < request.tiles; ++tile) {
        const std::int64_t blocks =
            block_count(tile_keys(request, batch.mask, target.key_block, tile), target.key_block);
        const Cost cost = cost_of(target, tile_shape(request, tile), blocks, false);
        const auto [begin, worker] = workers.top();
        workers.pop();
        workers.emplace(begin + cost, worker);
        schedule.intervals.push_back({begin, begin + cost, static_cast<std::int32_t>(r), head / request.head_chunks});
        schedule.makespan = std::max(schedule.makespan, begin + cost);
        schedule.useful_cost += cost;
      }
    }
  }
  return schedule;
}

Footprint footprint(const Schedule& schedule, const RaggedBatch& batch) {
  using Pair = std::pair<std::int32_t, std::int32_t>;
  struct Event {
    Cost time;
    int change;  // ends sort before beginnings
    Pair pair;
  };
  std::vector<Event> events;
  events.reserve(2 * schedule.intervals.size());
  for (const Interval& interval : schedule.intervals) {
    events.push_back({interval.begin, 1, {interval.request, interval.kv_head}});
    events.push_back({interval.end, -1, {interval.request, interval.kv_head}});
  }
  std::sort(events.begin(), events.end(),
            [](const Event& a, const Event& b) { return std::pair(a.time, a.change) < std::pair(b.time, b.change); });

  const auto key_bytes = static_cast<double>((batch.head_dim_qk + batch.head_dim_vo) * dtype_size(batch.query_dtype));
  std::map<Pair, std::int64_t> in_flight;
  Footprint result;
  double bytes = 0;
  Cost now = 0;
  for (const Event& event : events) {
    result.mean += bytes * static_cast<double>(event.time - now);
    now = event.time;
    const double size =
        key_bytes * static_cast<double>(batch.requests[static_cast<std::size_t>(event.pair.first)].key_length);
    std::int64_t& count = in_flight[event.pair];
    if (count == 0 && event.change > 0) bytes += size;
    count += event.change;
    if (count == 0) {
      bytes -= size;
      in_flight.erase(event.pair);
    }
    result.max = std::max(result.max, bytes);
  }
  if (now > 0) result.mean /= static_cast<double>(now);
  return result;
}

double balance(const Schedule& schedule, std::int32_t workers) {
  if (schedule.useful_cost == 0) return 1;
  return static_cast<double>(schedule.makespan) * workers / static_cast<double>(schedule.useful_cost);
}

}  // namespace varlen::bench
