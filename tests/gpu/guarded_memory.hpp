// Device memory between addresses that nothing is mapped to.
#pragma once

#include <cstdint>
#include <memory>

#include "memory.hpp"

namespace varlen::gpu_check {

/// Each piece has a range of addresses of its own, mapped in the middle only, by CUDA's virtual memory management. Its
/// mappings stay from clear() to clear(), the n-th piece always in the n-th of them.
std::unique_ptr<Memory> guarded_device_memory(std::int32_t device, Side side);

}  // namespace varlen::gpu_check
