// DevicePlans on CUDA devices.
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "backend/cuda/cuda_backend.hpp"
#include "backend/cuda/device_memory_check.hpp"
#include "backend/cuda/host_lengths.hpp"
#include "backend/cuda/launch.hpp"
#include "backend/cuda/resident_plan.hpp"
#include "backend/cuda/runtime.hpp"
#include "batch/refuse.hpp"
#include "kernel/launch_parameters.hpp"
#include "kernel/planning.hpp"
#include "kernel/take_report.hpp"

namespace varlen::cuda {
namespace {

std::int64_t shared_bytes_of_block(std::int32_t device) {
  int bytes = 0;
  check(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "asking for an attribute");
  return bytes;
}

bool has_clusters(std::int32_t device) {
  const CurrentDevice current(device);
  return runs_planning_clusters(static_cast<int>(shared_bytes_of_block(device)));
}

kernel::Planning planning_of(const RaggedBatch& batch, const PlanTarget& target, const Limits& limits,
                             std::int32_t device) {
  return {batch, target, limits, shared_bytes_of_block(device), has_clusters(device)};
}

class CudaPlanner : public DevicePlanner {
 public:
  /// `lent`: the caller's memory, or null.
  CudaPlanner(RaggedBatch batch, const PlanTarget& target, const Limits& limits, std::int32_t device, void* lent)
      : DevicePlanner(std::move(batch), target, limits), planning_(planning_of(this->batch(), target, limits, device)) {
    if (lent != nullptr) check_device_memory("memory.data", lent, device);
    const CurrentDevice current(device);
    plan_.device = device;
    plan_.is_lent = lent != nullptr;
    plan_.memory = lent != nullptr ? lent : allocate(planning_.layout().bytes, device);
    // No plan before the first is made.
    check(cudaMemset(plan_.memory, 0, static_cast<std::size_t>(planning_.layout().bytes)), "clearing memory");
    check(cudaStreamSynchronize(nullptr), "clearing memory");  // other streams need not wait for this one
    plan_.view = planning_.view(memory());
    plan_.merges = reinterpret_cast<const Merge*>(memory() + planning_.layout().merges);
    plan_.counts = reinterpret_cast<const PlanCounts*>(memory() + planning_.layout().counts);
    plan_.longest = {planning_.limits().query_length, planning_.limits().key_length};
    choose_kernels(this->batch(), planning_.sizes().items + planning_.sizes().listed, planning_.sizes().merges, plan_);
    plan_.report.emplace(device);
    plan_.lock = planning_.faults(memory(), nullptr).lock;
    const auto most_shared = static_cast<int>(shared_bytes_of_block(device));
    check(planning_.is_narrow() ? prepare_plan_on_device<std::int32_t>(planning_.arrays(), most_shared)
                                : prepare_plan_on_device<std::int64_t>(planning_.arrays(), most_shared),
          "preparing a kernel");
  }

  Backend backend() const override { return Backend::kCuda; }
  std::int32_t device() const override { return plan_.device; }
  std::int64_t bytes() const override { return planning_.layout().bytes; }
  std::int64_t workspace_bytes() const override {
    return kernel::workspace_bytes(planning_.sizes().partial_rows, batch().head_dim_vo);
  }

  void plan(const DeviceRequests& lengths, void* stream) override {
    check_device_memory(lengths, plan_.device);
    const CurrentDevice current(plan_.device);
    check(planning_.is_narrow() ? launch<std::int32_t>(lengths, stream) : launch<std::int64_t>(lengths, stream),
          "launching plan_on_device");
  }

  void plan_from_host(const Requests& requests, void* stream) override {
    const CurrentDevice current(plan_.device);
    auto* const cuda_stream = static_cast<cudaStream_t>(stream);
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(cuda_stream, &capture), "asking a stream");
    if (capture != cudaStreamCaptureStatusNone) {
      refuse("stream", Error::kNoIndex, "capturing",
             "would replay the lengths of its capture: give lengths in memory of the device");
    }
    const std::lock_guard lock(host_lengths_mutex_);
    if (!host_lengths_) host_lengths_.emplace(limits().requests);
    const DeviceRequests lengths = host_lengths_->put(requests);
    check(planning_.is_narrow() ? launch<std::int32_t>(lengths, stream) : launch<std::int64_t>(lengths, stream),
          "launching plan_on_device");
    host_lengths_->mark_launched(cuda_stream);
  }

  void check_addresses(const Tensors& tensors, Workspace workspace) const override {
    check_device_memory(tensors, workspace, plan_.device);
  }

  void run(const Tensors& tensors, Workspace workspace, const RunOptions& options) const override {
    const char* const kernel =
        run_kernels(plan_, batch(), target(), tensors, workspace, options.kernel, options.stream);
    if (options.launched != nullptr) *options.launched = kernel;
  }

  KernelChoice explain(const Tensors& tensors, const RunOptions& options) const override {
    return explain_kernels(plan_, batch(), target(), tensors, options.kernel);
  }

  std::optional<Error> take_report() const override { return kernel::take_report(plan_.report->on_host()); }

  LengthFault fault() const override {
    const CurrentDevice current(plan_.device);
    check(cudaDeviceSynchronize(), "waiting for the device");
    kernel::PlanStatus status;
    copy_to_host(&status, memory() + planning_.layout().status, sizeof(status));
    return status.fault;
  }

  std::shared_ptr<PlanData> read() const override {
    const CurrentDevice current(plan_.device);
    return kernel::read_plan(planning_, batch(), target(), [&](void* to, std::int64_t offset, std::int64_t bytes) {
      copy_to_host(to, memory() + offset, bytes);
    });
  }

 private:
  std::byte* memory() const { return static_cast<std::byte*>(plan_.memory); }

  template <class Int>
  cudaError_t launch(const DeviceRequests& lengths, void* stream) const {
    const auto parameters = planning_.parameters<Int>(memory(), lengths, plan_.report->on_device());
    const PlanningTeam team{planning_.arrays(), planning_.threads(), static_cast<int>(planning_.shared_bytes())};
    return launch_plan_on_device(parameters, team, static_cast<cudaStream_t>(stream));
  }

  kernel::Planning planning_;
  ResidentPlan plan_;
  std::mutex host_lengths_mutex_;
  std::optional<HostLengths> host_lengths_;
};

}  // namespace

std::unique_ptr<DevicePlanner> make_planner(RaggedBatch batch, const PlanTarget& target, const Limits& limits,
                                            std::int32_t device, void* memory) {
  check_device(device);
  return std::make_unique<CudaPlanner>(std::move(batch), target, limits, device, memory);
}

std::int64_t planner_bytes(const RaggedBatch& batch, const PlanTarget& target, const Limits& limits,
                           std::int32_t device) {
  check_device(device);
  return planning_of(batch, target, limits, device).layout().bytes;
}

}  // namespace varlen::cuda
