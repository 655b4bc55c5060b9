// List scheduling: every item, in order, goes to the worker that is free first (the lowest number among equals).

#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "plan/cursor.hpp"
#include "plan/plan_data.hpp"
#include "varlen/plan.hpp"

namespace varlen {

std::vector<ScheduledItem> Plan::simulate() const {
  using Free = std::pair<Cost, std::int32_t>;  // time, worker
  std::vector<Free> idle;
  idle.reserve(static_cast<std::size_t>(data_->target.workers));
  for (std::int32_t worker = 0; worker < data_->target.workers; ++worker) idle.emplace_back(0, worker);
  std::priority_queue<Free, std::vector<Free>, std::greater<>> workers(std::greater<>(), std::move(idle));

  const PlanView view = data_->view();
  const std::int64_t items = varlen::item_count(view);
  std::vector<ScheduledItem> schedule;
  schedule.reserve(static_cast<std::size_t>(items));
  Cursor cursor(view);
  for (std::int64_t i = 0; i < items; ++i) {
    const auto [begin, worker] = workers.top();
    workers.pop();
    const Cost end = begin + item_cost(cursor.seek(i));
    schedule.push_back({i, worker, begin, end});
    workers.emplace(end, worker);
  }
  return schedule;
}

}  // namespace varlen
