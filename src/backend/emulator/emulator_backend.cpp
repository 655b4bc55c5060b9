#include "backend/emulator/emulator_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "backend/emulator/run_kernels.hpp"
#include "kernel/launch_parameters.hpp"
#include "kernel/select.hpp"
#include "kernel/support.hpp"
#include "plan/plan_data.hpp"

namespace varlen::emulator {

std::vector<KernelSupport> kernels() {
  using kernel::Forward;
  return {kernel::support(Forward::kMma), kernel::support(Forward::kWgmma), kernel::support(Forward::kTcgen05)};
}

std::int64_t workspace_bytes(const Plan& plan) {
  return kernel::workspace_bytes(plan.partial_rows(), plan.data().batch.head_dim_vo);
}

KernelChoice explain(const Plan& plan, const Tensors& tensors, GpuKernel asked) {
  const PlanData& data = plan.data();
  return explain_kernels(data.batch, kernel::longest_request(data.batch), data.target, tensors, asked);
}

KernelChoice choice_for(const RaggedBatch& batch, GpuKernel asked) {
  return kernel::choice_for_spec(batch, kernel::offer_of_emulator(asked));
}

const char* execute(const Plan& plan, const Tensors& tensors, Workspace workspace, GpuKernel asked,
                    const EmulatorOptions& options) {
  const PlanData& data = plan.data();
  kernel::select_shape(data.batch);  // throws if no kernel computes it
  const std::int64_t bytes = emulator::workspace_bytes(plan);
  if (workspace.bytes < bytes || (bytes > 0 && workspace.data == nullptr)) {
    throw Error(ErrorCode::kWorkspaceTooSmall, "workspace.bytes", Error::kNoIndex, std::to_string(workspace.bytes),
                fmt::format("workspace.bytes = {} is less than workspace_bytes() = {}", workspace.bytes, bytes));
  }
  if (plan.item_count() == 0) return "";
  const std::int64_t workers = data.target.workers;
  const PlacedPlan placed{data.view(), data.merges.data(), nullptr, std::min(plan.item_count(), workers),
                          std::min(std::ssize(data.merges), workers)};
  return run_kernels(data, placed, data.batch, kernel::longest_request(data.batch), tensors, workspace, asked, options);
}

}  // namespace varlen::emulator
