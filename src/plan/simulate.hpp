// List scheduling: every item, in order, goes to the worker that is free first (the lowest number among equals).
#pragma once

#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "plan/cursor.hpp"
#include "plan/plan_data.hpp"
#include "varlen/plan.hpp"

namespace varlen {

/// Calls visit(ScheduledItem, WorkItem) for the items from `first` on, as workers draw them that all are free at first.
/// Items begin in order. O(workers) memory.
template <class Visit>
void draw_items(const PlanData& plan, std::int64_t first, const Visit& visit) {
  using Free = std::pair<Cost, std::int32_t>;  // time, worker
  std::vector<Free> idle;
  idle.reserve(static_cast<std::size_t>(plan.target.workers));
  for (std::int32_t worker = 0; worker < plan.target.workers; ++worker) idle.emplace_back(0, worker);
  std::priority_queue<Free, std::vector<Free>, std::greater<>> workers(std::greater<>(), std::move(idle));

  const PlanView view = plan.view();
  const std::int64_t items = item_count(view);
  Cursor cursor(view);
  for (std::int64_t i = first; i < items; ++i) {
    const auto [begin, worker] = workers.top();
    workers.pop();
    const WorkItem item = cursor.seek(i);
    const std::int64_t blocks = block_count({item.key_begin, item.key_end}, plan.target.key_block);
    const Cost end = begin + cost_of(plan.target, item.tile_shape, blocks, item.parts > 1);
    visit(ScheduledItem{i, worker, begin, end}, item);
    workers.emplace(end, worker);
  }
}

}  // namespace varlen
