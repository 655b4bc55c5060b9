// The emulator backend: runs the GPU kernels of a plan on a CPU, one thread of one block after another, and checks
// every access that they make. For finding faults, not for speed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "plan/device_planner.hpp"
#include "varlen/attention.hpp"

namespace varlen::emulator {

/// All of them.
std::vector<KernelSupport> kernels();

/// Bytes that execute() needs in its workspace for this plan: the partial rows of split tiles.
std::int64_t workspace_bytes(const Plan& plan);

/// What execute() would run, if the plan has items.
KernelChoice explain(const Plan& plan, const Tensors& tensors, GpuKernel asked);
/// The kernel for all batches of a spec. Throws Error(kUnsupported).
KernelChoice choice_for(const RaggedBatch& batch, GpuKernel asked);

/// Runs the kernels of `plan` over tensors in host memory, which have been validated against the plan's batch. Throws
/// Error(kUnsupported) as kernel::select_shape() does, Error(kWorkspaceTooSmall), and Error(kInternal) with one
/// line for everything that a kernel does wrong. Returns the name of the forward kernel; empty if there is nothing to
/// compute.
const char* execute(const Plan& plan, const Tensors& tensors, Workspace workspace, GpuKernel asked = GpuKernel::kAuto,
                    const EmulatorOptions& options = {});

/// The same for plans made on the device, which here is the host. Throws Error(kUnsupported) for a batch that no kernel
/// computes and for limits that are too high. `memory`: the caller's, of planner_bytes(), or null.
std::unique_ptr<DevicePlanner> make_planner(RaggedBatch batch, const PlanTarget& target, const Limits& limits,
                                            void* memory);
std::int64_t planner_bytes(const RaggedBatch& batch, const PlanTarget& target, const Limits& limits);
/// Bytes that these need in their workspace, in every backend.
std::int64_t workspace_bytes(const RaggedBatch& batch, const PlanTarget& target, const Limits& limits);

}  // namespace varlen::emulator
