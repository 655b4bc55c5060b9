// The oracle's numbers against the reference's, which were written apart from them.
#include "oracle/number.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "check/random_bits.hpp"
#include "reference/element.hpp"

namespace varlen::oracle {
namespace {

constexpr Dtype kNarrow[] = {Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3};

std::uint32_t patterns(Dtype dtype) { return dtype == Dtype::kFloat8E4M3 ? 256 : 65536; }

TEST(Number, EveryBitPatternDecodesAlike) {
  for (const Dtype dtype : kNarrow) {
    for (std::uint32_t bits = 0; bits < patterns(dtype); ++bits) {
      const double wanted = reference::decode(reference::float_format(dtype), bits);
      const double decoded = decode(dtype, bits);
      ASSERT_TRUE(std::isnan(wanted) ? std::isnan(decoded) : decoded == wanted) << dtype_name(dtype) << " " << bits;
    }
  }
}

TEST(Number, EveryNumberEncodesToItself) {
  for (const Dtype dtype : kNarrow) {
    for (std::uint32_t bits = 0; bits < patterns(dtype); ++bits) {
      const double value = decode(dtype, bits);
      if (!(std::fabs(value) < 65504)) continue;
      ASSERT_EQ(encode(dtype, static_cast<float>(value)), bits) << dtype_name(dtype);
    }
  }
}

TEST(Number, RoundsToNearest) {
  check::RandomBits random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    const auto value = static_cast<float>(std::ldexp(random.normal(), static_cast<int>(random.between(-30, 12))));
    for (const Dtype dtype : {Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3, Dtype::kFloat32}) {
      if (dtype == Dtype::kFloat8E4M3 && std::fabs(value) >= 448) continue;
      ASSERT_EQ(encode(dtype, value), reference::encode(reference::float_format(dtype), static_cast<double>(value)))
          << dtype_name(dtype) << " " << value;
    }
  }
  // Half between two numbers: to the even one.
  EXPECT_EQ(encode(Dtype::kFloat16, 1 + 0x1p-11F), 0x3C00U);
  EXPECT_EQ(encode(Dtype::kFloat16, 1 + 0x3p-11F), 0x3C02U);
  EXPECT_EQ(encode(Dtype::kFloat16, 0x1p-25F), 0U);
  EXPECT_EQ(encode(Dtype::kBFloat16, 1 + 0x1p-8F), 0x3F80U);
}

TEST(Number, UnitsAndLargest) {
  for (const Dtype dtype : {Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3, Dtype::kFloat32}) {
    const reference::FloatFormat format = reference::float_format(dtype);
    EXPECT_EQ(largest(dtype), reference::largest(format));
    for (const double value : {0.0, 1.0, -1.5, 0.99, 3e-6, 1e-40, 65000.0, 2.0, -0x1p-14, 0x1.8p-15}) {
      EXPECT_EQ(unit_in_last_place(dtype, value), reference::unit_in_last_place(format, value)) << value;
    }
  }
}

TEST(Number, NormalNumbersHaveTheirSpread) {
  double sum = 0;
  double squares = 0;
  constexpr int kCount = 200'000;
  for (int i = 0; i < kCount; ++i) {
    const auto value = static_cast<double>(normal_number(7, static_cast<std::uint64_t>(i)));
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.02);
  EXPECT_NE(normal_number(7, 1), normal_number(8, 1));
}

}  // namespace
}  // namespace varlen::oracle
