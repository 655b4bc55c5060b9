// The formats' conversions, exhaustively, against other ways to say the same.
#include "reference/element.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace varlen::reference {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double bf16_by_shift(std::uint32_t bits) { return static_cast<double>(std::bit_cast<float>(bits << 16)); }

/// A half's exponent and mantissa moved into a float's fields are the value divided by 2^(127 − 15), subnormals
/// included.
double half_by_shift(std::uint32_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  if ((bits & 0x7C00U) == 0x7C00U) {
    return static_cast<double>(std::bit_cast<float>(sign | 0x7F800000U | ((bits & 0x3FFU) << 13)));
  }
  return static_cast<double>(std::bit_cast<float>(sign | ((bits & 0x7FFFU) << 13))) * 0x1p112;
}

/// E5M2 is the upper byte of a half.
double e5m2_by_half(std::uint32_t bits) { return half_by_shift(bits << 8); }

/// E4M3's fields moved into a half's are the value divided by 2^(15 − 7).
double e4m3_by_half(std::uint32_t bits) {
  if ((bits & 0x7FU) == 0x7FU) return kNan;
  return half_by_shift(((bits & 0x80U) << 8) | ((bits & 0x7FU) << 7)) * 0x1p8;
}

struct Narrow {
  Dtype dtype;
  int bits;
  double (*independent)(std::uint32_t);
  double largest;
  double smallest;
};

const Narrow kNarrow[] = {{Dtype::kFloat16, 16, half_by_shift, 65504, 0x1p-24},
                          {Dtype::kBFloat16, 16, bf16_by_shift, 0x1.FEp127, 0x1p-133},
                          {Dtype::kFloat8E4M3, 8, e4m3_by_half, 448, 0x1p-9},
                          {Dtype::kFloat8E5M2, 8, e5m2_by_half, 57344, 0x1p-16}};

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

TEST(Element, DecodesEveryNarrowNumber) {
  for (const Narrow& narrow : kNarrow) {
    for (std::uint32_t bits = 0; bits < 1U << narrow.bits; ++bits) {
      const double value = decode(float_format(narrow.dtype), bits);
      ASSERT_TRUE(same(value, narrow.independent(bits))) << dtype_name(narrow.dtype) << " " << bits << " " << value;
    }
    EXPECT_EQ(largest(float_format(narrow.dtype)), narrow.largest);
    EXPECT_EQ(decode(float_format(narrow.dtype), 1), narrow.smallest);
    EXPECT_EQ(unit_in_last_place(float_format(narrow.dtype), 0), narrow.smallest);
  }
}

TEST(Element, EncodesEveryNarrowNumberAsItself) {
  for (const Narrow& narrow : kNarrow) {
    const FloatFormat format = float_format(narrow.dtype);
    for (std::uint32_t bits = 0; bits < 1U << narrow.bits; ++bits) {
      const double value = decode(format, bits);
      if (!std::isnan(value)) {
        ASSERT_EQ(encode(format, value), bits) << dtype_name(narrow.dtype);
      } else {
        ASSERT_TRUE(std::isnan(decode(format, encode(format, value))));
      }
    }
  }
}

TEST(Element, RoundsToNearestEvenBetweenAllNeighbours) {
  for (const Narrow& narrow : kNarrow) {
    const FloatFormat format = float_format(narrow.dtype);
    const std::uint32_t sign = 1U << (narrow.bits - 1);
    for (std::uint32_t low = 0; decode(format, low) < narrow.largest; ++low) {
      const double a = decode(format, low);
      const double b = decode(format, low + 1);
      const double middle = (a + b) / 2;  // exact in float64
      const std::uint32_t even = low % 2 == 0 ? low : low + 1;
      ASSERT_EQ(encode(format, middle), even) << dtype_name(narrow.dtype) << " " << low;
      ASSERT_EQ(encode(format, std::nextafter(middle, 0.0)), low) << dtype_name(narrow.dtype);
      ASSERT_EQ(encode(format, std::nextafter(middle, kInfinity)), low + 1) << dtype_name(narrow.dtype);
      ASSERT_EQ(encode(format, -middle), sign + even) << dtype_name(narrow.dtype);
    }
  }
}

TEST(Element, BeyondTheLargestNumber) {
  for (const Narrow& narrow : kNarrow) {
    const FloatFormat format = float_format(narrow.dtype);
    const double beyond = format.has_infinity ? kInfinity : kNan;
    const double middle = narrow.largest + unit_in_last_place(format, narrow.largest) / 2;
    EXPECT_EQ(decode(format, encode(format, std::nextafter(middle, 0.0))), narrow.largest);
    // Halfway, the even neighbour: infinity beyond an all-ones mantissa, but 448 before E4M3's NaN.
    EXPECT_EQ(decode(format, encode(format, middle)), format.has_infinity ? kInfinity : narrow.largest);
    for (const double value : {std::nextafter(middle, kInfinity), 1e300, kInfinity}) {
      EXPECT_TRUE(same(decode(format, encode(format, value)), beyond)) << dtype_name(narrow.dtype) << " " << value;
      EXPECT_TRUE(same(std::fabs(decode(format, encode(format, -value))), beyond));
    }
    EXPECT_TRUE(std::isnan(decode(format, encode(format, kNan))));
  }
}

TEST(Element, Float32IsTheCompilersConversion) {
  const FloatFormat format = float_format(Dtype::kFloat32);
  std::mt19937_64 random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    // Doubles of any exponent near a float's range, with mantissas that often lie halfway between floats.
    const std::uint64_t exponent = 1023 - 160 + random() % 300;
    const std::uint64_t mantissa =
        (random() >> 12) & (i % 2 == 0 ? ~std::uint64_t{0} : ~((std::uint64_t{1} << 28) - 1));
    const auto value = std::bit_cast<double>((random() << 63) | (exponent << 52) | mantissa);
    const auto rounded = static_cast<float>(value);
    ASSERT_EQ(encode(format, value), std::bit_cast<std::uint32_t>(rounded)) << value;
    ASSERT_EQ(decode(format, std::bit_cast<std::uint32_t>(rounded)), static_cast<double>(rounded));
  }
}

TEST(Element, LoadsAndStoresByIndex) {
  std::uint16_t halves[3] = {0x3C00, 0xC000, 0x7C00};
  EXPECT_EQ(load(Dtype::kFloat16, halves, 1), -2);
  store(Dtype::kFloat16, halves, 2, 0.5);
  EXPECT_EQ(halves[2], 0x3800);
  EXPECT_EQ(halves[1], 0xC000);
  float floats[2] = {1.5F, -3.25F};
  EXPECT_EQ(load(Dtype::kFloat32, floats, 1), -3.25);
  store(Dtype::kFloat32, floats, 0, 0.1);
  EXPECT_EQ(floats[0], 0.1F);
}

}  // namespace
}  // namespace varlen::reference
