// One row of online softmax, spread over the four lanes that hold it.
#pragma once

#include <type_traits>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"

namespace varlen::kernel {

VARLEN_DEVICE constexpr float minus_infinity() { return -__builtin_huge_valf(); }

VARLEN_DEVICE float max_of_four_lanes(float value) {
  value = __builtin_fmaxf(value, gpu::shuffle_xor(value, 1));
  return __builtin_fmaxf(value, gpu::shuffle_xor(value, 2));
}
VARLEN_DEVICE float sum_of_four_lanes(float value) {
  value += gpu::shuffle_xor(value, 1);
  return value + gpu::shuffle_xor(value, 2);
}

/// cap · tanh(score · cap_factor), through 2^x; tanh of small arguments by its series, where 1 − 2 / (e^2x + 1) would
/// cancel.
VARLEN_DEVICE float capped(const ScoreFactors& factors, float score) {
  const float x = score * factors.cap_factor;
  const float square = x * x;
  const float magnitude = __builtin_fabsf(x);
  const float series = -0.333333333F + square * (0.133333333F + square * (-0.053968254F + square * 0.021869489F));
  const float large = 1.0F - 2.0F * gpu::reciprocal_fast(gpu::exp2_fast(2.885390082F * magnitude) + 1.0F);
  return factors.soft_cap * (magnitude < 0.25F ? x + x * square * series : __builtin_copysignf(large, x));
}

/// What is known of a row so far: Σ pⱼ with pⱼ = exp2((scoreⱼ − reference) · log2_per_one). While keys are added, `sum`
/// is a sum of weights, 2^offset · pⱼ; and before lanes are added up, it is of the lane's own columns. The difference
/// is taken before scaling, so that it is exact for close scores, however large they are.
struct RowState {
  float reference;  // a score; −inf: nothing seen
  float sum;
};

/// pⱼ may exceed 1 by this power of two before a new reference is chosen: most blocks of keys then need no rescaling of
/// what was summed before (the conditional rescaling of FlashAttention-4).
VARLEN_DEVICE constexpr float slack() { return 8.0F; }

/// Tensor cores multiply values by 2^offset · pⱼ, rounded to `Weight`. Small pⱼ need the offset where Weight is fp16:
/// below 2^-14 it has fewer than eleven bits and below 2^-24 none. 2^(slack + 7) is the largest power of two that fits.
template <class Weight>
VARLEN_DEVICE constexpr float weight_offset() {
  return std::is_same_v<Weight, gpu::Float16> ? 7.0F : 0.0F;
}
/// 2^-offset: sums of weights times this are sums of pⱼ.
template <class Weight>
VARLEN_DEVICE constexpr float weight_unit() {
  return std::is_same_v<Weight, gpu::Float16> ? 0x1p-7F : 1.0F;
}
/// What 2 is raised to for the weight of a score.
template <class Weight>
VARLEN_DEVICE float weight_exponent(float score, float reference, float log2_per_one) {
  if constexpr (weight_offset<Weight>() == 0.0F) return (score - reference) * log2_per_one;
  return __builtin_fmaf(score - reference, log2_per_one, weight_offset<Weight>());
}

/// Takes in the largest score of more keys. Returns the factor for everything summed before: mostly 1.
VARLEN_DEVICE float raise_reference(RowState& row, float max, float log2_per_one) {
  if (!((max - row.reference) * log2_per_one > slack())) return 1.0F;
  const float factor = gpu::exp2_fast((row.reference - max) * log2_per_one);
  row.reference = max;
  row.sum *= factor;
  return factor;
}

/// Of what a part of a row has summed, where parts with several references become one with the largest of them.
VARLEN_DEVICE float part_weight(float reference, float largest, float log2_per_one) {
  if (reference == minus_infinity()) return 0.0F;  // has seen nothing
  return reference == largest ? 1.0F : gpu::exp2_fast((reference - largest) * log2_per_one);
}

/// What becomes of a whole row at its end.
struct RowResult {
  float out_factor;  // of Σ pⱼ vⱼ
  float lse;         // natural log, sink included
};
VARLEN_DEVICE RowResult finish_row(const ForwardParameters& parameters, const ScoreFactors& factors,
                                   const RowState& row, std::int32_t head) {
  // NaN scores do not raise the reference, and are seen by their sum.
  const bool seen = row.reference != minus_infinity() || row.sum != 0.0F;
  float natural_max = seen ? row.reference * factors.natural_per_one : minus_infinity();
  float denominator = seen ? row.sum : 0.0F;
  float factor = 1.0F;
  if (parameters.sinks != nullptr) {
    constexpr float kLog2E = 1.4426950408889634F;
    const float sink = gpu::load_global(parameters.sinks + head * parameters.sinks_stride);
    const float top = natural_max > sink ? natural_max : sink;
    if (top != minus_infinity()) {
      factor = gpu::exp2_fast((natural_max - top) * kLog2E);
      denominator = denominator * factor + gpu::exp2_fast((sink - top) * kLog2E);
      natural_max = top;
    }
  }
  if (denominator == 0.0F) return {0.0F, minus_infinity()};
  const bool is_nan = denominator != denominator;  // of a sink, too
  return {seen || is_nan ? factor * gpu::reciprocal_fast(denominator) * factors.value_factor : 0.0F,
          natural_max + gpu::natural_log(denominator)};
}

}  // namespace varlen::kernel
