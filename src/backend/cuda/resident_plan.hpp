// A plan in memory of the device, copied there or made there, and the kernels that run it.
#pragma once

#include <cstdint>
#include <optional>

#include "backend/cuda/cuda_backend.hpp"
#include "backend/cuda/host_report.hpp"
#include "backend/cuda/launch.hpp"
#include "kernel/boxes.hpp"
#include "kernel/shapes.hpp"
#include "plan/cursor.hpp"
#include "varlen/attention.hpp"

namespace varlen {

/// Its memory is one allocation.
struct ResidentPlan {
  ResidentPlan() = default;
  ~ResidentPlan() {
    if (!is_lent) cuda::release(memory, device);
  }
  ResidentPlan(const ResidentPlan&) = delete;
  ResidentPlan& operator=(const ResidentPlan&) = delete;

  std::int32_t device = 0;
  void* memory = nullptr;
  bool is_lent = false;  // the memory is the caller's
  PlanView view{};
  const Merge* merges = nullptr;
  std::int64_t merge_count = 0;
  const PlanCounts* counts = nullptr;  // of a plan that was made on the device: these and not the others
  struct Forward {
    cuda::Kernel kernel{};
    int blocks = 0;
  };
  kernel::Forward own = kernel::Forward::kMma;  // the device's fastest
  Forward mma;
  Forward boxed;  // forward_wgmma or forward_tcgen05, if the device has one and the batch may have boxes
  kernel::LongestRequest longest;
  int merge_blocks = 0;
  std::optional<cuda::HostReport> report;  // of plans whose kernels may have something to report
  std::uint32_t* lock = nullptr;           // of FaultLine
};

namespace cuda {

/// Chooses the kernels for plans of at most so many items and merges, of requests no longer than plan.longest, on the
/// plan's device, which is the current one.
void choose_kernels(const RaggedBatch& batch, std::int64_t most_items, std::int64_t most_merges, ResidentPlan& plan);

/// Launches them. Returns the name of the forward kernel; empty if the plan's limits allow no items.
const char* run_kernels(const ResidentPlan& plan, const RaggedBatch& batch, const PlanTarget& target,
                        const Tensors& tensors, Workspace workspace, GpuKernel asked, void* stream);

/// The forward kernel that would be launched, and why.
KernelChoice explain_kernels(const ResidentPlan& plan, const RaggedBatch& batch, const PlanTarget& target,
                             const Tensors& tensors, GpuKernel asked);

}  // namespace cuda
}  // namespace varlen
