// How far a row of the output may be off: the numerics contract, which docs/numerics.md derives. The oracle on GPUs
// (tests/gpu/oracle/row.hpp) asks here, too.
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

/// What a score may be off, if the largest Σ_d |q_d k_d| of the row is `score_magnitude`: fp32 sums of head_dim_qk
/// products.
constexpr double score_error(double score_magnitude) { return 0x1p-24 * score_magnitude; }

/// What an LSE may be off.
constexpr double lse_tolerance(double max_score, double score_magnitude) {
  return 1e-5 * (max_score > 1 ? max_score : 1) + score_error(score_magnitude);
}

/// What the sums of a row may have lost, of ‖Σ pⱼ |vⱼ|‖: tensor cores drop what a product has below 2^-24 of the
/// accumulator that it is added to, once for each key.
constexpr double accumulation_error(std::int64_t visible_keys) { return 0x1p-24 * static_cast<double>(visible_keys); }

/// The same on the CPU, which adds up whole KV blocks: once for each of them, and they have 128 keys or more.
constexpr double block_sums_error(std::int64_t visible_keys) {
  return 0x1p-24 * (static_cast<double>(visible_keys) / 128);
}

/// Weights of 16 bits below which fp16 has less than eleven bits are off by up to this, of the largest weight: half of
/// the least number 2^-24 of fp16, whose weights are 2^7 times larger. bf16 reaches as far as fp32.
inline double small_weight_error(Dtype weights) { return weights == Dtype::kFloat16 ? 0x1p-32 : 0; }

/// What is known of a row that its bound depends on (reference::Result).
struct RowMagnitudes {
  double out;    // ‖Σ pⱼ |vⱼ|‖
  double score;  // max |scale| Σ_d |q_d k_d|
  double value;  // max pⱼ · ‖Σ |vⱼ|‖
};

/// What the output of a row may be off: `tolerance` is out_tolerance(). `small_weights` is small_weight_error() if the
/// backend rounds weights, and then it also sums as tensor cores do.
constexpr double allowed_error(const RowMagnitudes& row, double tolerance, bool rounded_weights, double small_weights,
                               std::int64_t visible_keys) {
  const double sums = rounded_weights ? accumulation_error(visible_keys) : block_sums_error(visible_keys);
  const double relative = tolerance + 2 * score_error(row.score) + sums;
  return relative * row.out + small_weights * row.value;
}

}  // namespace varlen::check
