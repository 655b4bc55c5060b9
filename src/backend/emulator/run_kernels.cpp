#include "backend/emulator/run_kernels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <utility>

#include "backend/emulator/describe_memory.hpp"
#include "backend/emulator/kernels.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/tensor_map.hpp"
#include "gpu/emulator/trace.hpp"
#include "kernel/launch_parameters.hpp"
#include "kernel/select.hpp"
#include "kernel/support.hpp"

namespace varlen::emulator {
namespace {

using gpu::emulator::GlobalMemory;
using gpu::emulator::Machine;
using gpu::emulator::Role;
using gpu::emulator::Trace;

using ForwardKernel = Kernel (*)(kernel::Forward, Dtype);

template <int... kShapes>
constexpr std::array<ForwardKernel, sizeof...(kShapes)> forward_kernels(
    std::integer_sequence<int, kShapes...> /*shapes*/) {
  return {forward_kernel<kernel::kHeadDims[kShapes].qk, kernel::kHeadDims[kShapes].vo>...};
}
constexpr auto kForwardKernels = forward_kernels(std::make_integer_sequence<int, kernel::kShapes>());

Kernel forward_kernel_of(const kernel::Selection& selection, Dtype input_dtype) {
  return kForwardKernels[static_cast<std::size_t>(selection.shape)](selection.forward, input_dtype);
}

bool encode_tensor_map(const gpu::TensorBox& box, gpu::TensorMap& map) {
  map = gpu::emulator::encode_tensor_map(box);
  return true;
}

void launch(Machine& machine, const Kernel& kernel, std::int64_t blocks, std::int64_t draws,
            const kernel::ForwardParameters& parameters, const Schedule& schedule, Trace* trace) {
  machine.launch({static_cast<int>(blocks), kernel.threads, kernel.shared_bytes, draws, schedule.seed, schedule, trace,
                  kernel.barrier_names},
                 [&kernel, &parameters] { kernel.run(parameters); });
}

/// Draws the timeline in the end, whatever ends the run.
class WrittenTrace {
 public:
  WrittenTrace(const EmulatorOptions& options, const Kernel& kernel) : options_(options), kernel_(kernel) {}
  ~WrittenTrace() {
    if (options_.timeline == nullptr) return;
    *options_.timeline =
        trace_.page(fmt::format("{} under schedule {}, seed {}", kernel_.name,
                                schedule_policy_name(options_.schedule.policy), options_.schedule.seed));
  }
  WrittenTrace(const WrittenTrace&) = delete;
  WrittenTrace& operator=(const WrittenTrace&) = delete;
  Trace* trace() { return options_.timeline == nullptr ? nullptr : &trace_; }

 private:
  const EmulatorOptions& options_;
  const Kernel& kernel_;
  Trace trace_;
};

void expect_written(const GlobalMemory& memory, Role role) {
  const auto unwritten = memory.first_unwritten(role);
  if (unwritten) throw Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", *unwritten);
}

}  // namespace

const char* run_kernels(const PlanData& data, const PlacedPlan& plan, const RaggedBatch& batch,
                        const kernel::LongestRequest& longest, const Tensors& tensors, Workspace workspace,
                        GpuKernel asked, const EmulatorOptions& options) {
  kernel::ForwardParameters parameters = kernel::launch_parameters(batch, tensors);
  const kernel::Selection selection = kernel::select(batch, longest, kernel::offer_of_emulator(asked), data.target,
                                                     tensors, parameters, encode_tensor_map, parameters.boxes);
  parameters.plan = plan.view;
  parameters.requests = plan.view.requests;
  parameters.merges = plan.merges;
  parameters.merge_count = std::ssize(data.merges);
  parameters.counts = plan.counts;
  parameters.faults = plan.faults;
  kernel::place_workspace(workspace, parameters);

  const Kernel forward_kernel = forward_kernel_of(selection, batch.input_dtype);
  WrittenTrace written(options, forward_kernel);
  GlobalMemory memory = describe_memory(data, tensors, parameters);
  if (plan.counts != nullptr && plan.counts->is_made == 0) memory.share_results();
  Machine machine(memory);
  const std::int64_t items = item_count(data.view());
  *parameters.counter = 0;
  launch(machine, forward_kernel, plan.blocks, std::max<std::int64_t>(0, items - plan.blocks), parameters,
         options.schedule, written.trace());
  if (plan.merge_blocks > 0) {
    expect_written(memory, Role::kPartials);
    launch(machine, merge_kernel(), plan.merge_blocks, 0, parameters, options.schedule, written.trace());
  }
  expect_written(memory, Role::kOut);
  expect_written(memory, Role::kLse);
  return forward_kernel.name;
}

KernelChoice explain_kernels(const RaggedBatch& batch, const kernel::LongestRequest& longest, const PlanTarget& target,
                             const Tensors& tensors, GpuKernel asked) {
  const kernel::ForwardParameters parameters = kernel::launch_parameters(batch, tensors);
  kernel::Boxes boxes{};
  const kernel::Selection selection = kernel::select(batch, longest, kernel::offer_of_emulator(asked), target, tensors,
                                                     parameters, encode_tensor_map, boxes);
  return kernel::choice_of(selection, batch, target);
}

}  // namespace varlen::emulator
