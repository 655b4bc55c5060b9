// The entry points of varlen.h, but for those of devices.
#include <array>
#include <cstdio>
#include <string>

#include "c_api/guarded.hpp"
#include "c_api/structs.hpp"
#include "varlen.h"
#include "varlen/attention.hpp"

using varlen::ErrorCode;
using varlen::c_api::guarded;

namespace {

static_assert(VARLEN_OK == static_cast<int>(ErrorCode::kOk));
static_assert(VARLEN_INVALID_ARGUMENT == static_cast<int>(ErrorCode::kInvalidArgument));
static_assert(VARLEN_UNSUPPORTED == static_cast<int>(ErrorCode::kUnsupported));
static_assert(VARLEN_OUT_OF_MEMORY == static_cast<int>(ErrorCode::kOutOfMemory));
static_assert(VARLEN_WORKSPACE_TOO_SMALL == static_cast<int>(ErrorCode::kWorkspaceTooSmall));
static_assert(VARLEN_INPUT_OUTPUT == static_cast<int>(ErrorCode::kInputOutput));
static_assert(VARLEN_INTERNAL == static_cast<int>(ErrorCode::kInternal));
static_assert(VARLEN_DEVICE_FAILURE == static_cast<int>(ErrorCode::kDeviceFailure));
static_assert(VARLEN_BACKEND_AUTO == static_cast<int>(varlen::Backend::kAuto));
static_assert(VARLEN_BACKEND_CPU == static_cast<int>(varlen::Backend::kCpu));
static_assert(VARLEN_BACKEND_REFERENCE == static_cast<int>(varlen::Backend::kReference));
static_assert(VARLEN_BACKEND_CUDA == static_cast<int>(varlen::Backend::kCuda));
static_assert(VARLEN_BACKEND_EMULATOR == static_cast<int>(varlen::Backend::kEmulator));
static_assert(VARLEN_KERNEL_AUTO == static_cast<int>(varlen::GpuKernel::kAuto));
static_assert(VARLEN_KERNEL_MMA == static_cast<int>(varlen::GpuKernel::kMma));
static_assert(VARLEN_KERNEL_WGMMA == static_cast<int>(varlen::GpuKernel::kWgmma));
static_assert(VARLEN_KERNEL_TCGEN05 == static_cast<int>(varlen::GpuKernel::kTcgen05));

// Fixed room, so that reporting that there is no memory needs none.
struct LastError {
  ErrorCode code = ErrorCode::kOk;
  std::int64_t index = varlen::Error::kNoIndex;
  std::array<char, 1024> message{};
  std::array<char, 64> field{};
  std::array<char, 128> value{};
};
thread_local LastError last_error;

template <std::size_t kSize>
void keep(std::array<char, kSize>& room, const char* text) noexcept {
  std::snprintf(room.data(), room.size(), "%s", text);
}

}  // namespace

int varlen::c_api::fail(ErrorCode code, const char* message, const char* field, std::int64_t index,
                        const char* value) noexcept {
  last_error.code = code;
  last_error.index = index;
  keep(last_error.message, message);
  keep(last_error.field, field);
  keep(last_error.value, value);
  return static_cast<int>(code);
}

const char* varlen_version(void) { return VARLEN_VERSION; }

int varlen_build_info(varlen_build* build) {
  return guarded([&] { varlen::c_api::from_build(varlen::build_info(), build); });
}

const char* varlen_backend_name(int backend) { return varlen::backend_name(static_cast<varlen::Backend>(backend)); }
int varlen_backend_named(const char* name, int* backend) {
  return guarded([&] {
    varlen::c_api::require_pointer(name, "name");
    varlen::c_api::require_pointer(backend, "backend");
    *backend = static_cast<int>(varlen::backend_named(name));
  });
}

const char* varlen_kernel_name(int kernel) { return varlen::gpu_kernel_name(static_cast<varlen::GpuKernel>(kernel)); }
int varlen_kernel_named(const char* name, int* kernel) {
  return guarded([&] {
    varlen::c_api::require_pointer(name, "name");
    varlen::c_api::require_pointer(kernel, "kernel");
    *kernel = static_cast<int>(varlen::gpu_kernel_named(name));
  });
}

const char* varlen_last_error(void) { return last_error.message.data(); }
int varlen_last_error_code(void) { return static_cast<int>(last_error.code); }
const char* varlen_last_error_field(void) { return last_error.field.data(); }
int64_t varlen_last_error_index(void) { return last_error.index; }
const char* varlen_last_error_value(void) { return last_error.value.data(); }

int varlen_validate(const varlen_batch* batch, const varlen_tensors* tensors) {
  return guarded([&] {
    const varlen::Batch given = varlen::c_api::to_batch(batch);
    if (tensors == nullptr) return varlen::validate(given);
    varlen::validate(given, varlen::c_api::to_tensors(tensors));
  });
}

int varlen_supports(const varlen_batch* spec, int backend, int32_t device, int kernel, varlen_kernel_choice* choice) {
  return guarded([&] {
    const varlen::SpecSupport support =
        varlen::supports(varlen::c_api::to_spec(spec), varlen::c_api::to_backend(backend), device,
                         varlen::c_api::to_kernel(kernel, "kernel"));
    varlen::c_api::from_support(support, choice);
  });
}

int varlen_plan_target_named(const char* name, varlen_plan_target* target) {
  return guarded([&] {
    varlen::c_api::require_pointer(name, "name");
    varlen::c_api::from_target(varlen::PlanTarget::named(name), target);
  });
}

int varlen_plan_create(const varlen_batch* batch, const varlen_plan_target* target, varlen_plan** plan) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    *plan = nullptr;
    const varlen::PlanTarget plan_target =
        target == nullptr ? varlen::PlanTarget::cpu(0) : varlen::c_api::to_target(target);
    *plan = new varlen_plan{varlen::make_plan(varlen::c_api::to_batch(batch), plan_target)};
  });
}

void varlen_plan_destroy(varlen_plan* plan) { delete plan; }

int varlen_plan_item_count(const varlen_plan* plan, int64_t* count) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::c_api::require_pointer(count, "count");
    *count = plan->plan.item_count();
  });
}

int varlen_plan_item(const varlen_plan* plan, int64_t index, varlen_work_item* item) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    const std::int64_t count = plan->plan.item_count();
    if (index < 0 || index >= count) {
      varlen::c_api::refuse("index", fmt::to_string(index), fmt::format(" is not among the plan's {} items", count));
    }
    varlen::c_api::from_item(plan->plan.item(index), item);
  });
}

int varlen_plan_report(const varlen_plan* plan, varlen_report* report) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::c_api::from_report(plan->plan.report(), report);
  });
}

int varlen_workspace_bytes(const varlen_plan* plan, int64_t* bytes) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::c_api::require_pointer(bytes, "bytes");
    *bytes = varlen::workspace_bytes(plan->plan);
  });
}

int varlen_run(const varlen_plan* plan, const varlen_tensors* tensors, void* workspace, int64_t workspace_bytes) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::run(plan->plan, varlen::c_api::to_tensors(tensors), {workspace, workspace_bytes});
  });
}

int varlen_workspace_bytes_for(const varlen_plan* plan, int backend, int64_t* bytes) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::c_api::require_pointer(bytes, "bytes");
    *bytes = varlen::workspace_bytes(plan->plan, varlen::c_api::to_backend(backend));
  });
}

int varlen_run_with(const varlen_plan* plan, const varlen_tensors* tensors, void* workspace, int64_t workspace_bytes,
                    const varlen_run_options* options) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::run(plan->plan, varlen::c_api::to_tensors(tensors), {workspace, workspace_bytes},
                varlen::c_api::to_run_options(options));
  });
}

int varlen_explain(const varlen_plan* plan, const varlen_tensors* tensors, const varlen_run_options* options,
                   varlen_kernel_choice* choice) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::c_api::from_choice(
        varlen::explain(plan->plan, varlen::c_api::to_tensors(tensors), varlen::c_api::to_run_options(options)),
        choice);
  });
}

int varlen_attention(const varlen_batch* batch, const varlen_tensors* tensors, int backend) {
  return guarded([&] {
    varlen::attention(varlen::c_api::to_batch(batch), varlen::c_api::to_tensors(tensors),
                      static_cast<varlen::Backend>(backend));
  });
}
