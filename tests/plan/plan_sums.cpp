#include "plan_sums.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <queue>
#include <utility>

namespace varlen::plan_test {

namespace {

using std::int32_t;
using std::int64_t;

std::size_t at(int64_t index) { return static_cast<std::size_t>(index); }

int64_t divide_up(int64_t a, int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

int64_t blocks_of(const PlanTarget& target, const WorkItem& item) {
  return divide_up(item.key_end - item.key_begin, target.key_block);
}

Cost whole_cost(const PlanTarget& target, const WorkItem& item) {
  return target.item_cost + blocks_of(target, item) * target.tile_shapes[at(item.tile_shape)].block_cost;
}

bool close(double a, double b) { return std::abs(a - b) <= 1e-12 * std::max(std::abs(a), std::abs(b)); }

}  // namespace

Cost cost_of(const PlanTarget& target, const WorkItem& item) {
  return whole_cost(target, item) + (item.parts > 1 ? target.split_cost : 0);
}

PlanSums sum_items(const PlanTarget& target, const std::vector<WorkItem>& items) {
  PlanSums sums;
  for (const WorkItem& item : items) {
    sums.total += cost_of(target, item);
    // A tile's overhead counts once however many parts it has.
    sums.unsplit_total += whole_cost(target, item) - (item.part == 0 ? 0 : target.item_cost);
    sums.key_blocks += blocks_of(target, item);
    if (item.parts > 1) ++sums.partial_slots;
    if (item.part != 0) continue;
    ++sums.tiles;
    if (item.parts > 1) ++sums.splits;
    if (item.key_begin == item.key_end) ++sums.blind_tiles;
    sums.live_rows += item.query_count * item.query_head_count;
    sums.tile_rows += target.tile_shapes[at(item.tile_shape)].rows;
  }
  return sums;
}

int64_t padded_tiles(const BatchCase& batch, const std::vector<WorkItem>& items) {
  const auto longest = std::max_element(batch.query_lengths.begin(), batch.query_lengths.end());
  const int64_t tiles_of_longest = std::count_if(items.begin(), items.end(), [&](const WorkItem& item) {
    return item.request == longest - batch.query_lengths.begin() && item.part == 0;
  });
  return batch.requests() * tiles_of_longest;
}

int64_t plan_bytes_bound(const PlanReport& report) {
  return 2048 + 160 * report.requests + 1024 * int64_t{report.workers};
}

std::vector<ScheduledItem> schedule(const PlanTarget& target, const std::vector<WorkItem>& items) {
  using Free = std::pair<Cost, int32_t>;  // when, worker
  std::vector<Free> workers;
  workers.reserve(at(target.workers));
  for (int32_t worker = 0; worker < target.workers; ++worker) workers.emplace_back(0, worker);
  std::priority_queue<Free, std::vector<Free>, std::greater<>> free(std::greater<>{}, std::move(workers));
  std::vector<ScheduledItem> scheduled;
  scheduled.reserve(items.size());
  for (const WorkItem& item : items) {
    const auto [begin, worker] = free.top();
    free.pop();
    const Cost end = begin + cost_of(target, item);
    scheduled.push_back({static_cast<int64_t>(scheduled.size()), worker, begin, end});
    free.emplace(end, worker);
  }
  return scheduled;
}

std::string report_fault(const BatchCase& batch, const PlanTarget& target, const PlanOutput& output,
                         const PlanReport& report) {
  const PlanSums sums = sum_items(target, output.items);
  Cost makespan = 0;
  for (const ScheduledItem& item : schedule(target, output.items)) makespan = std::max(makespan, item.end);
  int64_t rows = 0;
  for (const int64_t length : batch.query_lengths) rows += length * batch.query_heads();

  const auto blocks = [](Cost cost) { return static_cast<double>(cost) / static_cast<double>(kCostPerBlock); };
  const double mean = blocks(sums.total) / target.workers;
  const double unsplit_mean = blocks(sums.unsplit_total) / target.workers;
  const std::pair<const char*, std::pair<int64_t, int64_t>> counts[] = {
      {"requests", {report.requests, batch.requests()}},
      {"tiles", {report.tiles, sums.tiles}},
      {"empty_tiles", {report.empty_tiles, 0}},
      {"blind_tiles", {report.blind_tiles, sums.blind_tiles}},
      {"items", {report.items, static_cast<int64_t>(output.items.size())}},
      {"simulated_items", {report.simulated_items, std::min<int64_t>(std::ssize(output.items), 1 << 20)}},  // plan.hpp
      {"splits", {report.splits, sums.splits}},
      {"splits (merges)", {report.splits, static_cast<int64_t>(output.merges.size())}},
      {"partial_slots", {report.partial_slots, sums.partial_slots}},
      {"partial_rows", {report.partial_rows, output.partial_rows}},
      {"live_rows", {report.live_rows, sums.live_rows}},
      {"live_rows (lengths)", {report.live_rows, rows}},
      {"tile_rows", {report.tile_rows, sums.tile_rows}},
      {"key_blocks", {report.key_blocks, sums.key_blocks}},
      {"padded_tiles", {report.padded_tiles, padded_tiles(batch, output.items)}},
      {"workers", {report.workers, target.workers}},
  };
  for (const auto& [name, values] : counts) {
    if (values.first != values.second) {
      return fmt::format("report().{} = {}, counted {}", name, values.first, values.second);
    }
  }
  const bool idle = sums.total == 0;
  // Of very many items only the last are simulated: then the makespan may be off by one item.
  Cost longest = 0;
  if (report.simulated_items < report.items) {
    for (const WorkItem& item : output.items) longest = std::max(longest, cost_of(target, item));
  }
  struct Measure {
    const char* name;
    double reported;
    double wanted;
    double slack;
  };
  const Measure measures[] = {
      {"mean", report.mean, mean, 0},
      {"makespan", report.makespan, blocks(makespan), blocks(longest)},
      {"makespan_over_mean", report.makespan_over_mean, idle ? 1 : blocks(makespan) / mean, blocks(longest) / mean},
      {"makespan_over_unsplit_mean", report.makespan_over_unsplit_mean, idle ? 1 : blocks(makespan) / unsplit_mean,
       blocks(longest) / unsplit_mean},
  };
  for (const Measure& measure : measures) {
    if (!close(measure.reported, measure.wanted) && !(std::abs(measure.reported - measure.wanted) <= measure.slack)) {
      return fmt::format("report().{} = {}, simulated {}", measure.name, measure.reported, measure.wanted);
    }
  }
  return "";
}

std::string simulation_fault(const PlanTarget& target, const PlanOutput& output,
                             const std::vector<ScheduledItem>& simulated) {
  const std::vector<ScheduledItem> expected = schedule(target, output.items);
  if (simulated.size() != expected.size()) {
    return fmt::format("simulate() has {} items, the plan {}", simulated.size(), expected.size());
  }
  std::vector<Cost> free(at(target.workers), 0);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const ScheduledItem& item = simulated[i];
    if (item.item != expected[i].item || item.begin != expected[i].begin || item.end != expected[i].end) {
      return fmt::format("simulate()[{}] is item {} at [{}, {}), simulated item {} at [{}, {})", i, item.item,
                         item.begin, item.end, expected[i].item, expected[i].begin, expected[i].end);
    }
    if (item.worker < 0 || item.worker >= target.workers) return fmt::format("simulate()[{}]: no such worker", i);
    if (free[at(item.worker)] != item.begin) {
      return fmt::format("simulate()[{}]: worker {} is free at {}, not {}", i, item.worker, free[at(item.worker)],
                         item.begin);
    }
    free[at(item.worker)] = item.end;
  }
  return "";
}

}  // namespace varlen::plan_test
