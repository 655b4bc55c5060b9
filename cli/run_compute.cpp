#include "cli/run_compute.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <vector>

#include "cli/backend_choice.hpp"
#include "cli/failure.hpp"
#include "cli/format.hpp"
#include "varlen/device.hpp"

namespace varlen::cli {
namespace {

std::int64_t bytes_of(const TensorView& view) {
  std::int64_t bytes = dtype_size(view.dtype);
  for (std::size_t i = 0; i < static_cast<std::size_t>(view.rank); ++i) bytes *= view.shape[i];
  return bytes;
}

/// The file's tensors, which are dense, in memory of the first device.
class DeviceCopy {
 public:
  explicit DeviceCopy(const Tensors& host) : host_(host), device_(host) {
    for (TensorView* view :
         {&device_.query, &device_.key, &device_.value, &device_.out, &device_.lse, &device_.block_table,
          &device_.block_table_rows, &device_.page_indptr, &device_.page_indices, &device_.sinks, &device_.query_scale,
          &device_.key_scale, &device_.value_scale}) {
      if (!view->present()) continue;
      const std::int64_t bytes = bytes_of(*view);
      memory_.emplace_back(bytes);
      if (bytes > 0) copy_to_device(memory_.back().data(), view->data, bytes);
      view->data = memory_.back().data();
      view->device = DeviceKind::kCuda;
    }
  }

  const Tensors& tensors() const noexcept { return device_; }
  void copy_outputs_back() const {
    for (const auto member : {&Tensors::out, &Tensors::lse}) {
      const TensorView& to = host_.*member;
      if (bytes_of(to) > 0) copy_to_host(to.data, (device_.*member).data, bytes_of(to));
    }
  }

 private:
  const Tensors& host_;
  Tensors device_;
  std::vector<DeviceMemory> memory_;
};

void compute_on_cpu(const RunInput& input, const ComputeOptions& options, RunResult& result) {
  const PlanTarget target = PlanTarget::cpu(options.threads);
  result.plan = make_plan(input.batch, target);
  result.kernel_reason = explain(*result.plan, input.tensors, {.backend = Backend::kCpu}).reason;
  result.machine = target.workers == 1 ? "1 thread" : fmt::format("{} threads", target.workers);
  result.timing = measure_on_host(input.batch, input.tensors, target, {.backend = Backend::kCpu}, options.repeat);
}

void compute_on_device(const RunInput& input, const ComputeOptions& options, RunResult& result) {
  const PlanTarget target = device_target(input.batch, 0, options.kernel);
  result.plan = make_plan(input.batch, target);
  result.machine = device_info(0).name;
  const DeviceCopy copy(input.tensors);
  const RunOptions run_options{.backend = Backend::kCuda, .kernel = options.kernel};
  result.kernel_reason = explain(to_device(*result.plan), copy.tensors(), run_options).reason;
  result.timing = measure_on_device(input.batch, copy.tensors(), target, run_options, options.repeat);
  copy.copy_outputs_back();
}

void compute_in_emulator(const RunInput& input, const ComputeOptions& options, RunResult& result) {
  const PlanTarget target = options.kernel == GpuKernel::kTcgen05 ? PlanTarget::b200() : PlanTarget::h100();
  result.plan = make_plan(input.batch, target);
  result.machine = fmt::format("a CPU, planned for {}", target.name);
  ProgressLine line;
  line.show(fmt::format("emulating {} items", result.plan->item_count()));
  const RunOptions run_options{
      .backend = Backend::kEmulator, .kernel = options.kernel, .emulator = {options.schedule, options.timeline}};
  result.kernel_reason = explain(*result.plan, input.tensors, run_options).reason;
  result.timing = measure_on_host(input.batch, input.tensors, target, run_options, options.repeat);
}

/// Threads ask for the CPU, a kernel for the GPU that there is.
Backend requested_backend(const ComputeOptions& options) {
  if (options.backend != Backend::kAuto) return options.backend;
  if (options.threads > 0) return Backend::kCpu;
  const bool asks_for_gpu = options.kernel != GpuKernel::kAuto && device_count() > 0;
  return asks_for_gpu ? Backend::kCuda : Backend::kAuto;
}

}  // namespace

RunResult compute(const RunInput& input, const ComputeOptions& options) {
  const Backend requested = requested_backend(options);
  const BackendChoice choice = choose_backend(input.batch, requested, options.kernel);
  RunResult result;
  result.backend = choice.backend;
  result.reason = choice.reason;
  const char* const name = backend_name(result.backend);
  if (options.threads > 0 && result.backend != Backend::kCpu) {
    fail("--threads has no meaning for --backend {}: only the CPU has threads to choose", name);
  }
  if (options.kernel != GpuKernel::kAuto && !runs_gpu_kernels(result.backend)) {
    fail("--kernel or --arch has no meaning for backend {}: it chooses a kernel of cuda or emulator", name);
  }
  switch (result.backend) {
    case Backend::kReference:
      result.kernel_reason = "the reference computes by the definition";
      result.machine = "1 thread";
      result.timing = measure_reference(input.batch, input.tensors, options.repeat);
      break;
    case Backend::kCuda:
      compute_on_device(input, options, result);
      break;
    case Backend::kEmulator:
      compute_in_emulator(input, options, result);
      break;
    default:
      compute_on_cpu(input, options, result);
  }
  result.kernel = result.timing.kernel;
  return result;
}

}  // namespace varlen::cli
