// Plans made on the device: the public side of DevicePlanner.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "backend/cuda/cuda_backend.hpp"
#include "backend/emulator/emulator_backend.hpp"
#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "dispatch/select.hpp"
#include "dispatch/workspace.hpp"
#include "plan/device_planner.hpp"
#include "plan/limits.hpp"
#include "plan/target.hpp"
#include "varlen/device.hpp"

namespace varlen {
namespace {

/// What was reported of earlier calls.
void raise_report(const DevicePlanner& planner) {
  if (const std::optional<Error> error = planner.take_report()) throw Error(*error);
}

RaggedBatch without_requests(const AttentionSpec& spec, const Limits& limits) {
  RaggedBatch result = canonical(spec);
  result.most_requests = limits.requests;
  result.query_tokens = limits.query_tokens;
  result.key_tokens = limits.key_tokens;
  return result;
}

void check_backend(Backend backend) {
  if (backend == Backend::kAuto || backend == Backend::kCuda || backend == Backend::kEmulator) return;
  refuse(ErrorCode::kUnsupported, "backend", Error::kNoIndex, backend_name(backend),
         "makes no plans on a device: cuda and emulator do");
}

/// Memory that the caller lends to a plan.
void check_memory(const Workspace& memory, std::int64_t needed) {
  constexpr std::uintptr_t kAlignment = 256;
  if (memory.data == nullptr) {
    refuse("memory.data", Error::kNoIndex, "null", "although memory.bytes = {}", memory.bytes);
  }
  const std::uintptr_t excess = reinterpret_cast<std::uintptr_t>(memory.data) % kAlignment;
  if (excess != 0) {
    refuse("memory.data", Error::kNoIndex, fmt::format("{} modulo {}", excess, kAlignment),
           "must be aligned to {} bytes", kAlignment);
  }
  if (memory.bytes < needed) {
    refuse("memory.bytes", Error::kNoIndex, memory.bytes, "is less than device_plan_bytes() = {}", needed);
  }
}

}  // namespace

DevicePlan::DevicePlan(const AttentionSpec& spec, const Limits& limits, const PlanTarget& target,
                       const DevicePlanOptions& options) {
  validate(target);
  check_backend(options.backend);
  const bool is_lent = options.memory.data != nullptr || options.memory.bytes != 0;
  if (is_lent) check_memory(options.memory, device_plan_bytes(spec, limits, target, options));
  RaggedBatch ragged = without_requests(spec, limits);
  planner_ = options.backend == Backend::kEmulator
                 ? emulator::make_planner(std::move(ragged), target, limits, options.memory.data)
                 : cuda::make_planner(std::move(ragged), target, limits, options.device, options.memory.data);
}

std::int64_t device_plan_bytes(const AttentionSpec& spec, const Limits& limits, const PlanTarget& target,
                               const DevicePlanOptions& options) {
  validate(target);
  check_backend(options.backend);
  const RaggedBatch ragged = without_requests(spec, limits);
  return options.backend == Backend::kEmulator ? emulator::planner_bytes(ragged, target, limits)
                                               : cuda::planner_bytes(ragged, target, limits, options.device);
}

const Limits& DevicePlan::limits() const noexcept { return planner_->limits(); }
const PlanTarget& DevicePlan::target() const noexcept { return planner_->target(); }
std::int64_t DevicePlan::bytes() const noexcept { return planner_->bytes(); }

std::optional<Error> DevicePlan::status() const {
  const LengthFault fault = planner_->fault();
  std::optional<Error> reported = planner_->take_report();
  if (fault.rule == LengthRule::kNone) return reported;
  try {
    refuse(fault);
  } catch (const Error& error) {
    return error;
  }
}

Plan DevicePlan::to_host() const {
  if (std::optional<Error> error = status()) throw Error(*error);
  return Plan(planner_->read());
}

void DevicePlan::update(const DeviceRequests& requests, void* stream) const {
  raise_report(*planner_);
  check_presence(planner_->batch().page_size, {requests.query_indptr.present(), requests.query_lengths.present(),
                                               requests.key_indptr.present(), requests.key_lengths.present()});
  planner_->plan(requests, stream);
}

void DevicePlan::update(const Requests& requests, void* stream) const {
  raise_report(*planner_);
  check_within(with_requests(planner_->batch(), requests), requests, planner_->limits());
  planner_->plan_from_host(requests, stream);
}

std::int64_t workspace_bytes(const DevicePlan& plan) { return plan.planner().workspace_bytes(); }

std::int64_t workspace_bytes(const AttentionSpec& spec, const Limits& limits, const PlanTarget& target) {
  validate(target);
  return emulator::workspace_bytes(without_requests(spec, limits), target, limits);
}

namespace {

/// Throws Error unless the arguments of run(), but for the workspace, are right.
void check_run(const DevicePlanner& planner, const Tensors& tensors, const RunOptions& options) {
  if (options.backend != Backend::kAuto && options.backend != planner.backend()) {
    refuse("options.backend", Error::kNoIndex, backend_name(options.backend), "is not the plan's, {}",
           backend_name(planner.backend()));
  }
  dispatch::check_emulator_options(options.emulator, planner.backend());
  validate_tensors(planner.batch(), tensors);
  dispatch::select(planner.backend(), tensors);
  if (tensors.query.present() && tensors.query.device_index != planner.device()) {
    refuse("query.device_index", Error::kNoIndex, tensors.query.device_index, "is not the plan's device {}",
           planner.device());
  }
}

/// The same with the workspace, and addresses.
void check_run(const DevicePlanner& planner, const Tensors& tensors, Workspace workspace, const RunOptions& options) {
  check_run(planner, tensors, options);
  dispatch::check_workspace(workspace, planner.workspace_bytes(), tensors);
  planner.check_addresses(tensors, workspace);
}

}  // namespace

KernelChoice explain(const DevicePlan& plan, const Tensors& tensors, const RunOptions& options) {
  const DevicePlanner& planner = plan.planner();
  check_run(planner, tensors, options);
  return planner.explain(tensors, options);
}

void run(const DevicePlan& plan, const Tensors& tensors, Workspace workspace, const RunOptions& options) {
  const DevicePlanner& planner = plan.planner();
  raise_report(planner);
  check_run(planner, tensors, workspace, options);
  planner.run(tensors, workspace, options);
}

namespace {

template <class AnyRequests>
void update_and_run(const DevicePlan& plan, const AnyRequests& requests, const Tensors& tensors, Workspace workspace,
                    const RunOptions& options) {
  const DevicePlanner& planner = plan.planner();
  raise_report(planner);
  check_run(planner, tensors, workspace, options);  // before the planner is launched
  plan.update(requests, options.stream);
  planner.run(tensors, workspace, options);
}

}  // namespace

void attention(const DevicePlan& plan, const DeviceRequests& requests, const Tensors& tensors, Workspace workspace,
               const RunOptions& options) {
  update_and_run(plan, requests, tensors, workspace, options);
}

void attention(const DevicePlan& plan, const Requests& requests, const Tensors& tensors, Workspace workspace,
               const RunOptions& options) {
  update_and_run(plan, requests, tensors, workspace, options);
}

}  // namespace varlen
