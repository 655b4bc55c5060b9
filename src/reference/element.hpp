// Elements to and from float64, straight from the formats' definitions. Independent of every backend's conversions.
#pragma once

#include <cstdint>

#include "varlen/tensor.hpp"

namespace varlen::reference {

/// A binary floating-point format: sign, exponent and mantissa bits from the top down, IEEE-like unless said otherwise.
struct FloatFormat {
  int exponent_bits;
  int mantissa_bits;
  bool has_infinity;  // false (E4M3): the top exponent holds numbers, and only an all-ones mantissa is NaN
};

/// Of any dtype but int32.
FloatFormat float_format(Dtype dtype);

/// The value of the bits of one number.
double decode(FloatFormat format, std::uint32_t bits);

/// The bits of `value` rounded to the nearest number of the format, ties to even; beyond the largest: infinity, and NaN
/// in formats without one.
std::uint32_t encode(FloatFormat format, double value);

/// The largest finite number of the format.
double largest(FloatFormat format);

/// The distance between numbers of the format around `value`.
double unit_in_last_place(FloatFormat format, double value);

/// Element `index` of an array of `dtype`.
double load(Dtype dtype, const void* data, std::int64_t index);
void store(Dtype dtype, void* data, std::int64_t index, double value);

}  // namespace varlen::reference
