// 2^x by additions and multiplications, for a share of the weights: the unit for exponentials does sixteen of them in a
// cycle, which at head dim 128 takes as long as the products (FlashAttention-4, section on software exponentials).
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"

namespace varlen::kernel {

/// 2^x for x up to 120, to a relative error of 2.9e-6 from 2^-126 on; 0 for x up to −127, −∞ included, 1 for 0, and NaN
/// for NaN.
///
/// x is split at the nearest whole number (Cody and Waite): 2^(n + f) with f from −1/2 to 1/2. The polynomial of 2^f is
/// the best of degree 4 in relative error that is 1 at 0, so that the weight of a row's only key is exactly 1. Degree 3
/// would do for weights, which are rounded to 16 bits anyway; but the row's LSE comes of the sum of the same numbers,
/// and 1.0e-4 is more than the 1e-5 that the contract allows there.
VARLEN_DEVICE float exp2_polynomial(float x) {
  constexpr float kRound = 12582912.0F;  // 1.5 · 2^23: a sum with it is rounded to a whole number, in its lowest bits
  const float clamped = __builtin_fmaxf(x, -127.0F);
  const float rounded = clamped + kRound;
  const float f = clamped - (rounded - kRound);
  float value = 0.009582854F;
  value = __builtin_fmaf(value, f, 0.05590643F);
  value = __builtin_fmaf(value, f, 0.24024099F);
  value = __builtin_fmaf(value, f, 0.69312418F);
  value = __builtin_fmaf(value, f, 1.0F);
  // n is added to the exponent; what else `rounded` holds is shifted out.
  value = gpu::word_as_float(gpu::float_as_word(value) + (gpu::float_as_word(rounded) << 23));
  return x != x ? x : value;
}

}  // namespace varlen::kernel
