// The emulator's conversions against the definitions of the formats, and its exp2.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "gpu/emulator/operations.hpp"
#include "kernel/exp2.hpp"
#include "reference/element.hpp"

namespace varlen::gpu::emulator {
namespace {

template <class Element>
constexpr Dtype kDtype = std::is_same_v<Element, Float16> ? Dtype::kFloat16 : Dtype::kBFloat16;

template <class Element>
class Numbers : public testing::Test {};
using Elements = testing::Types<Float16, BFloat16>;
TYPED_TEST_SUITE(Numbers, Elements, );

TYPED_TEST(Numbers, EveryNumberWidensAndComesBack) {
  const auto format = reference::float_format(kDtype<TypeParam>);
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto element = static_cast<std::uint16_t>(bits);
    const double expected = reference::decode(format, bits);
    const float widened = widen<TypeParam>(element);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(widened)) << bits;
      ASSERT_TRUE(std::isnan(widen<TypeParam>(narrow<TypeParam>(widened)))) << bits;
      continue;
    }
    ASSERT_EQ(widened, expected) << bits;
    ASSERT_EQ(narrow<TypeParam>(widened), element) << bits;
  }
}

TYPED_TEST(Numbers, NarrowRoundsToNearestEven) {
  const auto format = reference::float_format(kDtype<TypeParam>);
  std::mt19937 random(1);
  const auto check = [&](std::uint32_t bits) {
    const auto value = std::bit_cast<float>(bits);
    if (std::isnan(value)) return;
    ASSERT_EQ(narrow<TypeParam>(value), reference::encode(format, value)) << value;
  };
  for (int i = 0; i < 300000; ++i) check(static_cast<std::uint32_t>(random()));
  for (std::uint32_t bits = 0; bits <= 0xFFFF; ++bits) {  // ties of both formats and their neighbours
    const float value = widen<TypeParam>(static_cast<std::uint16_t>(bits));
    const float next = widen<TypeParam>(static_cast<std::uint16_t>(bits + 1));
    if (!std::isfinite(value) || !std::isfinite(next)) continue;
    const auto middle = std::bit_cast<std::uint32_t>(static_cast<float>((double{value} + double{next}) / 2));
    for (const std::uint32_t near : {middle - 1, middle, middle + 1}) check(near);
  }
  for (const float value : {65504.0F, 65519.996F, 65520.0F, 1e30F, 0x1p-25F, 0x1.8p-25F, 0x1p-24F}) {
    check(std::bit_cast<std::uint32_t>(value));
    check(std::bit_cast<std::uint32_t>(-value));
  }
}

TEST(WidenE4M3, EveryNumberInEveryPlace) {
  const auto format = reference::float_format(Dtype::kFloat8E4M3);
  const auto half = reference::float_format(Dtype::kFloat16);
  for (std::uint32_t bits = 0; bits <= 0xFF; ++bits) {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    gpu::widen_e4m3(bits | (bits ^ 0x55U) << 8 | (bits ^ 0xAAU) << 16 | (bits ^ 0xFFU) << 24, low, high);
    const std::uint32_t halves[] = {low & 0xFFFFU, low >> 16, high & 0xFFFFU, high >> 16};
    constexpr std::uint32_t kFlips[] = {0, 0x55U, 0xAAU, 0xFFU};
    for (int i = 0; i < 4; ++i) {
      const double expected = reference::decode(format, bits ^ kFlips[i]);
      const double widened = reference::decode(half, halves[i]);
      ASSERT_TRUE(std::isnan(expected) ? std::isnan(widened) : widened == expected) << bits << " at " << i;
      ASSERT_EQ(std::signbit(widened), !std::isnan(expected) && std::signbit(expected)) << bits << " at " << i;
    }
  }
}

TEST(SelectBytes, TakesThemFromBothWords) {
  EXPECT_EQ(select_bytes(0x33221100U, 0x77665544U, 0x6420U), 0x66442200U);
  EXPECT_EQ(select_bytes(0x33221100U, 0x77665544U, 0x7531U), 0x77553311U);
  EXPECT_EQ(select_bytes(0x33221100U, 0x77665544U, 0x0347U), 0x00334477U);
}

TEST(Pack, PutsTheFirstIntoTheLowerHalf) {
  EXPECT_EQ(pack<Float16>(1.0F, -2.0F), 0xC0003C00U);
  EXPECT_EQ(pack<BFloat16>(1.0F, -2.0F), 0xC0003F80U);
}

TEST(Exp2Polynomial, IsAsCloseAsItSays) {
  for (const float start : {-127.0F, -126.5F}) EXPECT_LE(std::abs(kernel::exp2_polynomial(start)), 0x1p-126F) << start;
  double worst = 0;
  for (float x = -126.0F; x < 9.0F; x += 0x1p-12F) {
    const double exact = std::exp2(double{x});
    worst = std::max(worst, std::abs(kernel::exp2_polynomial(x) - exact) / exact);
    ASSERT_LE(worst, x < -125.5F ? 0.5 : 2.9e-6) << x;
    if (x < -125.5F) worst = 0;  // numbers below 2^-126 have lost their first bit
  }
  EXPECT_GE(worst, 2.7e-6);  // and no closer: the bound is not slack
  for (int n = -126; n < 10; ++n) EXPECT_EQ(kernel::exp2_polynomial(static_cast<float>(n)), std::ldexp(1.0F, n));
}

TEST(Exp2Polynomial, NothingIsSeenOfWhatIsMasked) {
  EXPECT_EQ(kernel::exp2_polynomial(-std::numeric_limits<float>::infinity()), 0.0F);
  EXPECT_EQ(kernel::exp2_polynomial(-1e30F), 0.0F);
  EXPECT_EQ(kernel::exp2_polynomial(-127.0F), 0.0F);
}

TEST(Exp2, FlushesWhatIsBelowTheNormalNumbers) {
  EXPECT_EQ(exp2_fast(-std::numeric_limits<float>::infinity()), 0.0F);
  EXPECT_EQ(exp2_fast(-127.0F), 0.0F);
  EXPECT_EQ(exp2_fast(-126.0F), 0x1p-126F);
  EXPECT_EQ(exp2_fast(3.0F), 8.0F);
  EXPECT_TRUE(std::isnan(exp2_fast(std::numeric_limits<float>::quiet_NaN())));
}

}  // namespace
}  // namespace varlen::gpu::emulator
