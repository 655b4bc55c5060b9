// DevicePlans in the emulator.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "backend/emulator/emulator_backend.hpp"
#include "backend/emulator/kernels.hpp"
#include "backend/emulator/run_kernels.hpp"
#include "gpu/emulator/operations.hpp"
#include "kernel/launch_parameters.hpp"
#include "kernel/planning.hpp"
#include "kernel/select.hpp"
#include "kernel/take_report.hpp"

namespace varlen::emulator {
namespace {

using gpu::emulator::GlobalMemory;
using gpu::emulator::Machine;
using gpu::emulator::Role;

constexpr std::int64_t kSharedBytes = 227 * 1024;  // of a block, as on Hopper

kernel::Planning planning_of(const RaggedBatch& batch, const PlanTarget& target, const Limits& limits) {
  return {batch, target, limits, kSharedBytes, false};
}

DeviceIndices as_on_device(const IndexView& view) {
  if (view.wide()) return {static_cast<const std::int64_t*>(view.data())};
  return {static_cast<const std::int32_t*>(view.data())};
}

/// Whose device memory is a vector, unless the caller lends some.
class EmulatorPlanner : public DevicePlanner {
 public:
  EmulatorPlanner(RaggedBatch batch, const PlanTarget& target, const Limits& limits, void* memory)
      : DevicePlanner(std::move(batch), target, limits),
        planning_(planning_of(this->batch(), target, limits)),
        words_(memory == nullptr ? static_cast<std::size_t>(planning_.layout().bytes / kWordBytes) : 0),
        data_(memory == nullptr ? words_.data()->bytes : static_cast<std::byte*>(memory)) {
    kernel::select_shape(this->batch());  // throws if no kernel computes it
    std::memset(data_, 0, static_cast<std::size_t>(bytes()));
  }

  Backend backend() const override { return Backend::kEmulator; }
  std::int32_t device() const override { return 0; }
  std::int64_t bytes() const override { return planning_.layout().bytes; }
  std::int64_t workspace_bytes() const override {
    return kernel::workspace_bytes(planning_.sizes().partial_rows, batch().head_dim_vo);
  }

  void plan(const DeviceRequests& lengths, void* /*stream*/) override {
    if (planning_.is_narrow()) {
      plan_with<std::int32_t>(lengths);
    } else {
      plan_with<std::int64_t>(lengths);
    }
  }

  void plan_from_host(const Requests& requests, void* stream) override {
    const auto count = static_cast<std::int32_t>(request_count(requests));
    plan({as_on_device(requests.query_indptr), as_on_device(requests.query_lengths), as_on_device(requests.key_indptr),
          as_on_device(requests.key_lengths), &count},
         stream);
  }

  void check_addresses(const Tensors& /*tensors*/, Workspace /*workspace*/) const override {}  // the emulator does

  void run(const Tensors& tensors, Workspace workspace, const RunOptions& options) const override {
    const auto* const counts = reinterpret_cast<const PlanCounts*>(data() + planning_.layout().counts);
    const auto* const merges = reinterpret_cast<const Merge*>(data() + planning_.layout().merges);
    const std::int64_t workers = target().workers;
    const PlacedPlan placed{planning_.view(data()),
                            merges,
                            counts,
                            workers,
                            std::clamp<std::int64_t>(planning_.sizes().merges, 1, workers),
                            faults()};
    const char* const kernel =
        run_kernels(*read(), placed, batch(), {planning_.limits().query_length, planning_.limits().key_length}, tensors,
                    workspace, options.kernel, options.emulator);
    if (options.launched != nullptr) *options.launched = kernel;
  }

  KernelChoice explain(const Tensors& tensors, const RunOptions& options) const override {
    const kernel::LongestRequest longest{planning_.limits().query_length, planning_.limits().key_length};
    return explain_kernels(batch(), longest, target(), tensors, options.kernel);
  }

  LengthFault fault() const override {
    return reinterpret_cast<const kernel::PlanStatus*>(data() + planning_.layout().status)->fault;
  }

  std::optional<Error> take_report() const override { return kernel::take_report(*report_); }

  std::shared_ptr<PlanData> read() const override {
    return kernel::read_plan(planning_, batch(), target(), [&](void* to, std::int64_t offset, std::int64_t bytes) {
      std::memcpy(to, data() + offset, static_cast<std::size_t>(bytes));
    });
  }

 private:
  static constexpr std::int64_t kWordBytes = 16;
  struct alignas(kWordBytes) Word {
    std::byte bytes[kWordBytes];
  };

  template <class Int>
  void plan_with(const DeviceRequests& lengths) {
    const kernel::PlanningParameters<Int> parameters = planning_.parameters<Int>(data(), lengths, report_.get());
    std::int64_t requests = limits().requests;
    if (lengths.request_count != nullptr) requests = std::clamp<std::int64_t>(*lengths.request_count, 0, requests);
    GlobalMemory memory({});
    const auto add = [&](Role role, const void* begin, std::int64_t bytes) {
      gpu::emulator::Buffer buffer;
      buffer.role = role;
      buffer.data = begin;
      buffer.row_elements = bytes;
      if (begin != nullptr) memory.add(buffer);
    };
    for (const kernel::LengthSide* side : {&parameters.query, &parameters.key}) {
      add(Role::kLengths, side->indptr.data, (requests + 1) * (side->indptr.wide ? 8 : 4));
      add(Role::kLengths, side->lengths.data, requests * (side->lengths.wide ? 8 : 4));
    }
    add(Role::kLengths, lengths.request_count, sizeof(*lengths.request_count));
    add(Role::kPlan, data(), bytes());
    add(Role::kReport, report_.get(), sizeof(*report_));
    Machine(memory).launch({1, planning_.threads(), planning_.shared_bytes()}, [&] { plan_on_device(parameters); });
  }

  kernel::FaultLine faults() const { return planning_.faults(data_, report_.get()); }
  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }

  kernel::Planning planning_;
  std::vector<Word> words_;
  std::byte* data_;
  std::unique_ptr<kernel::FaultReport> report_ = std::make_unique<kernel::FaultReport>();
};

}  // namespace

std::unique_ptr<DevicePlanner> make_planner(RaggedBatch batch, const PlanTarget& target, const Limits& limits,
                                            void* memory) {
  return std::make_unique<EmulatorPlanner>(std::move(batch), target, limits, memory);
}

std::int64_t planner_bytes(const RaggedBatch& batch, const PlanTarget& target, const Limits& limits) {
  return planning_of(batch, target, limits).layout().bytes;
}

std::int64_t workspace_bytes(const RaggedBatch& batch, const PlanTarget& target, const Limits& limits) {
  const Limits all = resolved(limits);
  const PlanSizes sizes = plan_sizes(plan_problem<std::int64_t>(batch, target, all.key_length), target, all);
  return kernel::workspace_bytes(sizes.partial_rows, batch.head_dim_vo);
}

}  // namespace varlen::emulator
