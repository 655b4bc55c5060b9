// Computing the input of `varlen run` on the backend that was chosen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/measure.hpp"
#include "cli/run_input.hpp"
#include "varlen/attention.hpp"
#include "varlen/check.hpp"
#include "varlen/plan.hpp"

namespace varlen::cli {

struct ComputeOptions {
  Backend backend = Backend::kAuto;
  GpuKernel kernel = GpuKernel::kAuto;
  std::int32_t threads = 0;  ///< 0: as many as there are; others choose the CPU
  std::int32_t repeat = 1;
  Schedule schedule;                ///< kEmulator
  std::string* timeline = nullptr;  ///< kEmulator: where the page of HTML goes, also if a kernel is at fault
};

struct RunResult {
  Backend backend = Backend::kCpu;
  std::string kernel;         ///< that was launched: as KernelChoice::kernel; "float64" of the reference
  std::string kernel_reason;  ///< as KernelChoice::reason
  std::string machine;        ///< what it ran on: "NVIDIA H200", "2 threads"
  std::string reason;         ///< why it was not the GPU, if somebody may wonder
  std::optional<Plan> plan;   ///< none for the reference
  Timing timing;
  std::optional<Comparison> comparison;
};

/// Fills the input's `out` and `lse`. Throws Error for options that the backend does not have.
RunResult compute(const RunInput& input, const ComputeOptions& options);

}  // namespace varlen::cli
