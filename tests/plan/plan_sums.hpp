// What report() and simulate() must say, summed and simulated again from the item list.
#pragma once

#include <string>
#include <vector>

#include "plan_case.hpp"

namespace varlen::plan_test {

/// Work of a plan, from its items alone.
struct PlanSums {
  std::int64_t tiles = 0;
  std::int64_t blind_tiles = 0;
  std::int64_t splits = 0;
  std::int64_t partial_slots = 0;
  std::int64_t live_rows = 0;
  std::int64_t tile_rows = 0;
  std::int64_t key_blocks = 0;
  Cost total = 0;
  Cost unsplit_total = 0;  // every tile whole
};
PlanSums sum_items(const PlanTarget& target, const std::vector<WorkItem>& items);

Cost cost_of(const PlanTarget& target, const WorkItem& item);

/// Tiles of the grid that is sized by the longest request: every request gets as many as that one has.
std::int64_t padded_tiles(const BatchCase& batch, const std::vector<WorkItem>& items);

/// List scheduling: the items in order, each to the worker that is free first; of several, to the lowest. By item.
std::vector<ScheduledItem> schedule(const PlanTarget& target, const std::vector<WorkItem>& items);

/// Bytes that a plan without batch_invariant may take: linear in requests and workers, whatever the heads and lengths.
std::int64_t plan_bytes_bound(const PlanReport& report);

/// The first field of the report that differs from the sums here, or "".
std::string report_fault(const BatchCase& batch, const PlanTarget& target, const PlanOutput& output,
                         const PlanReport& report);

/// The first difference of simulate() from an honest schedule, or "". Which of several free workers draws is left open.
std::string simulation_fault(const PlanTarget& target, const PlanOutput& output,
                             const std::vector<ScheduledItem>& simulated);

}  // namespace varlen::plan_test
