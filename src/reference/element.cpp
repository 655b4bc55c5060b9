#include "reference/element.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "varlen/error.hpp"

namespace varlen::reference {
namespace {

int bias(FloatFormat format) { return (1 << (format.exponent_bits - 1)) - 1; }

std::uint32_t all_ones(int bits) { return (std::uint32_t{1} << bits) - 1; }

}  // namespace

FloatFormat float_format(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat32:
      return {8, 23, true};
    case Dtype::kFloat16:
      return {5, 10, true};
    case Dtype::kBFloat16:
      return {8, 7, true};
    case Dtype::kFloat8E4M3:
      return {4, 3, false};
    case Dtype::kFloat8E5M2:
      return {5, 2, true};
    case Dtype::kInt32:
    case Dtype::kInt64:
      break;
  }
  throw Error(ErrorCode::kInternal, "dtype", Error::kNoIndex, dtype_name(dtype), "not a floating-point dtype");
}

double decode(FloatFormat format, std::uint32_t bits) {
  const std::uint32_t mantissa = bits & all_ones(format.mantissa_bits);
  const std::uint32_t exponent = (bits >> format.mantissa_bits) & all_ones(format.exponent_bits);
  const bool negative = ((bits >> (format.mantissa_bits + format.exponent_bits)) & 1) != 0;
  const bool top = exponent == all_ones(format.exponent_bits);
  double value = 0;
  if (top && format.has_infinity) {
    value = mantissa == 0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  } else if (top && mantissa == all_ones(format.mantissa_bits)) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(mantissa, 1 - bias(format) - format.mantissa_bits);
  } else {
    const std::uint32_t significand = mantissa + (std::uint32_t{1} << format.mantissa_bits);
    value = std::ldexp(significand, static_cast<int>(exponent) - bias(format) - format.mantissa_bits);
  }
  return negative ? -value : value;
}

double unit_in_last_place(FloatFormat format, double value) {
  const int smallest_normal = 1 - bias(format);  // its exponent, shared with the subnormals
  const int exponent = value == 0 ? smallest_normal : std::max(std::ilogb(value), smallest_normal);
  return std::ldexp(1.0, exponent - format.mantissa_bits);
}

double largest(FloatFormat format) {
  const std::uint32_t top = all_ones(format.exponent_bits) << format.mantissa_bits;
  return decode(format, (format.has_infinity ? top : top + all_ones(format.mantissa_bits)) - 1);
}

std::uint32_t encode(FloatFormat format, double value) {
  const std::uint32_t sign =
      std::signbit(value) ? std::uint32_t{1} << (format.mantissa_bits + format.exponent_bits) : 0;
  const std::uint32_t top = all_ones(format.exponent_bits) << format.mantissa_bits;
  const std::uint32_t nan = top + all_ones(format.mantissa_bits);
  const std::uint32_t beyond_largest = format.has_infinity ? top : nan;
  if (std::isnan(value)) return sign + nan;
  if (std::isinf(value)) return sign + beyond_largest;
  if (value == 0) return sign;

  const auto multiple =
      static_cast<std::uint32_t>(std::nearbyint(std::fabs(value) / unit_in_last_place(format, value)));
  // Count the numbers of the format up from zero: each exponent holds 2^mantissa_bits of them, so a multiple that
  // rounded up to the next power of two carries into the exponent by itself. In 64 bits, as the exponent may be far too
  // large.
  const std::int64_t exponent_above_smallest = std::max(std::ilogb(value) + bias(format) - 1, 0);
  const std::int64_t number = (exponent_above_smallest << format.mantissa_bits) + multiple;
  return sign + (number >= beyond_largest ? beyond_largest : static_cast<std::uint32_t>(number));
}

double load(Dtype dtype, const void* data, std::int64_t index) {
  const std::int64_t size = dtype_size(dtype);
  const char* const element = static_cast<const char*>(data) + index * size;
  if (dtype == Dtype::kFloat32) {
    float value = 0;
    std::memcpy(&value, element, sizeof(value));
    return static_cast<double>(value);
  }
  std::uint32_t bits = 0;  // little-endian
  std::memcpy(&bits, element, static_cast<std::size_t>(size));
  return decode(float_format(dtype), bits);
}

void store(Dtype dtype, void* data, std::int64_t index, double value) {
  const std::int64_t size = dtype_size(dtype);
  const std::uint32_t bits = encode(float_format(dtype), value);
  std::memcpy(static_cast<char*>(data) + index * size, &bits, static_cast<std::size_t>(size));
}

}  // namespace varlen::reference
