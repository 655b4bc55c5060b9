// What the scores and sums of one item are multiplied by.
#pragma once

#include <cstdint>
#include <type_traits>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"

namespace varlen::kernel {

/// 16-bit elements have the factors of the launch, which are constants to the compiler; those of fp8 are each item's.
template <class Element>
using FactorsOf = std::conditional_t<gpu::kElementBytes<Element> == 1, ScoreFactors, const ScoreFactors&>;

VARLEN_DEVICE float load_scale(const ScaleAddresses& scales, std::int32_t request, std::int32_t kv_head) {
  if (scales.data == nullptr) return 1.0F;
  return gpu::load_global(scales.data + request * scales.request_stride + kv_head * scales.head_stride);
}

/// With the scales of fp8 inputs, whatever their signs.
VARLEN_DEVICE ScoreFactors scaled_factors(const ForwardParameters& parameters, std::int32_t request,
                                          std::int32_t kv_head) {
  ScoreFactors factors = parameters;
  factors.value_factor = load_scale(parameters.value_scale, request, kv_head);
  // In fp64: two scales may be far apart where their product is not.
  const double scale = static_cast<double>(load_scale(parameters.query_scale, request, kv_head)) *
                       static_cast<double>(load_scale(parameters.key_scale, request, kv_head));
  double magnitude = __builtin_fabs(scale);
  const bool capped = factors.soft_cap > 0.0F;
  if (scale == 0.0 || (!capped && static_cast<float>(factors.log2_per_one * magnitude) == 0.0F)) {
    factors.score_sign = 0.0F;  // all logits are 0, or nearer to it than fp32 can tell
    return factors;
  }
  if (scale < 0.0) factors.score_sign = -factors.score_sign;
  factors.cap_factor = finite_factor(factors.cap_factor * magnitude);
  if (!capped) {
    if (factors.log2_per_one * magnitude > kLargestFactor) {
      // Scores take a part of what fp32 cannot hold: sums of products of e4m3 are below 2^27.
      factors.score_sign *= 0x1p100F;
      magnitude *= 0x1p-100;
    }
    factors.natural_per_one = finite_factor(factors.natural_per_one * magnitude);
    factors.log2_per_one = finite_factor(factors.log2_per_one * magnitude);
  }
  return factors;
}

template <class Element>
VARLEN_DEVICE FactorsOf<Element> factors_of(const ForwardParameters& parameters, std::int32_t request,
                                            std::int32_t kv_head) {
  if constexpr (gpu::kElementBytes<Element> == 1) {
    return scaled_factors(parameters, request, kv_head);
  } else {
    return parameters;
  }
}

}  // namespace varlen::kernel
