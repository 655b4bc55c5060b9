#include "cli/measure.hpp"

#include <algorithm>
#include <chrono>

#include "cli/data.hpp"

namespace varlen::cli {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Timing measure_on_host(const Batch& batch, const Tensors& tensors, const PlanTarget& target, const RunOptions& options,
                       std::int32_t repeat) {
  const std::int64_t bytes = workspace_bytes(make_plan(batch, target), options.backend);
  const Buffer workspace(bytes);
  Timing timing;
  RunOptions noted = options;
  noted.launched = &timing.kernel;
  for (std::int32_t i = 0; i < repeat; ++i) {
    const double begin = seconds_now();
    const Plan plan = make_plan(batch, target);
    const double planned = seconds_now();
    run(plan, tensors, Workspace{workspace.data(), bytes}, noted);
    const double end = seconds_now();
    timing.run.push_back(end - planned);
    timing.plan_and_run.push_back(end - begin);
  }
  return timing;
}

Timing measure_on_device(const Batch& batch, const Tensors& tensors, const PlanTarget& target,
                         const RunOptions& options, std::int32_t repeat) {
  const DeviceMemory memory(workspace_bytes(to_device(make_plan(batch, target))));
  const Workspace workspace{memory.data(), memory.bytes()};
  Timing timing;
  RunOptions noted = options;
  noted.launched = &timing.kernel;
  for (std::int32_t i = 0; i < repeat; ++i) {
    const double begin = seconds_now();
    const Plan plan = to_device(make_plan(batch, target));
    const double planned = seconds_now();
    run(plan, tensors, workspace, noted);
    synchronize();
    const double end = seconds_now();
    timing.run.push_back(end - planned);
    timing.plan_and_run.push_back(end - begin);
  }
  return timing;
}

CudaTensors::CudaTensors(const Tensors& host) : tensors_(host) {
  const auto place = [&](TensorView& view, const auto& fill) {
    if (!view.present()) return;
    std::int64_t bytes = dtype_size(view.dtype);
    for (std::int32_t i = 0; i < view.rank; ++i) bytes *= view.shape[static_cast<std::size_t>(i)];
    memory_.emplace_back(bytes);
    auto* const to = static_cast<std::byte*>(memory_.back().data());
    fill(to, view, bytes);
    view.data = to;
    view.device = DeviceKind::kCuda;
  };
  constexpr std::int64_t kBlockBytes = std::int64_t{1} << 26;
  const Buffer block(kBlockBytes);
  std::uint64_t seed = 0;
  const auto random = [&](std::byte* to, const TensorView& view, std::int64_t bytes) {
    fill_random(block, view.dtype, ++seed);
    for (std::int64_t done = 0; done < bytes; done += kBlockBytes) {
      copy_to_device(to + done, block.data(), std::min(kBlockBytes, bytes - done));
    }
  };
  const auto copied = [](std::byte* to, const TensorView& view, std::int64_t bytes) {
    copy_to_device(to, view.data, bytes);
  };
  const auto nothing = [](std::byte* /*to*/, const TensorView& /*view*/, std::int64_t /*bytes*/) {};
  for (TensorView* view : {&tensors_.query, &tensors_.key, &tensors_.value}) place(*view, random);
  for (TensorView* view : {&tensors_.block_table, &tensors_.sinks}) place(*view, copied);
  for (TensorView* view : {&tensors_.out, &tensors_.lse}) place(*view, nothing);
}

Timing measure_cuda(const Batch& batch, const CudaTensors& tensors, const PlanTarget& target, GpuKernel kernel,
                    std::int32_t repeat) {
  const RunOptions options{.backend = Backend::kCuda, .kernel = kernel};
  const Plan plan = to_device(make_plan(batch, target));
  const DeviceMemory memory(workspace_bytes(plan));
  const Workspace workspace{memory.data(), memory.bytes()};
  const auto seconds_of = [&](std::int32_t launches) {
    const double begin = seconds_now();
    for (std::int32_t i = 0; i < launches; ++i) run(plan, tensors.tensors(), workspace, options);
    synchronize();
    return seconds_now() - begin;
  };
  constexpr double kSample = 0.01;
  seconds_of(3);  // loads the kernel, raises the clocks
  const double once = seconds_of(3) / 3;
  const auto launches = static_cast<std::int32_t>(std::clamp(kSample / once, 1.0, 1000.0));
  Timing timing;
  timing.kernel = explain(plan, tensors.tensors(), options).kernel;
  for (std::int32_t i = 0; i < repeat; ++i) {
    timing.run.push_back(seconds_of(launches) / launches);
    const double begin = seconds_now();
    const Plan again = to_device(make_plan(batch, target));
    run(again, tensors.tensors(), workspace, options);
    synchronize();
    timing.plan_and_run.push_back(seconds_now() - begin);
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
  timing.kernel = "float64";
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
