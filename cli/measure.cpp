#include "cli/measure.hpp"

#include <algorithm>
#include <chrono>

#include "cli/data.hpp"

namespace varlen::cli {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Timing measure_cpu(const Batch& batch, const Tensors& tensors, const PlanTarget& target, std::int32_t repeat) {
  const std::int64_t bytes = workspace_bytes(make_plan(batch, target));
  const Buffer workspace(bytes);
  Timing timing;
  for (std::int32_t i = 0; i < repeat; ++i) {
    const double begin = seconds_now();
    const Plan plan = make_plan(batch, target);
    const double planned = seconds_now();
    run(plan, tensors, Workspace{workspace.data(), bytes});
    const double end = seconds_now();
    timing.run.push_back(end - planned);
    timing.plan_and_run.push_back(end - begin);
  }
  return timing;
}

RunTrace trace_cpu(const Plan& plan, const Tensors& tensors) {
  const std::int64_t bytes = workspace_bytes(plan);
  const Buffer workspace(bytes);
  RunTrace trace;
  run(plan, tensors, Workspace{workspace.data(), bytes}, {.trace = &trace});
  return trace;
}

Timing measure_reference(const Batch& batch, const Tensors& tensors, std::int32_t repeat) {
  Timing timing;
  for (std::int32_t i = 0; i < repeat; ++i) {
    const double begin = seconds_now();
    attention(batch, tensors, Backend::kReference);
    timing.run.push_back(seconds_now() - begin);
  }
  timing.plan_and_run = timing.run;
  return timing;
}

double measured_balance(const RunTrace& trace, std::int32_t workers) {
  if (trace.items.empty()) return 1;
  double busy = 0;
  double first = trace.items.front().begin;
  double last = 0;
  for (const auto& item : trace.items) {
    busy += item.end - item.begin;
    first = std::min(first, item.begin);
    last = std::max(last, item.end);
  }
  return (last - first) * workers / busy;
}

}  // namespace varlen::cli
