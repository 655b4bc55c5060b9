// The kernels of a plan, one after another, with every access checked.
#pragma once

#include <cstdint>

#include "kernel/boxes.hpp"
#include "plan/plan_data.hpp"
#include "varlen/attention.hpp"

namespace varlen::emulator {

/// A plan where the kernels find it.
struct PlacedPlan {
  PlanView view;
  const Merge* merges;
  const PlanCounts* counts;  // null: those of the view and of `data`
  std::int64_t blocks;
  std::int64_t merge_blocks;
  kernel::FaultLine faults = {};
};

/// `batch` and `longest` are what the launches know, `data` is what the plan is. Throws Error(kInternal) with one line
/// for everything that a kernel does wrong. Returns the name of the forward kernel.
const char* run_kernels(const PlanData& data, const PlacedPlan& plan, const RaggedBatch& batch,
                        const kernel::LongestRequest& longest, const Tensors& tensors, Workspace workspace,
                        GpuKernel asked, const EmulatorOptions& options);

/// The forward kernel that it would run, and why.
KernelChoice explain_kernels(const RaggedBatch& batch, const kernel::LongestRequest& longest, const PlanTarget& target,
                             const Tensors& tensors, GpuKernel asked);

}  // namespace varlen::emulator
