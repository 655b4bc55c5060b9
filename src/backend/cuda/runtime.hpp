// Calls of the CUDA runtime that may fail, and the current device.
#pragma once

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <cstdint>

#include "varlen/error.hpp"

namespace varlen::cuda {

inline void check(cudaError_t status, const char* action) {
  if (status == cudaSuccess) return;
  const ErrorCode code = status == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kDeviceFailure;
  throw Error(code, "device", Error::kNoIndex, cudaGetErrorName(status),
              fmt::format("device: {} failed: {}", action, cudaGetErrorString(status)));
}

/// Throws Error unless there is such a device.
void check_device(std::int32_t device);

/// Makes a device the current one while it lives.
class CurrentDevice {
 public:
  explicit CurrentDevice(std::int32_t device) {
    check(cudaGetDevice(&previous_), "asking for the current device");
    check(cudaSetDevice(device), "choosing a device");
  }
  ~CurrentDevice() { cudaSetDevice(previous_); }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int previous_ = 0;
};

}  // namespace varlen::cuda
