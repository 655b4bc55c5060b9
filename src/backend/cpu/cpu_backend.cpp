#include "backend/cpu/cpu_backend.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "backend/cpu/call.hpp"
#include "backend/cpu/scratch.hpp"
#include "backend/cpu/thread_pool.hpp"
#include "backend/cpu/tile_kernel.hpp"
#include "plan/plan_data.hpp"

namespace varlen::cpu {
namespace {

constexpr std::int64_t kAlignment = 64;

std::int64_t tallest_tile(const Plan& plan) {
  std::int64_t rows = 1;
  for (const TileShape& shape : plan.target().tile_shapes) {
    rows = std::max<std::int64_t>(rows, shape.rows);
  }
  return rows;
}

std::int64_t partial_bytes(const Plan& plan) {
  const std::int64_t floats = plan.partial_rows() * partial_row_floats(plan.data().batch);
  return round_up(floats * static_cast<std::int64_t>(sizeof(float)), kAlignment);
}

std::int64_t scratch_bytes(const Plan& plan) {
  return lay_out_scratch(nullptr, plan.data().batch, tallest_tile(plan)).bytes;
}

/// Threads that the plan has work for: never more than there are items to draw.
std::int64_t worker_count(const Plan& plan) { return std::min<std::int64_t>(plan.target().workers, plan.item_count()); }

/// Seconds since the call began.
class Clock {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// What the threads of one call share.
struct Crew {
  Crew(const Plan& of_plan, const Tensors& tensors, Workspace workspace, RunTrace* of_trace)
      : plan(of_plan),
        call{&of_plan.data().batch, &tensors, static_cast<float*>(workspace.data)},
        scratch(static_cast<std::byte*>(workspace.data) + partial_bytes(of_plan)),
        scratch_stride(scratch_bytes(of_plan)),
        tallest(tallest_tile(of_plan)),
        trace(of_trace) {}

  void draw_items(std::int32_t worker) noexcept {
    const std::int64_t count = plan.item_count();
    for (std::int64_t index = next_item.fetch_add(1); index < count; index = next_item.fetch_add(1)) {
      const double begin = trace == nullptr ? 0 : clock.seconds();
      run_item(call, plan.item(index), scratch + worker * scratch_stride, tallest);
      if (trace != nullptr) {
        trace->items[static_cast<std::size_t>(index)] = {worker, begin, clock.seconds()};
      }
    }
  }

  void draw_merges(std::int32_t worker) noexcept {
    const auto& merges = plan.merges();
    const auto count = static_cast<std::int64_t>(merges.size());
    for (std::int64_t index = next_merge.fetch_add(1); index < count; index = next_merge.fetch_add(1)) {
      run_merge(call, merges[static_cast<std::size_t>(index)], scratch + worker * scratch_stride);
    }
  }

  const Plan& plan;
  Call call;
  std::byte* scratch;
  std::int64_t scratch_stride;
  std::int64_t tallest;
  RunTrace* trace;
  Clock clock;
  std::atomic<std::int64_t> next_item{0};
  std::atomic<std::int64_t> next_merge{0};
};

}  // namespace

std::int64_t workspace_bytes(const Plan& plan) {
  return partial_bytes(plan) + worker_count(plan) * scratch_bytes(plan);
}

void execute(const Plan& plan, const Tensors& tensors, Workspace workspace, RunTrace* trace,
             std::int32_t most_threads) {
  if (trace != nullptr) {
    trace->items.assign(static_cast<std::size_t>(plan.item_count()), {});
  }
  if (plan.item_count() == 0) {
    return;
  }
  if (const std::int64_t needed = cpu::workspace_bytes(plan); workspace.bytes < needed || workspace.data == nullptr) {
    throw Error(ErrorCode::kWorkspaceTooSmall, "workspace.bytes", Error::kNoIndex, std::to_string(workspace.bytes),
                fmt::format("workspace.bytes = {} is less than workspace_bytes() = {}", workspace.bytes, needed));
  }
  const auto threads = static_cast<std::int32_t>(std::min<std::int64_t>(worker_count(plan), most_threads));
  Crew crew(plan, tensors, workspace, trace);
  const auto draw_items = [&crew](std::int32_t worker) noexcept { crew.draw_items(worker); };
  run_on_threads(threads, draw_items);
  // Every part of every split tile is written now.
  if (!plan.merges().empty()) {
    const auto draw_merges = [&crew](std::int32_t worker) noexcept { crew.draw_merges(worker); };
    run_on_threads(threads, draw_merges);
  }
}

std::string simd_target() { return chosen_target(); }
std::vector<std::string> simd_targets() { return compiled_targets(); }

}  // namespace varlen::cpu
