// Which backend computes: --backend, --kernel, and where there is a GPU.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "varlen/attention.hpp"
#include "varlen/batch.hpp"

namespace varlen::cli {

/// Does it run the GPU kernels, on a device or emulated?
bool runs_gpu_kernels(Backend backend);

/// Throws Error if the backend is kCuda and there is no device, saying why.
void require_device(Backend backend);

struct BackendChoice {
  Backend backend = Backend::kCpu;  ///< never kAuto
  std::string reason;               ///< kAuto on a machine with a GPU: why it is not the GPU; else empty
};
/// kAuto becomes kCuda where there is a device whose kernels compute the batch, else kCpu. Throws as require_device().
BackendChoice choose_backend(const Batch& batch, Backend requested, GpuKernel kernel);

/// What gpu_kernel_named() takes.
std::vector<std::string> gpu_kernel_names();
/// --kernel, or --arch, of CUDA and the emulator.
void add_kernel_option(CLI::App& command, std::string& arch);

/// What only the emulator can be asked for.
struct EmulatorSettings {
  std::string schedule = "fixed";
  std::uint64_t schedule_seed = 1;
  std::int64_t schedules = 0;
  std::string trace_out;
};
enum class EmulatorRuns : std::uint8_t { kOne, kSeveral };
/// Returns the options, for require_emulator(). With several runs also those that only these have.
std::vector<CLI::Option*> add_emulator_options(CLI::App& command, EmulatorSettings& settings, EmulatorRuns runs);
/// Throws CLI::ValidationError if one of them was given and the backend is another.
void require_emulator(const std::vector<CLI::Option*>& options, const std::string& backend);

}  // namespace varlen::cli
