#include "cli/backend_choice.hpp"

#include "cli/failure.hpp"
#include "cli/options.hpp"
#include "cli/suggest.hpp"
#include "varlen/device.hpp"

namespace varlen::cli {

bool runs_gpu_kernels(Backend backend) { return backend == Backend::kCuda || backend == Backend::kEmulator; }

void require_device(Backend backend) {
  if (backend != Backend::kCuda || device_count() > 0) return;
  throw Error(ErrorCode::kUnsupported, "backend", Error::kNoIndex, "cuda", "--backend cuda: " + no_device_reason());
}

BackendChoice choose_backend(const Batch& batch, Backend requested, GpuKernel kernel) {
  require_device(requested);
  if (requested != Backend::kAuto) return {requested, ""};
  if (device_count() == 0) return {Backend::kCpu, ""};
  try {
    device_target(batch, 0, kernel);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    return {Backend::kCpu, error.what()};
  }
  return {Backend::kCuda, ""};
}

std::vector<std::string> gpu_kernel_names() {
  return {"auto", "forward_mma", "forward_wgmma", "forward_tcgen05", "newest", "sm_80", "sm_90a", "sm_100a"};
}

void add_kernel_option(CLI::App& command, std::string& arch) {
  command
      .add_option("--kernel,--arch", arch,
                  "The forward kernel that a GPU or the emulator prefers, by its name or its architecture")
      ->check(one_of(gpu_kernel_names()))
      ->capture_default_str();
}

std::vector<CLI::Option*> add_emulator_options(CLI::App& command, EmulatorSettings& settings, EmulatorRuns runs) {
  const bool several = runs == EmulatorRuns::kSeveral;
  std::vector<std::string> names = {"fixed", "random", "priority", "starve", "early", "late", "unordered"};
  if (several) names.emplace_back("all");
  std::vector<CLI::Option*> options = {
      command
          .add_option("--schedule", settings.schedule,
                      std::string("In which order warps go on and copies land") +
                          (several ? "; all: each of them in turn" : ""))
          ->check(one_of(names))
          ->capture_default_str(),
      command
          .add_option("--schedule-seed", settings.schedule_seed,
                      several ? "Of each case's first schedule; then the next" : "Of the schedule")
          ->check(positive())
          ->capture_default_str(),
      command
          .add_option("--trace-out", settings.trace_out, "Write what happens when in the only run as a page of HTML")
          ->type_name("FILE")};
  if (several) {
    options.push_back(
        command.add_option("--schedules", settings.schedules, "Runs of each case; default: one under each policy")
            ->check(positive()));
  }
  for (CLI::Option* option : options) option->group("Emulator");
  return options;
}

void require_emulator(const std::vector<CLI::Option*>& options, const std::string& backend) {
  for (const CLI::Option* option : options) {
    if (option->count() > 0 && backend != "emulator") {
      throw CLI::ValidationError(option->get_name(), "needs --backend emulator");
    }
  }
}

}  // namespace varlen::cli
