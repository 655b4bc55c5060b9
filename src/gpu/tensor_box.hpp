// Tensors that are copied in boxes: the host makes them, kernels name them.
#pragma once

#include <cstdint>

namespace varlen::gpu {

inline constexpr int kBoxRank = 5;

/// A tensor of two-byte elements in five dimensions, the first of them contiguous, and the size of a box of it.
struct TensorBox {
  std::uint64_t base;                  // address of element (0, 0, 0, 0, 0), which need not exist
  std::int64_t sizes[kBoxRank];        // of the tensor
  std::int64_t strides[kBoxRank - 1];  // bytes, of all dimensions but the first
  std::int32_t box[kBoxRank];
};
/// The same as the implementer wants it: its host code makes it.
struct alignas(64) TensorMap {
  std::uint64_t words[16];
};

/// Of a box's first element.
using BoxPlace = std::int32_t[kBoxRank];

}  // namespace varlen::gpu
