// exp2, tanh and the conversions between fp32 and every other dtype, on every SIMD target that runs here.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "cpu/simd_functions.hpp"

namespace varlen::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using Unary = void (*)(const float*, std::int64_t, float*);

std::vector<float> apply(Unary function, std::vector<float> values) {
  const std::size_t count = values.size();
  values.resize((count + 7) / 8 * 8);
  std::vector<float> results(values.size());
  function(values.data(), static_cast<std::int64_t>(values.size()), results.data());
  results.resize(count);
  return results;
}

std::vector<float> evenly(float from, float to, int count) {
  std::vector<float> values;
  for (int i = 0; i <= count; ++i) {
    values.push_back(from + (to - from) * static_cast<float>(i) / static_cast<float>(count));
  }
  return values;
}

double worst_relative_error(const std::vector<float>& x, const std::vector<float>& y, double (*exact)(double)) {
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = exact(x[i]);
    worst = std::max(worst, expected == 0 ? std::abs(y[i]) : std::abs(y[i] / expected - 1));
  }
  return worst;
}

TEST(Numbers, Exp2) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    const std::vector<float> x = evenly(-125.9F, 30.0F, 1 << 18);
    EXPECT_LT(worst_relative_error(x, apply(simd::exp2, x), [](double value) { return std::exp2(value); }), 2.5e-7);
    const std::vector<float> special =
        apply(simd::exp2, {0.0F, -0.0F, -127.0F, -128.0F, -1e30F, -kInfinity, kNan, 1.0F});
    EXPECT_EQ(special[0], 1.0F);
    EXPECT_EQ(special[1], 1.0F);
    for (std::size_t i = 2; i < 6; ++i) {
      EXPECT_EQ(std::bit_cast<std::uint32_t>(special[i]), 0U) << i;
    }
    EXPECT_TRUE(std::isnan(special[6]));
    EXPECT_EQ(special[7], 2.0F);
    for (const std::uint32_t bits : {0x7FC00000U, 0x7FFFFFFFU, 0xFFFFFFFFU, 0x7F8001FFU, 0xFFC00100U}) {
      EXPECT_TRUE(std::isnan(apply(simd::exp2, std::vector<float>(8, std::bit_cast<float>(bits)))[0])) << bits;
    }
    for (const float small : apply(simd::exp2, evenly(-127.0F, -126.0F, 1000))) {
      EXPECT_GE(small, 0.0F);
      EXPECT_LT(small, 2.4e-38F);
    }
  });
}

TEST(Numbers, Tanh) {
  simd::for_each_target([](const std::string& target) {
    SCOPED_TRACE(target);
    for (const float range : {0.001F, 0.6F, 12.0F}) {
      const std::vector<float> x = evenly(-range, range, 1 << 16);
      EXPECT_LT(worst_relative_error(x, apply(simd::tanh, x), [](double value) { return std::tanh(value); }), 4e-7);
    }
    const std::vector<float> special = apply(simd::tanh, {0.0F, kInfinity, -kInfinity, 1e30F, kNan, -40.0F});
    EXPECT_EQ(special[0], 0.0F);
    EXPECT_EQ(special[1], 1.0F);
    EXPECT_EQ(special[2], -1.0F);
    EXPECT_EQ(special[3], 1.0F);
    EXPECT_TRUE(std::isnan(special[4]));
    EXPECT_EQ(special[5], -1.0F);
  });
}

/// A small float format by its definition.
struct Format {
  Dtype dtype;
  int bits;
  int mantissa_bits;
  int bias;
  bool has_infinity;

  double value(std::uint32_t code) const {
    const int exponent_bits = bits - 1 - mantissa_bits;
    const auto mantissa = static_cast<double>(code & ((1U << mantissa_bits) - 1));
    const auto exponent = static_cast<int>(code >> mantissa_bits & ((1U << exponent_bits) - 1));
    const double sign = code >> (bits - 1) != 0 ? -1 : 1;
    const bool top = exponent == (1 << exponent_bits) - 1;
    if (top && has_infinity) {
      return mantissa == 0 ? sign * HUGE_VAL : std::nan("");
    }
    if (top && mantissa == (1U << mantissa_bits) - 1) {
      return std::nan("");
    }
    const double scaled = std::ldexp(mantissa, -mantissa_bits);
    return sign * (exponent == 0 ? std::ldexp(scaled, 1 - bias) : std::ldexp(1 + scaled, exponent - bias));
  }

  std::uint32_t codes() const { return 1U << bits; }
};

constexpr Format kFloat16{Dtype::kFloat16, 16, 10, 15, true};
constexpr Format kBFloat16{Dtype::kBFloat16, 16, 7, 127, true};
constexpr Format kE4M3{Dtype::kFloat8E4M3, 8, 3, 7, false};
constexpr Format kE5M2{Dtype::kFloat8E5M2, 8, 2, 15, true};

TEST(Numbers, EveryCodeOfEveryInputFormatLoads) {
  simd::for_each_target([](const std::string& target) {
    for (const Format& format : {kFloat16, kBFloat16, kE4M3, kE5M2}) {
      SCOPED_TRACE(target + " " + dtype_name(format.dtype));
      const auto size = static_cast<std::size_t>(format.bits / 8);
      std::vector<std::byte> bytes(format.codes() * size);
      for (std::uint32_t code = 0; code < format.codes(); ++code) {
        std::memcpy(bytes.data() + code * size, &code, size);  // little-endian: the low bytes come first
      }
      std::vector<float> loaded(format.codes());
      // In rows of 8 and of 24, so that half vectors are used as well.
      for (std::size_t begin = 0; begin < format.codes();) {
        const std::size_t count = std::min<std::size_t>(begin % 3 == 0 ? 8 : 24, format.codes() - begin);
        simd::load(format.dtype, bytes.data() + begin * size, static_cast<std::int64_t>(count), loaded.data() + begin);
        begin += count;
      }
      for (std::uint32_t code = 0; code < format.codes(); ++code) {
        const double expected = format.value(code);
        if (std::isnan(expected)) {
          ASSERT_TRUE(std::isnan(loaded[code])) << code;
        } else {
          ASSERT_EQ(loaded[code], expected) << code;
          ASSERT_EQ(std::signbit(loaded[code]), std::signbit(expected)) << code;
        }
      }
    }
  });
}

/// Stores and reads back the codes.
std::vector<std::uint16_t> stored_codes(Dtype dtype, std::vector<float> values) {
  values.resize((values.size() + 7) / 8 * 8);
  std::vector<std::uint16_t> codes(values.size());
  simd::store(dtype, values.data(), static_cast<std::int64_t>(values.size()),
              reinterpret_cast<std::byte*>(codes.data()));
  return codes;
}

TEST(Numbers, OutputsRoundToNearestEven) {
  simd::for_each_target([](const std::string& target) {
    for (const Format& format : {kFloat16, kBFloat16}) {
      SCOPED_TRACE(target + " " + dtype_name(format.dtype));
      const std::uint32_t infinity = ((1U << (15 - format.mantissa_bits)) - 1) << format.mantissa_bits;
      // Around every finite positive value: itself, the middle to the next, and the floats beside that middle. The
      // middle goes to the even code; the one after the largest finite value is where infinity begins.
      std::vector<float> values;
      std::vector<std::uint32_t> expected;
      for (std::uint32_t code = 0; code < infinity; ++code) {
        const double here = format.value(code);
        const double next = code + 1 == infinity ? 2 * here - format.value(code - 1) : format.value(code + 1);
        const auto middle = static_cast<float>((here + next) / 2);
        for (const float value :
             {static_cast<float>(here), std::nextafter(middle, 0.0F), middle, std::nextafter(middle, kInfinity)}) {
          const bool up = value > middle || (value == middle && code % 2 == 1);
          values.push_back(value);
          expected.push_back(up ? code + 1 : code);
          values.push_back(-value);
          expected.push_back((up ? code + 1 : code) | 0x8000U);
        }
      }
      values.insert(values.end(), {kInfinity, -kInfinity, std::numeric_limits<float>::max(), 0.0F});
      expected.insert(expected.end(), {infinity, infinity | 0x8000U, infinity, 0U});
      const std::vector<std::uint16_t> codes = stored_codes(format.dtype, values);
      for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(codes[i], expected[i]) << values[i];
      }
      for (const std::uint32_t bits : {0x7FC00000U, 0xFFC00000U, 0x7F800001U, 0x7FFFFFFFU, 0xFF800001U}) {
        const std::uint16_t code = stored_codes(format.dtype, {std::bit_cast<float>(bits)}).front();
        EXPECT_TRUE(std::isnan(format.value(code))) << bits;
      }
    }
  });
}

}  // namespace
}  // namespace varlen::cpu
