// What each forward kernel is compiled for, in words.
#pragma once

#include <fmt/format.h>

#include <string>

#include "kernel/shapes.hpp"
#include "varlen/attention.hpp"

namespace varlen::kernel {

inline KernelSupport support(Forward forward) {
  constexpr const char* kArchitectures[] = {"sm_80 and later", "sm_90a", "sm_100a and sm_103a, if asked for"};
  const auto largest = [&](std::int64_t element_bytes) {
    const HeadDims dims = kHeadDims[compiled_shapes(forward, element_bytes) - 1];
    return fmt::format("{} / {}", dims.qk, dims.vo);
  };
  std::string head_dims = largest(2);
  if (largest(1) != head_dims) head_dims += ", fp8 " + largest(1);
  return {name(forward), kArchitectures[static_cast<int>(forward)], head_dims};
}

}  // namespace varlen::kernel
