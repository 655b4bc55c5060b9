#include "cli/data.hpp"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "cli/failure.hpp"

namespace varlen::cli {
namespace {

struct Format {
  int exponent_bits;
  int mantissa_bits;
};

Format format_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat32:
      return {8, 23};
    case Dtype::kFloat16:
      return {5, 10};
    case Dtype::kBFloat16:
      return {8, 7};
    case Dtype::kFloat8E4M3:
      return {4, 3};
    case Dtype::kFloat8E5M2:
      return {5, 2};
    case Dtype::kInt32:
    case Dtype::kInt64:
      break;
  }
  fail("{} is not a floating-point type", dtype_name(dtype));
}

// The bits of `value`, mantissa truncated; too small for a normal number becomes 0. |value| must be in range.
std::uint32_t encode(float value, Format format) {
  int exponent = 0;
  const float fraction =
      std::frexp(std::fabs(value), &exponent);  // |value| = fraction · 2^exponent, 0.5 ≤ fraction < 1
  const int biased = exponent - 1 + (1 << (format.exponent_bits - 1)) - 1;
  if (fraction == 0.0F || biased <= 0) return 0;
  const float scaled = std::ldexp(fraction * 2 - 1, format.mantissa_bits);
  const auto sign = static_cast<std::uint32_t>(std::signbit(value));
  return (sign << (format.exponent_bits + format.mantissa_bits)) |
         (static_cast<std::uint32_t>(biased) << format.mantissa_bits) | static_cast<std::uint32_t>(scaled);
}

constexpr std::size_t kTableSize = std::size_t{1} << 16;

template <typename Element>
void fill(const Buffer& buffer, Format format, std::uint64_t seed) {
  // Drawing from a table of encoded numbers is far faster than encoding each, and gigabytes are filled here.
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<Element> table(kTableSize);
  for (Element& element : table) element = static_cast<Element>(encode(normal(generator), format));

  const auto count = static_cast<std::size_t>(buffer.bytes()) / sizeof(Element);
  std::byte* out = buffer.data();
  for (std::size_t i = 0; i < count;) {
    std::uint64_t bits = generator();
    for (int k = 0; k < 4 && i < count; ++k, ++i, bits >>= 16) {
      std::memcpy(out + i * sizeof(Element), &table[bits % kTableSize], sizeof(Element));
    }
  }
}

}  // namespace

void Buffer::clear() noexcept { std::memset(data_.get(), 0, static_cast<std::size_t>(bytes_)); }

void fill_random(const Buffer& buffer, Dtype dtype, std::uint64_t seed) {
  const Format format = format_of(dtype);
  switch (dtype_size(dtype)) {
    case 1:
      return fill<std::uint8_t>(buffer, format, seed);
    case 2:
      return fill<std::uint16_t>(buffer, format, seed);
    default:
      return fill<std::uint32_t>(buffer, format, seed);
  }
}

}  // namespace varlen::cli
