#include "backend/emulator/emulator_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "backend/emulator/describe_memory.hpp"
#include "backend/emulator/kernels.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/tensor_map.hpp"
#include "kernel/boxes.hpp"
#include "kernel/launch_parameters.hpp"
#include "kernel/shapes.hpp"
#include "plan/plan_data.hpp"

namespace varlen::emulator {
namespace {

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

bool encode_tensor_map(const gpu::TensorBox& box, gpu::TensorMap& map) {
  map = gpu::emulator::encode_tensor_map(box);
  return true;
}

void launch(Machine& machine, const Kernel& kernel, std::int64_t blocks, std::int64_t draws,
            const kernel::ForwardParameters& parameters) {
  machine.launch({static_cast<int>(blocks), kernel.threads, kernel.shared_bytes, draws},
                 [&kernel, &parameters] { kernel.run(parameters); });
}

std::int64_t merge_blocks(const PlanData& plan) {
  return std::min<std::int64_t>(std::ssize(plan.merges), plan.target.workers);
}

void expect_written(const GlobalMemory& memory, Role role) {
  const auto unwritten = memory.first_unwritten(role);
  if (unwritten) throw Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", *unwritten);
}

}  // namespace

std::int64_t workspace_bytes(const Plan& plan) {
  return kernel::workspace_bytes(plan.partial_rows(), plan.data().batch.head_dim_vo);
}

void execute(const Plan& plan, const Tensors& tensors, Workspace workspace, GpuArchitecture architecture) {
  const PlanData& data = plan.data();
  kernel::ForwardParameters parameters = kernel::launch_parameters(data.batch, tensors);
  std::optional<kernel::Boxes> boxes;
  if (architecture != GpuArchitecture::kSm80) {
    boxes = kernel::make_boxes(data.batch, data.target, tensors, parameters, kernel::longest_request(data.batch),
                               encode_tensor_map);
  }
  if (boxes) parameters.boxes = *boxes;
  const Kernel forward = select_forward_kernel(data.batch, boxes ? kernel::Forward::kWgmma : kernel::Forward::kMma);
  const std::int64_t bytes = emulator::workspace_bytes(plan);
  if (workspace.bytes < bytes || (bytes > 0 && workspace.data == nullptr)) {
    throw Error(ErrorCode::kWorkspaceTooSmall, "workspace.bytes", Error::kNoIndex, std::to_string(workspace.bytes),
                fmt::format("workspace.bytes = {} is less than workspace_bytes() = {}", workspace.bytes, bytes));
  }
  if (plan.item_count() == 0) return;

  parameters.plan = data.view();
  parameters.requests = data.batch.requests.data();
  kernel::place_workspace(workspace, parameters);
  parameters.merges = data.merges.data();
  parameters.merge_count = static_cast<std::int64_t>(data.merges.size());

  GlobalMemory memory = describe_memory(data, tensors, parameters);
  Machine machine(memory);
  const std::int64_t blocks = std::min<std::int64_t>(plan.item_count(), plan.target().workers);
  *parameters.counter = 0;
  launch(machine, forward, blocks, plan.item_count() - blocks, parameters);
  if (!data.merges.empty()) {
    expect_written(memory, Role::kPartials);
    launch(machine, merge_kernel(), merge_blocks(data), 0, parameters);
  }
  expect_written(memory, Role::kOut);
  expect_written(memory, Role::kLse);
}

}  // namespace varlen::emulator
