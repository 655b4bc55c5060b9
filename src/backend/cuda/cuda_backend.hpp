// The CUDA backend: a plan's arrays in device memory, and launches over them. cuda_backend.cpp implements it; a build
// without CUDA has no_cuda.cpp instead, where there is no device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "batch/ragged_batch.hpp"
#include "plan/device_planner.hpp"
#include "plan/plan_data.hpp"
#include "varlen/attention.hpp"
#include "varlen/device.hpp"

namespace varlen::cuda {

std::int32_t device_count() noexcept;
std::string no_device_reason();
DeviceInfo device_info(std::int32_t device);
/// Those that run on the first device; none if there is none.
std::vector<KernelSupport> kernels();

/// Throws Error(kUnsupported) for a batch that no kernel computes on this device.
PlanTarget target_for(const RaggedBatch& batch, std::int32_t device, GpuKernel asked);
/// The same for any requests within limits; `batch` has none.
PlanTarget target_for(const RaggedBatch& batch, const Limits& limits, std::int32_t device, GpuKernel asked);
/// Copies what kernels read of a plan. Throws Error(kUnsupported) likewise.
std::shared_ptr<const ResidentPlan> upload(const PlanData& plan, std::int32_t device);

/// Of a plan that was uploaded.
std::int32_t device_of(const Plan& plan);

/// Bytes of partial rows. Exact.
std::int64_t workspace_bytes(const Plan& plan);
/// Throws what runs of the plan have reported, once. Does not wait.
void raise_report(const Plan& plan);
/// Launches the plan's kernels on `stream`. Plan, workspace and tensors are on one device, validated but for that.
/// Returns the name of the kernel that computes; empty if there is nothing to compute.
const char* execute(const Plan& plan, const Tensors& tensors, Workspace workspace, GpuKernel asked, void* stream);

/// What execute() would launch, if the plan has items.
KernelChoice explain(const Plan& plan, const Tensors& tensors, GpuKernel asked);
/// The kernel for all batches of a spec. Throws Error(kUnsupported).
KernelChoice choice_for(const RaggedBatch& batch, std::int32_t device, GpuKernel asked);

/// Plans that are made on the device. Throws Error(kUnsupported) for a batch that no kernel computes and for limits
/// that are too high. `memory`: the caller's, of planner_bytes(), or null.
std::unique_ptr<DevicePlanner> make_planner(RaggedBatch batch, const PlanTarget& target, const Limits& limits,
                                            std::int32_t device, void* memory);
std::int64_t planner_bytes(const RaggedBatch& batch, const PlanTarget& target, const Limits& limits,
                           std::int32_t device);

void* allocate(std::int64_t bytes, std::int32_t device);
void release(void* memory, std::int32_t device) noexcept;
void copy_to_device(void* to, const void* from, std::int64_t bytes);
void copy_to_host(void* to, const void* from, std::int64_t bytes);
void synchronize(std::int32_t device);

}  // namespace varlen::cuda
