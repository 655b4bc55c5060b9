// Is what a call names as memory of a device really that?
#pragma once

#include <cstdint>

#include "varlen/attention.hpp"
#include "varlen/device.hpp"

namespace varlen::cuda {

/// Throws Error(kInvalidArgument) for the first tensor with elements, or workspace with bytes, that is not in memory of
/// `device`: an address of the host, say, or of another device. Asks CUDA about addresses only: it waits for nothing,
/// and may be called while a graph is captured.
void check_device_memory(const Tensors& tensors, const Workspace& workspace, std::int32_t device);
/// The same for one address; `field`: of the interface.
void check_device_memory(const char* field, const void* address, std::int32_t device);
/// The same for the arrays that are present.
void check_device_memory(const DeviceRequests& lengths, std::int32_t device);

}  // namespace varlen::cuda
