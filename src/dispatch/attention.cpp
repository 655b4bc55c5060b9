#include "varlen/attention.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>

#include "backend/cpu/cpu_backend.hpp"
#include "backend/cuda/cuda_backend.hpp"
#include "backend/emulator/emulator_backend.hpp"
#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "dispatch/select.hpp"
#include "dispatch/workspace.hpp"
#include "plan/plan_data.hpp"
#include "reference/reference.hpp"
#include "varlen/device.hpp"

namespace varlen {
namespace {

struct AlignedDelete {
  void operator()(void* data) const noexcept {
    ::operator delete (data, std::align_val_t{dispatch::kWorkspaceAlignment});
  }
};

std::unique_ptr<void, AlignedDelete> allocate_workspace(std::int64_t bytes) {
  if (bytes == 0) return nullptr;
  try {
    return std::unique_ptr<void, AlignedDelete>(
        ::operator new (static_cast<std::size_t>(bytes), std::align_val_t{dispatch::kWorkspaceAlignment}));
  } catch (const std::bad_alloc&) {
    refuse(ErrorCode::kOutOfMemory, "workspace.bytes", Error::kNoIndex, bytes, "is more memory than there is");
  }
}

/// The backend of a call whose arguments, but for the workspace, are right. Throws Error.
Backend checked_backend(const Plan& plan, const Tensors& tensors, const RunOptions& options) {
  validate_tensors(plan.data().batch, tensors);
  const Backend backend = dispatch::select(options.backend, tensors);
  if (backend == Backend::kReference) {
    refuse("options.backend", Error::kNoIndex, "reference", "has no plan: call attention()");
  }
  dispatch::check_emulator_options(options.emulator, backend);
  if (backend != Backend::kCuda) return backend;
  if (plan.data().on_device == nullptr) {
    refuse("plan", Error::kNoIndex, "host", "is in memory of the host only: call to_device()");
  }
  if (tensors.query.present() && tensors.query.device_index != cuda::device_of(plan)) {
    refuse("query.device_index", Error::kNoIndex, tensors.query.device_index, "is not the plan's device {}",
           cuda::device_of(plan));
  }
  return backend;
}

}  // namespace

std::int64_t workspace_bytes(const Plan& plan, Backend backend) {
  if (backend == Backend::kAuto) backend = plan.data().on_device == nullptr ? Backend::kCpu : Backend::kCuda;
  switch (backend) {
    case Backend::kCuda:
      return cuda::workspace_bytes(plan);
    case Backend::kEmulator:
      return emulator::workspace_bytes(plan);
    default:
      return cpu::workspace_bytes(plan);
  }
}

void run(const Plan& plan, const Tensors& tensors, Workspace workspace, const RunOptions& options) {
  const Backend backend = checked_backend(plan, tensors, options);
  dispatch::check_workspace(workspace, workspace_bytes(plan, backend), tensors);
  std::string kernel;
  if (backend == Backend::kCuda) {
    kernel = cuda::execute(plan, tensors, workspace, options.kernel, options.stream);
  } else if (backend == Backend::kEmulator) {
    kernel = emulator::execute(plan, tensors, workspace, options.kernel, options.emulator);
  } else {
    cpu::execute(plan, tensors, workspace, options.trace);
    if (plan.item_count() > 0) kernel = cpu::simd_target();
  }
  if (options.launched != nullptr) *options.launched = kernel;
}

KernelChoice explain(const Plan& plan, const Tensors& tensors, const RunOptions& options) {
  const Backend backend = checked_backend(plan, tensors, options);
  if (plan.item_count() == 0) return {"", "the plan has no items", ""};
  switch (backend) {
    case Backend::kCuda:
      return cuda::explain(plan, tensors, options.kernel);
    case Backend::kEmulator:
      return emulator::explain(plan, tensors, options.kernel);
    default:
      return dispatch::cpu_choice();
  }
}

void attention(const AttentionSpec& spec, const Requests& requests, const Tensors& tensors, Backend backend) {
  // Before a backend is chosen: which one depends on tensors that agree about where they are.
  const RaggedBatch ragged = canonical(spec, requests);
  validate_tensors(ragged, tensors);
  const Backend selected = dispatch::select(backend, tensors);
  if (selected == Backend::kReference) {
    reference::attention_into(ragged, tensors);
    return;
  }
  if (selected == Backend::kCuda) {
    const std::int32_t device = tensors.query.device_index;
    const Plan plan = to_device(make_plan(spec, requests, device_target(spec, requests, device)), device);
    const DeviceMemory memory(workspace_bytes(plan), device);
    run(plan, tensors, Workspace{memory.data(), memory.bytes()});
    synchronize(device);
    cuda::raise_report(plan);
    return;
  }
  const PlanTarget target = selected == Backend::kEmulator ? PlanTarget::h100() : PlanTarget::cpu(0);
  const Plan plan = make_plan(spec, requests, target);
  const std::int64_t bytes = workspace_bytes(plan, selected);
  const auto memory = allocate_workspace(bytes);
  run(plan, tensors, Workspace{memory.get(), bytes}, {.backend = selected});
}

}  // namespace varlen
