// What a micro-kernel is told: plain data, passed by value.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu/tensor_box.hpp"

namespace varlen::fidelity {

inline constexpr int kValues = 8;

struct MicroParameters {
  gpu::TensorMap map;
  const std::byte* in;
  std::byte* out;
  std::int64_t* counter;
  std::int32_t shared_bytes;
  std::int32_t value[kValues];  // each kernel says what they mean
};

}  // namespace varlen::fidelity
