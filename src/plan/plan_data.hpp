// What a Plan holds: flat arrays of plain records that the cursor reads. O(requests + workers + splits) bytes.
#pragma once

#include <memory>
#include <vector>

#include "batch/ragged_batch.hpp"
#include "plan/cursor.hpp"
#include "varlen/plan.hpp"

namespace varlen {

struct ResidentPlan;  // src/backend/cuda/

struct PlanData {
  RaggedBatch batch;
  PlanTarget target;
  std::vector<Run> runs;
  std::vector<WorkItem> listed;  // items that had to be cut or levelled: those before the runs, then those after them
  std::vector<Merge> merges;
  std::int64_t listed_front = 0;
  std::int64_t run_items = 0;
  std::int64_t partial_rows = 0;
  double plan_us = 0;
  std::shared_ptr<const ResidentPlan> on_device;  // the arrays' copy in device memory; null: none

  PlanView view() const noexcept {
    PlanView view{};
    view.requests = batch.requests.data();
    view.runs = runs.data();
    view.listed = listed.data();
    view.run_count = static_cast<std::int64_t>(runs.size());
    view.listed_front = listed_front;
    view.run_items = run_items;
    view.listed_back = static_cast<std::int64_t>(listed.size()) - listed_front;
    view.mask = batch.mask;
    view.key_block = target.key_block;
    view.kv_heads = batch.kv_heads;
    view.group = batch.group;
    return view;
  }
};

/// The cost of an item by the target's model, design: item + blocks + split.
inline Cost cost_of(const PlanTarget& target, std::int32_t shape, std::int64_t blocks, bool split) {
  return target.item_cost + blocks * target.tile_shapes[static_cast<std::size_t>(shape)].block_cost +
         (split ? target.split_cost : 0);
}

}  // namespace varlen
