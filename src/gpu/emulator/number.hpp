// Floating-point numbers of two bytes and one to and from fp32, and the GPU's approximate functions, in integer and
// fp32 operations.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "gpu/operations.hpp"

namespace varlen::gpu::emulator {

inline constexpr std::uint32_t kSignBit = 0x80000000U;
inline constexpr std::uint32_t kInfinity = 0x7F800000U;

template <class Element>
float widen(std::uint16_t bits);
template <>
inline float widen<BFloat16>(std::uint16_t bits) {
  return std::bit_cast<float>(std::uint32_t{bits} << 16);
}
/// (PTX ISA: mma, wgmma.mma_async; subnormal inputs are not flushed.)
/// Free of branches, for vectors: the exponent is moved by a multiplication, which makes subnormals right as well.
template <>
inline float widen<Float16>(std::uint16_t bits) {
  const std::uint32_t magnitude = (bits & 0x7FFFU) << 13;
  const float number = std::bit_cast<float>(magnitude) * 0x1p112F;
  const std::uint32_t special = magnitude >= 0x0F800000U ? kInfinity : 0U;  // infinities and NaNs keep their mantissas
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(number) | special | (bits & 0x8000U) << 16);
}

/// Has NaNs of magnitude 0x7F and no infinities. (OCP 8-bit floating point specification, E4M3.) As widen<Float16>().
template <>
inline float widen<Float8E4M3>(std::uint16_t bits) {
  if ((bits & 0x7FU) == 0x7FU) return std::bit_cast<float>(0x7FC00000U);
  const float number = std::bit_cast<float>((bits & 0x7FU) << 20) * 0x1p120F;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(number) | (bits & 0x80U) << 24);
}

/// To the nearest number, ties to even; too large ones become infinite. NaN becomes 0x7FFF. (PTX ISA: cvt, .rn with
/// .f16x2 and .bf16x2: subnormal results are kept, NaNs are canonical.)
template <class Element>
std::uint16_t narrow(float value);
template <>
inline std::uint16_t narrow<BFloat16>(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & ~kSignBit) > kInfinity) return 0x7FFF;
  return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}
template <>
inline std::uint16_t narrow<Float16>(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000U;
  std::uint32_t magnitude = bits & ~kSignBit;
  if (magnitude > kInfinity) return 0x7FFF;
  if (magnitude >= std::bit_cast<std::uint32_t>(65520.0F)) return static_cast<std::uint16_t>(sign | 0x7C00U);
  if (magnitude < std::bit_cast<std::uint32_t>(0x1p-14F)) {
    // Numbers of [0.5, 1) are as far apart as the subnormals, so the addition rounds.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  magnitude += 0xFFFU + (magnitude >> 13 & 1U);
  return static_cast<std::uint16_t>(sign | (magnitude - 0x38000000U) >> 13);
}

/// 2^x; results below the normal numbers become zero. (PTX ISA: ex2.approx.ftz.f32.)
inline float exp2_flushed(float x) {
  const float result = std::exp2(x);
  return result < 0x1p-126F ? 0.0F : result;
}

/// 1 / x; subnormal numbers are zeros of their sign, before and after. (PTX ISA: rcp.approx.ftz.f32.)
inline float reciprocal_flushed(float x) {
  const float normal = std::fabs(x) < 0x1p-126F ? std::copysign(0.0F, x) : x;
  const float result = 1.0F / normal;
  return std::fabs(result) < 0x1p-126F ? std::copysign(0.0F, result) : result;
}

}  // namespace varlen::gpu::emulator
