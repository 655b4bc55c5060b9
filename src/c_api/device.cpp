// The entry points of varlen.h that concern devices and plans made on them.
#include "varlen/device.hpp"

#include <optional>
#include <string>

#include "c_api/guarded.hpp"
#include "c_api/structs.hpp"
#include "varlen.h"
#include "varlen/attention.hpp"

struct varlen_device_plan {
  varlen::DevicePlan plan;
};

namespace c_api = varlen::c_api;
using c_api::guarded;

int32_t varlen_device_count(void) { return varlen::device_count(); }

const char* varlen_no_device_reason(void) {
  thread_local std::string reason;
  const int code = guarded([] { reason = varlen::no_device_reason(); });
  return code == VARLEN_OK ? reason.c_str() : varlen_last_error();
}

int varlen_device_info(int32_t device, varlen_device* info) {
  return guarded([&] { c_api::from_device(varlen::device_info(device), info); });
}

int varlen_device_target(const varlen_batch* batch, int32_t device, int kernel, varlen_plan_target* target) {
  return guarded([&] {
    const varlen::GpuKernel asked = c_api::to_kernel(kernel, "kernel");
    c_api::from_target(varlen::device_target(c_api::to_batch(batch), device, asked), target);
  });
}

int varlen_device_target_within(const varlen_batch* spec, const varlen_limits* limits, int32_t device, int kernel,
                                varlen_plan_target* target) {
  return guarded([&] {
    const varlen::GpuKernel asked = c_api::to_kernel(kernel, "kernel");
    c_api::from_target(varlen::device_target(c_api::to_spec(spec), c_api::to_limits(limits), device, asked), target);
  });
}

int varlen_plan_to_device(const varlen_plan* plan, int32_t device, varlen_plan** copy) {
  return guarded([&] {
    c_api::require_pointer(copy, "copy");
    *copy = nullptr;
    c_api::require_pointer(plan, "plan");
    *copy = new varlen_plan{varlen::to_device(plan->plan, device)};
  });
}

int varlen_device_plan_create(const varlen_batch* spec, const varlen_limits* limits, const varlen_plan_target* target,
                              const varlen_device_plan_options* options, varlen_device_plan** plan) {
  return guarded([&] {
    c_api::require_pointer(plan, "plan");
    *plan = nullptr;
    *plan =
        new varlen_device_plan{varlen::DevicePlan(c_api::to_spec(spec), c_api::to_limits(limits),
                                                  c_api::to_target(target), c_api::to_device_plan_options(options))};
  });
}

int varlen_device_plan_bytes_for(const varlen_batch* spec, const varlen_limits* limits,
                                 const varlen_plan_target* target, const varlen_device_plan_options* options,
                                 int64_t* bytes) {
  return guarded([&] {
    c_api::require_pointer(bytes, "bytes");
    *bytes = varlen::device_plan_bytes(c_api::to_spec(spec), c_api::to_limits(limits), c_api::to_target(target),
                                       c_api::to_device_plan_options(options));
  });
}

void varlen_device_plan_destroy(varlen_device_plan* plan) { delete plan; }

int varlen_device_plan_bytes(const varlen_device_plan* plan, int64_t* bytes) {
  return guarded([&] {
    c_api::require_pointer(plan, "plan");
    c_api::require_pointer(bytes, "bytes");
    *bytes = plan->plan.bytes();
  });
}

int varlen_device_plan_workspace_bytes(const varlen_device_plan* plan, int64_t* bytes) {
  return guarded([&] {
    c_api::require_pointer(plan, "plan");
    c_api::require_pointer(bytes, "bytes");
    *bytes = varlen::workspace_bytes(plan->plan);
  });
}

int varlen_workspace_bytes_within(const varlen_batch* spec, const varlen_limits* limits,
                                  const varlen_plan_target* target, int64_t* bytes) {
  return guarded([&] {
    c_api::require_pointer(bytes, "bytes");
    *bytes = varlen::workspace_bytes(c_api::to_spec(spec), c_api::to_limits(limits), c_api::to_target(target));
  });
}

int varlen_device_plan_update(varlen_device_plan* plan, const varlen_device_requests* requests, void* stream) {
  return guarded([&] {
    c_api::require_pointer(plan, "plan");
    plan->plan.update(c_api::to_device_requests(requests), stream);
  });
}

int varlen_device_plan_update_from_host(varlen_device_plan* plan, const varlen_requests* requests, void* stream) {
  return guarded([&] {
    c_api::require_pointer(plan, "plan");
    plan->plan.update(c_api::to_requests(requests), stream);
  });
}

int varlen_device_plan_run(const varlen_device_plan* plan, const varlen_tensors* tensors, void* workspace,
                           int64_t workspace_bytes, const varlen_run_options* options) {
  return guarded([&] {
    c_api::require_pointer(plan, "plan");
    varlen::run(plan->plan, c_api::to_tensors(tensors), {workspace, workspace_bytes}, c_api::to_run_options(options));
  });
}

int varlen_device_plan_explain(const varlen_device_plan* plan, const varlen_tensors* tensors,
                               const varlen_run_options* options, varlen_kernel_choice* choice) {
  return guarded([&] {
    c_api::require_pointer(plan, "plan");
    c_api::from_choice(varlen::explain(plan->plan, c_api::to_tensors(tensors), c_api::to_run_options(options)), choice);
  });
}

int varlen_device_plan_status(const varlen_device_plan* plan) {
  return guarded([&] {
    c_api::require_pointer(plan, "plan");
    if (const std::optional<varlen::Error> error = plan->plan.status()) throw varlen::Error(*error);
  });
}

int varlen_device_plan_to_host(const varlen_device_plan* plan, varlen_plan** copy) {
  return guarded([&] {
    c_api::require_pointer(copy, "copy");
    *copy = nullptr;
    c_api::require_pointer(plan, "plan");
    *copy = new varlen_plan{plan->plan.to_host()};
  });
}
