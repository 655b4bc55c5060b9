#include "varlen/device.hpp"

#include <memory>
#include <utility>

#include "backend/cuda/cuda_backend.hpp"
#include "batch/ragged_batch.hpp"
#include "plan/plan_data.hpp"

namespace varlen {

std::int32_t device_count() noexcept { return cuda::device_count(); }
std::string no_device_reason() { return cuda::no_device_reason(); }
DeviceInfo device_info(std::int32_t device) { return cuda::device_info(device); }

PlanTarget device_target(const AttentionSpec& spec, const Requests& requests, std::int32_t device, GpuKernel kernel) {
  return cuda::target_for(canonical(spec, requests), device, kernel);
}

PlanTarget device_target(const AttentionSpec& spec, const Limits& limits, std::int32_t device, GpuKernel kernel) {
  return cuda::target_for(canonical(spec), limits, device, kernel);
}

Plan to_device(const Plan& plan, std::int32_t device) {
  auto data = std::make_shared<PlanData>(plan.data());
  data->on_device = cuda::upload(*data, device);
  return Plan(std::move(data));
}

DeviceMemory::DeviceMemory(std::int64_t bytes, std::int32_t device)
    : data_(cuda::allocate(bytes, device)), bytes_(bytes), device_(device) {}

DeviceMemory::~DeviceMemory() { cuda::release(data_, device_); }

DeviceMemory::DeviceMemory(DeviceMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)), device_(other.device_) {}

void copy_to_device(void* to, const void* from, std::int64_t bytes) { cuda::copy_to_device(to, from, bytes); }
void copy_to_host(void* to, const void* from, std::int64_t bytes) { cuda::copy_to_host(to, from, bytes); }
void synchronize(std::int32_t device) { cuda::synchronize(device); }

}  // namespace varlen
