// How scales of fp8 are read, which may broadcast.
#pragma once

#include <cstdint>

#include "varlen/tensor.hpp"

namespace varlen {

/// Elements from one request's scale to the next one's, and from one KV head's to the next one's; 0 where one scale is
/// for all.
struct ScaleStrides {
  std::int64_t request;
  std::int64_t kv_head;
};

/// Of a validated scale tensor: [requests, kv_heads], with 1 for either, or [1].
inline ScaleStrides scale_strides(const TensorView& scales) {
  if (scales.rank == 1) return {0, 0};
  return {scales.shape[0] == 1 ? 0 : scales.strides[0], scales.shape[1] == 1 ? 0 : scales.strides[1]};
}

}  // namespace varlen
