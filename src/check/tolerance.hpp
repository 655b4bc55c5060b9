// How far a row of the output may be off: t of the numerics contract, times ‖Σ pⱼ |vⱼ|‖.
#pragma once

#include <algorithm>
#include <cstdint>

#include "varlen/tensor.hpp"

namespace varlen::check {

/// The output's rounding alone decides, whatever the inputs. Inputs of 16 and 8 bits are exact in fp32, where scores,
/// weights and sums are kept, so narrow inputs add no error of their own: fp8 and 16-bit inputs with fp32 output are
/// held to the bound of fp32.
inline double out_tolerance(Dtype output) {
  switch (output) {
    case Dtype::kFloat16:
      return 6e-4;
    case Dtype::kBFloat16:
      return 4e-3;
    default:
      return 2e-6;
  }
}

/// The worst relative error of rounding to nearest, of 16-bit formats.
inline double unit_roundoff(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat16:
      return 0x1p-11;
    case Dtype::kBFloat16:
      return 0x1p-8;
    default:
      return 0;
  }
}

/// To which 16 bits GPU kernels round weights: those of the inputs, or fp16, to which they widen fp8.
inline Dtype weights_dtype(Dtype input) { return input == Dtype::kBFloat16 ? Dtype::kBFloat16 : Dtype::kFloat16; }

/// Weights of fewer keys than these may all be rounded the same way.
inline constexpr std::int64_t kFewKeys = 8;

/// The same for a backend that rounds the weights p to 16 bits, for a row that sees so many keys.
///
/// Mostly that is the bound of 16-bit outputs, and a wider output cannot undo the rounding of p. But the bounds hold
/// little more than one rounding at its worst (bf16: 2^-8 = 3.9e-3 of 4e-3). Roundings of many weights cancel each
/// other; those of a few need not, so then it is one of the weights and one of the output, each at its worst
/// (docs/decisions/0008-rows-of-few-keys.md).
inline double out_tolerance(Dtype output, Dtype weights, std::int64_t visible_keys) {
  const double tolerance = std::max(out_tolerance(output), out_tolerance(weights));
  return visible_keys < kFewKeys ? std::max(tolerance, unit_roundoff(weights) + unit_roundoff(output)) : tolerance;
}

}  // namespace varlen::check
