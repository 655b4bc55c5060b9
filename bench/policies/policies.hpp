// Three ways to schedule one batch on one machine, in the same cost model: varlen's plan and two that other libraries
// use.
#pragma once

#include <cstdint>
#include <vector>

#include "batch/ragged_batch.hpp"
#include "varlen/plan.hpp"

namespace varlen::bench {

/// A stretch of work of one worker.
struct Interval {
  Cost begin;
  Cost end;
  std::int32_t request;
  std::int32_t kv_head;
};

struct Schedule {
  std::vector<Interval> intervals;
  Cost makespan = 0;
  Cost useful_cost = 0;  // without padding
};

/// The plan's items, drawn in order by the worker that is free first.
Schedule schedule_plan(const Plan& plan);
/// Every request padded to the longest, tiles in grid order to the least loaded worker.
Schedule schedule_padded(const RaggedBatch& batch, const PlanTarget& target);
/// varlen's tiles, whole, in the order in which requests, heads and tiles are listed, to the least loaded worker.
Schedule schedule_list(const RaggedBatch& batch, const PlanTarget& target);

/// Bytes of keys and values of the distinct (request, KV head) pairs being worked on at one time. Padding takes none:
/// these are the bytes that the requests really have.
struct Footprint {
  double mean = 0;  // over time
  double max = 0;
};
Footprint footprint(const Schedule& schedule, const RaggedBatch& batch);

/// Makespan over the mean load of the workers, counting useful work only; 1 for an empty schedule.
double balance(const Schedule& schedule, std::int32_t workers);

}  // namespace varlen::bench
