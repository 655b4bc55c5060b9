// Finished numbers on their way to global memory.
#pragma once

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"

namespace varlen::kernel {

/// Two elements of a row of `out` beside each other, at an even column.
VARLEN_DEVICE void store_out_pair(const ForwardParameters& parameters, std::int64_t offset, float first, float second) {
  if (parameters.output_dtype == Dtype::kFloat32) {
    auto* const to = static_cast<float*>(parameters.out.data) + offset;
    gpu::store_global(to, first);
    gpu::store_global(to + 1, second);
    return;
  }
  const std::uint32_t pair = parameters.output_dtype == Dtype::kBFloat16 ? gpu::pack<gpu::BFloat16>(first, second)
                                                                         : gpu::pack<gpu::Float16>(first, second);
  auto* const to = static_cast<std::uint16_t*>(parameters.out.data) + offset;
  if (parameters.out.in_chunks) {
    gpu::store_global(reinterpret_cast<std::uint32_t*>(to), pair);
  } else {
    gpu::store_global(to, static_cast<std::uint16_t>(pair));
    gpu::store_global(to + 1, static_cast<std::uint16_t>(pair >> 16));
  }
}

/// `token` and `head` of the tensor.
VARLEN_DEVICE void store_lse(const ForwardParameters& parameters, std::int64_t token, std::int32_t head, float lse) {
  if (parameters.lse.data == nullptr) return;
  gpu::store_global(static_cast<float*>(parameters.lse.data) + token * parameters.lse.token_stride +
                        head * parameters.lse.head_stride,
                    lse);
}

}  // namespace varlen::kernel
