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
#include "kernel/shapes.hpp"

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

Kernel select_forward_kernel(const RaggedBatch& batch, kernel::Forward forward) {
  return kForwardKernels[static_cast<std::size_t>(kernel::select_shape(batch))](forward, batch.input_dtype);
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
  WrittenTrace(const EmulatorOptions& options, kernel::Forward forward) : options_(options), forward_(forward) {}
  ~WrittenTrace() {
    if (options_.timeline == nullptr) return;
    *options_.timeline =
        trace_.page(fmt::format("{} under schedule {}, seed {}", kernel::name(forward_),
                                schedule_policy_name(options_.schedule.policy), options_.schedule.seed));
  }
  WrittenTrace(const WrittenTrace&) = delete;
  WrittenTrace& operator=(const WrittenTrace&) = delete;
  Trace* trace() { return options_.timeline == nullptr ? nullptr : &trace_; }

 private:
  const EmulatorOptions& options_;
  const kernel::Forward forward_;
  Trace trace_;
};

void expect_written(const GlobalMemory& memory, Role role) {
  const auto unwritten = memory.first_unwritten(role);
  if (unwritten) throw Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", *unwritten);
}

}  // namespace

const char* run_kernels(const PlanData& data, const PlacedPlan& plan, const RaggedBatch& batch,
                        const kernel::LongestRequest& longest, const Tensors& tensors, Workspace workspace,
                        GpuArchitecture architecture, const EmulatorOptions& options) {
  kernel::ForwardParameters parameters = kernel::launch_parameters(batch, tensors);
  kernel::Forward forward = kernel::forward_of(architecture);
  const auto boxes = kernel::make_boxes(forward, batch, data.target, tensors, parameters, longest, encode_tensor_map);
  if (boxes) {
    parameters.boxes = *boxes;
  } else {
    forward = kernel::Forward::kMma;
  }
  parameters.plan = plan.view;
  parameters.requests = plan.view.requests;
  parameters.merges = plan.merges;
  parameters.merge_count = std::ssize(data.merges);
  parameters.counts = plan.counts;
  parameters.faults = plan.faults;
  kernel::place_workspace(workspace, parameters);

  WrittenTrace written(options, forward);
  const Kernel forward_kernel = select_forward_kernel(batch, forward);
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
  return kernel::name(forward);
}

}  // namespace varlen::emulator
