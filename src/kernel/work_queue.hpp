// Which items a block works on: the one with its own index first, then whatever the blocks' common counter gives.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"
#include "kernel/tile_work.hpp"

namespace varlen::kernel {

/// Used by one whole warp of each block.
class WorkQueue {
 public:
  VARLEN_DEVICE explicit WorkQueue(const ForwardParameters& parameters)
      : parameters_(parameters), index_(gpu::block_index()) {}

  /// Asks for the item after the one that was looked up last. Late, so that it goes to the block that needs it most;
  /// early enough for the answer to be there when it is looked up.
  VARLEN_DEVICE void order() {
    index_ = item_count(parameters_.plan);
    if (parameters_.counter != nullptr && gpu::lane_index() == 0) {
      index_ = gpu::block_count() + gpu::draw(parameters_.counter);
    }
  }

  /// The first item, then those that were ordered. `rows` are 0 when there are no more.
  VARLEN_DEVICE TileWork look_up() {
    index_ = gpu::broadcast(index_);
    if (index_ < item_count(parameters_.plan)) return describe_work(parameters_, item(), index_);
    return {};
  }

 private:
  VARLEN_DEVICE WorkItem item() {
    const PlanView& plan = parameters_.plan;
    std::int64_t index = index_;
    if (index < plan.listed_front) return plan.listed[index];
    index -= plan.listed_front;
    if (index >= plan.run_items) return plan.listed[plan.listed_front + index - plan.run_items];
    find_run(index);
    const Run run = plan.runs[run_];
    return run_item(plan, run, index - run.item_begin);
  }

  /// Moves on to the run that holds item `index` of those in runs. All lanes look at a run each: mostly it is among the
  /// next 32; otherwise every further look divides what is left by 32.
  VARLEN_DEVICE void find_run(std::int64_t index) {
    const PlanView& plan = parameters_.plan;
    std::int64_t end = plan.run_count;  // the run is in [run_, end)
    std::int64_t step = 1;
    while (end - run_ > 1) {
      const std::int64_t probe = run_ + gpu::lane_index() * step;
      const int begun = gpu::count_votes(probe < end && plan.runs[probe].item_begin <= index);
      if (begun < gpu::kWarpThreads && run_ + begun * step < end) end = run_ + begun * step;
      run_ += (begun - 1) * step;
      step = (end - run_ + gpu::kWarpThreads - 1) / gpu::kWarpThreads;
    }
  }

  const ForwardParameters& parameters_;
  std::int64_t index_;    // among all items; of lane 0
  std::int64_t run_ = 0;  // of the last item
};

}  // namespace varlen::kernel
