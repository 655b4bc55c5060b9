// Which kernels are compiled: the one table of both backends that run them. select.hpp chooses among them.
#pragma once

#include <cstdint>

#include "kernel/parameters.hpp"

namespace varlen::kernel {

/// Upper bounds of the head dims of one compiled kernel.
struct HeadDims {
  std::int32_t qk;
  std::int32_t vo;
};

/// Kernels are compiled for the first compiled_shapes() of these, for fp16, bf16 and e4m3. The first that is large
/// enough runs.
inline constexpr HeadDims kHeadDims[] = {{64, 64}, {128, 128}, {192, 128}, {256, 256}, {576, 512}};
inline constexpr int kShapes = static_cast<int>(sizeof(kHeadDims) / sizeof(HeadDims));

/// Forward kernels. kWgmma runs on Hopper and kTcgen05 on Blackwell, and only what has boxes (kernel/boxes.hpp); kMma
/// runs everything.
enum class Forward : std::uint8_t { kMma, kWgmma, kTcgen05 };

constexpr const char* name(Forward forward) {
  constexpr const char* kNames[] = {"forward_mma", "forward_wgmma", "forward_tcgen05"};
  return kNames[static_cast<int>(forward)];
}

/// With inputs of so many bytes. forward_wgmma's threads are too many for 256 columns of sums where fp8 needs wideners:
/// each of them begins with 128 registers.
constexpr int compiled_shapes(Forward forward, std::int64_t element_bytes) {
  switch (forward) {
    case Forward::kMma:
      return kShapes;
    case Forward::kWgmma:
      return element_bytes == 1 ? 3 : 4;
    case Forward::kTcgen05:
      return 3;
  }
  return 0;
}

/// The largest that it is compiled for, each of the two.
constexpr HeadDims largest_head_dims(Forward forward, std::int64_t element_bytes) {
  return kHeadDims[compiled_shapes(forward, element_bytes) - 1];
}

/// What boxes must know of a kernel that works with them.
struct BoxShape {
  std::int32_t tile_rows;  // at most
  std::int32_t step_keys;  // in one step
};
inline BoxShape box_shape(Forward forward, const HeadDims& dims) {
  if (forward == Forward::kWgmma) return {kWgmmaRows, wgmma_keys(dims.vo)};
  if (forward == Forward::kTcgen05) return {kTcgen05Rows, kTcgen05Keys};
  return {0, 0};
}

}  // namespace varlen::kernel
