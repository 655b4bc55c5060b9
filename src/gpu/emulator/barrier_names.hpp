// What a kernel calls its barriers in shared memory.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace varlen::gpu::emulator {

/// By address.
using BarrierNames = std::map<std::uint32_t, std::string>;

}  // namespace varlen::gpu::emulator
