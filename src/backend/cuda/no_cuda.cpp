// What a build without CUDA says instead.
#include "backend/cuda/cuda_backend.hpp"

namespace varlen::cuda {
namespace {

constexpr const char* kReason = "this build of varlen has no CUDA: configure it with VARLEN_CUDA=ON";

[[noreturn]] void refuse_device() {
  throw Error(ErrorCode::kUnsupported, "device", Error::kNoIndex, "", std::string("device: ") + kReason);
}

}  // namespace

std::int32_t device_count() noexcept { return 0; }
std::string no_device_reason() { return kReason; }
std::vector<KernelSupport> kernels() { return {}; }
DeviceInfo device_info(std::int32_t /*device*/) { refuse_device(); }
PlanTarget target_for(const RaggedBatch& /*batch*/, std::int32_t /*device*/, GpuKernel /*asked*/) { refuse_device(); }
PlanTarget target_for(const RaggedBatch& /*batch*/, const Limits& /*limits*/, std::int32_t /*device*/,
                      GpuKernel /*asked*/) {
  refuse_device();
}
std::shared_ptr<const ResidentPlan> upload(const PlanData& /*plan*/, std::int32_t /*device*/) { refuse_device(); }
std::int32_t device_of(const Plan& /*plan*/) { refuse_device(); }
std::int64_t workspace_bytes(const Plan& /*plan*/) { refuse_device(); }
void raise_report(const Plan& /*plan*/) { refuse_device(); }
const char* execute(const Plan& /*plan*/, const Tensors& /*tensors*/, Workspace /*workspace*/, GpuKernel /*asked*/,
                    void* /*stream*/) {
  refuse_device();
}
KernelChoice explain(const Plan& /*plan*/, const Tensors& /*tensors*/, GpuKernel /*asked*/) { refuse_device(); }
KernelChoice choice_for(const RaggedBatch& /*batch*/, std::int32_t /*device*/, GpuKernel /*asked*/) { refuse_device(); }
// NOLINTNEXTLINE(performance-unnecessary-value-param): with CUDA it is moved from.
std::unique_ptr<DevicePlanner> make_planner(RaggedBatch /*batch*/, const PlanTarget& /*target*/,
                                            const Limits& /*limits*/, std::int32_t /*device*/, void* /*memory*/) {
  refuse_device();
}
std::int64_t planner_bytes(const RaggedBatch& /*batch*/, const PlanTarget& /*target*/, const Limits& /*limits*/,
                           std::int32_t /*device*/) {
  refuse_device();
}
void* allocate(std::int64_t /*bytes*/, std::int32_t /*device*/) { refuse_device(); }
void release(void* /*memory*/, std::int32_t /*device*/) noexcept {}
void copy_to_device(void* /*to*/, const void* /*from*/, std::int64_t /*bytes*/) { refuse_device(); }
void copy_to_host(void* /*to*/, const void* /*from*/, std::int64_t /*bytes*/) { refuse_device(); }
void synchronize(std::int32_t /*device*/) { refuse_device(); }

}  // namespace varlen::cuda
