#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_backend.hpp"
#include "backend/cuda/cuda_backend.hpp"
#include "backend/emulator/emulator_backend.hpp"
#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "dispatch/select.hpp"
#include "plan/offered_threads.hpp"
#include "varlen/attention.hpp"
#include "varlen/device.hpp"

namespace varlen {
namespace {

constexpr std::pair<Backend, const char*> kBackendNames[] = {{Backend::kAuto, "auto"},
                                                             {Backend::kCpu, "cpu"},
                                                             {Backend::kReference, "reference"},
                                                             {Backend::kCuda, "cuda"},
                                                             {Backend::kEmulator, "emulator"}};

struct GpuKernelName {
  GpuKernel kernel;
  const char* name;
  const char* architecture;
};
constexpr GpuKernelName kGpuKernelNames[] = {{GpuKernel::kAuto, "auto", "newest"},
                                             {GpuKernel::kMma, "forward_mma", "sm_80"},
                                             {GpuKernel::kWgmma, "forward_wgmma", "sm_90a"},
                                             {GpuKernel::kTcgen05, "forward_tcgen05", "sm_100a"}};

std::string compiler() {
#if defined(__clang__)
  return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("g++ {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

}  // namespace

const char* backend_name(Backend backend) noexcept {
  for (const auto& [value, name] : kBackendNames) {
    if (value == backend) return name;
  }
  return "unknown";
}

Backend backend_named(const std::string& name) {
  for (const auto& [value, known] : kBackendNames) {
    if (name == known) return value;
  }
  refuse("backend", Error::kNoIndex, name, "is not one of auto, cpu, reference, cuda, emulator");
}

const char* gpu_kernel_name(GpuKernel kernel) noexcept {
  for (const GpuKernelName& known : kGpuKernelNames) {
    if (known.kernel == kernel) return known.name;
  }
  return "unknown";
}

GpuKernel gpu_kernel_named(const std::string& name) {
  for (const GpuKernelName& known : kGpuKernelNames) {
    if (name == known.name || name == known.architecture) return known.kernel;
  }
  refuse("kernel", Error::kNoIndex, name,
         "is not one of auto, forward_mma, forward_wgmma, forward_tcgen05, newest, sm_80, sm_90a, sm_100a");
}

namespace dispatch {

namespace {

/// The first tensor that is present; null if none is, as in a batch without tokens.
const TensorView* first_present(const Tensors& tensors) {
  for (const TensorView* view : {&tensors.query, &tensors.key, &tensors.value, &tensors.out}) {
    if (view->present()) return view;
  }
  return nullptr;
}

}  // namespace

Backend select(Backend requested, const Tensors& tensors) {
  const TensorView* const first = first_present(tensors);
  Backend place = requested == Backend::kCuda ? Backend::kCuda : Backend::kCpu;
  if (first != nullptr) place = first->device == DeviceKind::kCuda ? Backend::kCuda : Backend::kCpu;
  switch (requested) {
    case Backend::kAuto:
      return place;
    case Backend::kCpu:
    case Backend::kReference:
    case Backend::kCuda:
    case Backend::kEmulator:
      if ((requested == Backend::kCuda) != (place == Backend::kCuda)) {
        refuse("backend", Error::kNoIndex, backend_name(requested),
               "cannot read the tensors, which are in memory of {}",
               place == Backend::kCuda ? "a CUDA device" : "the host");
      }
      return requested;
  }
  refuse("backend", Error::kNoIndex, static_cast<std::int32_t>(requested),
         "is not one of 0 (auto), 1 (cpu), 2 (reference), 3 (cuda), 4 (emulator)");
}

void check_emulator_options(const EmulatorOptions& options, Backend backend) {
  if (backend == Backend::kEmulator) return;
  if (options.schedule != Schedule{}) {
    refuse("options.emulator.schedule", Error::kNoIndex, schedule_policy_name(options.schedule.policy),
           "is not for backend {}: only the emulator has schedules", backend_name(backend));
  }
  if (options.timeline != nullptr) {
    refuse("options.emulator.timeline", Error::kNoIndex, "not null",
           "is not for backend {}: only the emulator has a timeline", backend_name(backend));
  }
}

KernelChoice cpu_choice() {
  return {cpu::simd_target(), "the fastest of this build's SIMD targets that this CPU can run", ""};
}

namespace {

KernelChoice choice_for(const AttentionSpec& spec, Backend backend, std::int32_t device, GpuKernel kernel) {
  const RaggedBatch batch = canonical(spec);
  switch (backend) {
    case Backend::kCuda:
      return cuda::choice_for(batch, device, kernel);
    case Backend::kEmulator:
      return emulator::choice_for(batch, kernel);
    case Backend::kReference:
      return {"float64", "the reference computes by the definition", ""};
    default:
      return cpu_choice();
  }
}

}  // namespace

}  // namespace dispatch

SpecSupport supports(const AttentionSpec& spec, Backend backend, std::int32_t device, GpuKernel kernel) {
  if (backend == Backend::kAuto) backend = device_count() > 0 ? Backend::kCuda : Backend::kCpu;
  try {
    const KernelChoice choice = dispatch::choice_for(spec, backend, device, kernel);
    return {true, choice.kernel, choice.reason, choice.field};
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument && error.code() != ErrorCode::kUnsupported) throw;
    return {false, "", error.what(), error.field()};
  }
}

BuildInfo build_info() {
  BuildInfo info;
  info.version = VARLEN_VERSION;
  info.build_type = VARLEN_BUILD_TYPE;
  info.compiler = compiler();
  info.simd_target = cpu::simd_target();
  info.simd_targets = cpu::simd_targets();
  info.threads = offered_threads();
  info.threads_source = offered_threads_source();
  return info;
}

std::vector<Support> support_table() {
  const std::string inputs = "fp32 fp16 bf16 fp8_e4m3 fp8_e5m2";
  const std::string outputs = "fp32 fp16 bf16, LSE fp32";
  const std::string head_dims = fmt::format("multiples of 8 up to {}, value may differ from query", kMaxHeadDim);
  const std::string gpu_head_dims = "multiples of 8 up to 576, value up to 512";
  const std::string masks = "full, causal, window, causal + window; soft cap; sinks";
  const std::string keys = "ragged, paged";
  const std::string gpu_inputs = "fp16 bf16 fp8_e4m3";
  return {{"cpu", inputs, outputs, head_dims, masks, keys, "", {}},
          {"reference", inputs, outputs, head_dims, masks, keys, "", {}},
          {"cuda", gpu_inputs, outputs, gpu_head_dims, masks, keys, cuda::no_device_reason(), cuda::kernels()},
          {"emulator", gpu_inputs, outputs, gpu_head_dims, masks, keys, "", emulator::kernels()}};
}

}  // namespace varlen
