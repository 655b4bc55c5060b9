// Computing a call several times and timing it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "varlen/attention.hpp"
#include "varlen/device.hpp"

namespace varlen::cli {

double seconds_now();

/// One entry per repetition, in seconds.
struct Timing {
  std::string kernel;  ///< that was launched: as KernelChoice::kernel; "float64" of the reference
  std::vector<double> run;
  std::vector<double> plan_and_run;
};

/// Plans and runs on the CPU or in the emulator `repeat` times, the workspace allocated once, before.
Timing measure_on_host(const Batch& batch, const Tensors& tensors, const PlanTarget& target, const RunOptions& options,
                       std::int32_t repeat);
/// The same on the first CUDA device, where the tensors are; each run waits for its result.
Timing measure_on_device(const Batch& batch, const Tensors& tensors, const PlanTarget& target,
                         const RunOptions& options, std::int32_t repeat);
/// Once more, noting what ran when.
RunTrace trace_cpu(const Plan& plan, const Tensors& tensors);
/// Dense tensors in memory of the first CUDA device. Block table and sinks are copied; queries, keys and values are
/// random numbers of their dtype that begin again after some megabytes, which no kernel can tell.
class CudaTensors {
 public:
  explicit CudaTensors(const Tensors& host);
  const Tensors& tensors() const noexcept { return tensors_; }

 private:
  Tensors tensors_;
  std::vector<DeviceMemory> memory_;
};

/// The same on a CUDA device: plan and workspace are copied there before. A run is timed by the wall clock over as many
/// launches as take some milliseconds; plan_and_run includes copying the plan.
Timing measure_cuda(const Batch& batch, const CudaTensors& tensors, const PlanTarget& target, GpuKernel kernel,
                    std::int32_t repeat);
/// The reference, which has no plan.
Timing measure_reference(const Batch& batch, const Tensors& tensors, std::int32_t repeat);

/// The last end of an item over the mean of the workers' busy times; 1 if there is no item.
double measured_balance(const RunTrace& trace, std::int32_t workers);

}  // namespace varlen::cli
