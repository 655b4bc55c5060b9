// CUDA devices: which there are, plans for them, and memory on them. Every function works in every build on every
// machine: where there is no CUDA, no driver or no device, device_count() is 0 and the others throw
// Error(kUnsupported).
#pragma once

#include <cstdint>
#include <string>

#include "varlen/attention.hpp"
#include "varlen/batch.hpp"
#include "varlen/export.hpp"
#include "varlen/plan.hpp"

namespace varlen {

/// Devices of compute capability 8.0 or more that this build and this machine's driver can use.
VARLEN_API std::int32_t device_count() noexcept;
/// Why device_count() is 0; empty if it is not.
VARLEN_API std::string no_device_reason();

struct DeviceInfo {
  std::string name;
  std::int32_t compute_major = 0;
  std::int32_t compute_minor = 0;
  std::int32_t multiprocessors = 0;
  std::int64_t l2_bytes = 0;
  std::int64_t memory_bytes = 0;
};
VARLEN_API DeviceInfo device_info(std::int32_t device);

/// The target that plans for this device are best made for: tile shapes and workers of the kernel that the batch will
/// run on. Throws Error(kUnsupported) for a batch that no kernel computes.
VARLEN_API PlanTarget device_target(const Batch& batch, std::int32_t device = 0,
                                    GpuArchitecture architecture = GpuArchitecture::kNewest);

/// The same plan, with a copy in the device's memory that run() reads. Waits for the copy.
VARLEN_API Plan to_device(const Plan& plan, std::int32_t device = 0);

/// Memory of a device, 256-byte aligned.
class VARLEN_API DeviceMemory {
 public:
  explicit DeviceMemory(std::int64_t bytes, std::int32_t device = 0);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&&) = delete;

  void* data() const noexcept { return data_; }
  std::int64_t bytes() const noexcept { return bytes_; }

 private:
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
  std::int32_t device_ = 0;
};
/// Both wait until the bytes have arrived and all work of the device before them is done.
VARLEN_API void copy_to_device(void* to, const void* from, std::int64_t bytes);
VARLEN_API void copy_to_host(void* to, const void* from, std::int64_t bytes);
/// Until all work of the device is done. Throws Error(kInternal) if a kernel failed.
VARLEN_API void synchronize(std::int32_t device = 0);

}  // namespace varlen
