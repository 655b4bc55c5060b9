// Numbers of the formats that GPUs read and write, by their definitions. Shares nothing with any backend.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "varlen/tensor.hpp"

#if defined(__CUDACC__)
#define ORACLE_HOST_DEVICE __host__ __device__
#else
#define ORACLE_HOST_DEVICE
#endif

namespace varlen::oracle {

/// fp32, fp16, bf16 and e4m3: sign, exponent and mantissa bits from the top down. A float holds every one of their
/// numbers.
struct Format {
  int exponent_bits;
  int mantissa_bits;
};

ORACLE_HOST_DEVICE inline Format format_of(Dtype dtype) {
  if (dtype == Dtype::kFloat8E4M3) return {4, 3};
  if (dtype == Dtype::kFloat16) return {5, 10};
  return dtype == Dtype::kBFloat16 ? Format{8, 7} : Format{8, 23};
}

ORACLE_HOST_DEVICE inline float float_of_bits(std::uint32_t bits) {
  float value = 0;
  memcpy(&value, &bits, sizeof(value));
  return value;
}
ORACLE_HOST_DEVICE inline std::uint32_t bits_of_float(float value) {
  std::uint32_t bits = 0;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

/// Has NaNs, whose exponent and mantissa bits are all set, and no infinities.
ORACLE_HOST_DEVICE inline double decode_e4m3(std::uint32_t bits) {
  const std::uint32_t exponent = bits >> 3 & 15U;
  const std::uint32_t mantissa = bits & 7U;
  double magnitude = mantissa * 0x1p-9;  // subnormal
  if ((bits & 0x7FU) == 0x7FU) {
    magnitude = static_cast<double>(float_of_bits(0x7FC00000U));
  } else if (exponent > 0) {
    magnitude = static_cast<double>(float_of_bits(((exponent + 120) << 23) + (mantissa << 20)));
  }
  return (bits & 0x80U) != 0 ? -magnitude : magnitude;
}

ORACLE_HOST_DEVICE inline double decode(Dtype dtype, std::uint32_t bits) {
  if (dtype == Dtype::kFloat8E4M3) return decode_e4m3(bits);
  if (dtype == Dtype::kFloat32) return static_cast<double>(float_of_bits(bits));
  if (dtype == Dtype::kBFloat16) return static_cast<double>(float_of_bits(bits << 16));
  const std::uint32_t exponent = (bits >> 10) & 31;
  const std::uint32_t mantissa = bits & 1023;
  double magnitude = mantissa * 0x1p-24;  // subnormal
  if (exponent == 31) {
    magnitude = static_cast<double>(float_of_bits(0x7F800000U + mantissa));
  } else if (exponent > 0) {
    magnitude = static_cast<double>(float_of_bits(((exponent + 112) << 23) + (mantissa << 13)));
  }
  return (bits & 0x8000U) != 0 ? -magnitude : magnitude;
}

ORACLE_HOST_DEVICE inline std::uint32_t encode_e4m3(float value) {
  const float magnitude = fabsf(value);
  const std::uint32_t sign = (bits_of_float(value) >> 24) & 0x80U;
  if (magnitude < 0x1p-6F) return sign + static_cast<std::uint32_t>(rintf(magnitude * 0x1p9F));  // multiples of 2^-9
  const std::uint32_t bits = bits_of_float(magnitude);
  const std::uint32_t half = (1U << 19) - 1 + ((bits >> 20) & 1U);
  return sign + ((bits + half) >> 20) - (120U << 3);
}

/// The bits of the nearest number, ties to even. |value| < 65504, of e4m3 448.
ORACLE_HOST_DEVICE inline std::uint32_t encode(Dtype dtype, float value) {
  if (dtype == Dtype::kFloat8E4M3) return encode_e4m3(value);
  std::uint32_t bits = bits_of_float(value);
  if (dtype == Dtype::kFloat32) return bits;
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  bits &= 0x7FFFFFFFU;
  const bool fp16 = dtype == Dtype::kFloat16;
  if (fp16 && bits < 0x38800000U) {  // below 2^-14: a multiple of 2^-24
    return sign + static_cast<std::uint32_t>(rintf(float_of_bits(bits) * 0x1p24F));
  }
  const int dropped = fp16 ? 13 : 16;
  const std::uint32_t half = (1U << (dropped - 1)) - 1 + ((bits >> dropped) & 1U);
  return sign + ((bits + half) >> dropped) - (fp16 ? 112U << 10 : 0U);
}

/// The distance between numbers of the format around `value`.
ORACLE_HOST_DEVICE inline double unit_in_last_place(Dtype dtype, double value) {
  const Format format = format_of(dtype);
  const int smallest_normal = 2 - (1 << (format.exponent_bits - 1));  // its exponent
  int exponent = smallest_normal;
  if (value != 0) {
    frexp(value, &exponent);  // |value| is in [0.5, 1) · 2^exponent
    --exponent;
    if (exponent < smallest_normal) exponent = smallest_normal;
  }
  return ldexp(1.0, exponent - format.mantissa_bits);
}

ORACLE_HOST_DEVICE inline double largest(Dtype dtype) {
  if (dtype == Dtype::kFloat8E4M3) return 448;
  return dtype == Dtype::kFloat16 ? 65504.0 : decode(dtype, dtype == Dtype::kFloat32 ? 0x7F7FFFFFU : 0x7F7FU);
}

ORACLE_HOST_DEVICE inline std::int64_t size_of(Dtype dtype) {
  return dtype == Dtype::kFloat32 ? 4 : dtype == Dtype::kFloat8E4M3 ? 1 : 2;
}

ORACLE_HOST_DEVICE inline std::uint32_t load_bits(Dtype dtype, const void* data, std::int64_t index) {
  if (dtype == Dtype::kFloat8E4M3) return static_cast<const std::uint8_t*>(data)[index];
  return dtype == Dtype::kFloat32 ? static_cast<const std::uint32_t*>(data)[index]
                                  : static_cast<const std::uint16_t*>(data)[index];
}
ORACLE_HOST_DEVICE inline void store_bits(Dtype dtype, void* data, std::int64_t index, std::uint32_t bits) {
  if (dtype == Dtype::kFloat32) {
    static_cast<std::uint32_t*>(data)[index] = bits;
  } else if (dtype == Dtype::kFloat8E4M3) {
    static_cast<std::uint8_t*>(data)[index] = static_cast<std::uint8_t>(bits);
  } else {
    static_cast<std::uint16_t*>(data)[index] = static_cast<std::uint16_t>(bits);
  }
}
ORACLE_HOST_DEVICE inline double load(Dtype dtype, const void* data, std::int64_t index) {
  return decode(dtype, load_bits(dtype, data, index));
}

/// SplitMix64's output function: neighbouring numbers become unrelated ones.
ORACLE_HOST_DEVICE inline std::uint64_t scrambled(std::uint64_t z) {
  z += 0x9E3779B97F4A7C15U;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

/// A number of mean 0 and variance 1 for each index: the sum of twelve uniform ones, less 6.
ORACLE_HOST_DEVICE inline float normal_number(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t sum = 0;
  std::uint64_t bits = seed + index * 0xD1342543DE82EF95U;
  for (int word = 0; word < 3; ++word) {
    bits = scrambled(bits);
    sum += (bits & 0xFFFFU) + ((bits >> 16) & 0xFFFFU) + ((bits >> 32) & 0xFFFFU) + (bits >> 48);
  }
  return static_cast<float>((static_cast<double>(sum) + 6) * 0x1p-16 - 6);
}

}  // namespace varlen::oracle
