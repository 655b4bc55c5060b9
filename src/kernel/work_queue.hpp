// Which items a block works on: the one with its own index first, then whatever the blocks' common counter gives. One
// whole warp of each block draws items, looks them up, and keeps those back that cannot be computed (sound_work.hpp).
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/device_view.hpp"
#include "kernel/parameters.hpp"
#include "kernel/sound_work.hpp"
#include "kernel/tile_work.hpp"

namespace varlen::kernel {

/// Where the search for an item begins: at the run of the block's item before it.
VARLEN_DEVICE std::int32_t find_run(const PlanView& plan, std::int64_t index, std::int32_t run) {
  // All lanes look at a run each: mostly it is among the next 32; otherwise every further look divides what is left by
  // 32. The run is in [run, end).
  auto end = static_cast<std::int32_t>(plan.run_count);
  std::int32_t step = 1;
  const int lane = gpu::fresh_thread_index() % gpu::kWarpThreads;
  while (end - run > 1) {
    const std::int64_t probe = run + std::int64_t{lane} * step;
    const int begun = gpu::count_votes(probe < end && plan.runs[probe].item_begin <= index);
    if (begun < gpu::kWarpThreads && end - run > std::int64_t{begun} * step) end = run + begun * step;
    run += (begun - 1) * step;
    step = (end - run + gpu::kWarpThreads - 1) / gpu::kWarpThreads;
  }
  return run;
}

/// The item at `index`, which is not before the block's item before it, that was in `run`. Its `rows` are 0 if there is
/// none.
VARLEN_DEVICE TileWork look_up(const ForwardParameters& parameters, std::int64_t index, std::int32_t run) {
  const PlanView plan = device_view(parameters);
  if (index >= item_count(plan)) return {};
  const std::int64_t in_runs = index - plan.listed_front;
  if (in_runs < 0) return describe_work(parameters, plan.listed[index], index, run);
  if (in_runs >= plan.run_items) return describe_work(parameters, plan.listed[index - plan.run_items], index, run);
  run = find_run(plan, in_runs, run);
  const Run found = plan.runs[run];
  return describe_work(parameters, run_item(plan, found, in_runs - found.item_begin), index, run);
}

// In place of a run: the block has had no item yet, or has no more.
inline constexpr std::int32_t kFirst = -1;
inline constexpr std::int32_t kNoRun = -2;

/// Of the block's next item, after one in `run`; beyond all items if there is none. Draws it unless it is the first.
VARLEN_DEVICE std::int64_t next_index(const ForwardParameters& parameters, std::int32_t run) {
  if (run == kFirst) return static_cast<std::uint32_t>(gpu::block_index());
  if (parameters.counter == nullptr) return INT64_MAX;  // every block has one item
  std::int64_t drawn = 0;
  if (gpu::fresh_thread_index() % gpu::kWarpThreads == 0) drawn = gpu::draw(parameters.counter);
  return gpu::block_count() + gpu::broadcast(drawn);
}

/// The block's next item, after one in `run`. The later it is drawn, the better the work is shared out.
VARLEN_DEVICE TileWork next_work(const ForwardParameters& parameters, std::int32_t run) {
  return look_up(parameters, next_index(parameters, run), greatest(run, 0));
}

}  // namespace varlen::kernel
