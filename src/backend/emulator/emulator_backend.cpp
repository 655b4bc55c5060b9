#include "backend/emulator/emulator_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "backend/emulator/describe_memory.hpp"
#include "backend/emulator/kernels.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/tensor_map.hpp"
#include "kernel/key_boxes.hpp"
#include "kernel/launch_parameters.hpp"
#include "kernel/shapes.hpp"
#include "plan/plan_data.hpp"

namespace varlen::emulator {
namespace {

constexpr std::int64_t kAlignment = 64;

using gpu::emulator::GlobalMemory;
using gpu::emulator::Machine;
using gpu::emulator::Role;

using ForwardKernel = Kernel (*)(kernel::Forward, Dtype);

template <int... kShapes>
constexpr std::array<ForwardKernel, sizeof...(kShapes)> forward_kernels(
    std::integer_sequence<int, kShapes...> /*shapes*/) {
  return {forward_kernel<kernel::kHeadDims[kShapes].qk, kernel::kHeadDims[kShapes].vo>...};
}
constexpr auto kForwardKernels = forward_kernels(std::make_integer_sequence<int, kernel::kShapes>());

Kernel select_forward_kernel(const RaggedBatch& batch, kernel::Forward forward) {
  return kForwardKernels[static_cast<std::size_t>(kernel::select_shape(batch))](forward, batch.input_dtype);
}

void describe_key_boxes(const RaggedBatch& batch, kernel::ForwardParameters& parameters) {
  const kernel::HeadDims compiled = kernel::kHeadDims[kernel::select_shape(batch)];
  const auto boxes = kernel::key_boxes(batch, parameters, kernel::longest_keys(batch), compiled);
  if (!boxes) return;
  parameters.key_boxes = {gpu::emulator::encode_tensor_map(boxes->key), gpu::emulator::encode_tensor_map(boxes->value),
                          boxes->bound};
}

void launch(Machine& machine, const Kernel& kernel, std::int64_t blocks, const kernel::ForwardParameters& parameters) {
  machine.launch({static_cast<int>(blocks), kernel.threads, kernel.shared_bytes},
                 [&kernel, &parameters] { kernel.run(parameters); });
}

/// Blocks of the merge: enough warps for one row each, no more than there are workers.
std::int64_t merge_blocks(const PlanData& plan) {
  std::int64_t rows = 0;
  for (const Merge& merge : plan.merges) rows += merge.query_count * merge.query_head_count;
  const std::int64_t warps = merge_kernel().threads / gpu::kWarpThreads;
  return std::min<std::int64_t>(ceil_div(rows, warps), plan.target.workers);
}

void expect_written(const GlobalMemory& memory, Role role) {
  const auto unwritten = memory.first_unwritten(role);
  if (unwritten) throw Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", *unwritten);
}

}  // namespace

std::int64_t workspace_bytes(const Plan& plan) {
  const std::int64_t floats = plan.partial_rows() * kernel::partial_row_floats(plan.data().batch.head_dim_vo);
  return ceil_div(floats * static_cast<std::int64_t>(sizeof(float)), kAlignment) * kAlignment;
}

void execute(const Plan& plan, const Tensors& tensors, Workspace workspace, GpuArchitecture architecture) {
  const PlanData& data = plan.data();
  kernel::ForwardParameters parameters = kernel::launch_parameters(data.batch, tensors);
  if (architecture == GpuArchitecture::kNewest) architecture = GpuArchitecture::kSm90a;
  const kernel::Forward forward_kind = kernel::select_forward(parameters, architecture);
  const Kernel forward = select_forward_kernel(data.batch, forward_kind);
  if (forward_kind == kernel::Forward::kWgmma) describe_key_boxes(data.batch, parameters);
  const std::int64_t bytes = emulator::workspace_bytes(plan);
  if (workspace.bytes < bytes || (bytes > 0 && workspace.data == nullptr)) {
    throw Error(ErrorCode::kWorkspaceTooSmall, "workspace.bytes", Error::kNoIndex, std::to_string(workspace.bytes),
                fmt::format("workspace.bytes = {} is less than workspace_bytes() = {}", workspace.bytes, bytes));
  }
  if (plan.item_count() == 0) return;

  parameters.plan = data.view();
  parameters.requests = data.batch.requests.data();
  parameters.partials = static_cast<float*>(workspace.data);
  parameters.merges = data.merges.data();
  parameters.merge_count = static_cast<std::int64_t>(data.merges.size());

  GlobalMemory memory = describe_memory(data, tensors, parameters.partials);
  Machine machine(memory);
  launch(machine, forward, std::min<std::int64_t>(plan.item_count(), plan.target().workers), parameters);
  if (!data.merges.empty()) {
    expect_written(memory, Role::kPartials);
    launch(machine, merge_kernel(), merge_blocks(data), parameters);
  }
  expect_written(memory, Role::kOut);
  expect_written(memory, Role::kLse);
}

}  // namespace varlen::emulator
