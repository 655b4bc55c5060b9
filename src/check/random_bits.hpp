// Random numbers that are the same on every machine for the same seed (the standard library's distributions are not).
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>

namespace varlen::check {

/// SplitMix64: any seed is a good one, and neighbouring seeds give unrelated numbers.
class RandomBits {
 public:
  explicit RandomBits(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    state_ += 0x9E3779B97F4A7C15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }

  /// 0 ≤ result < bound; 0 for a bound of 0. (The bias of the remainder is below bound / 2^64.)
  std::int64_t below(std::int64_t bound) noexcept {
    return bound <= 0 ? 0 : static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(bound));
  }
  std::int64_t between(std::int64_t low, std::int64_t high) noexcept { return low + below(high - low + 1); }
  bool one_in(std::int64_t n) noexcept { return below(n) == 0; }
  /// 0 ≤ result < 1.
  double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

  /// low ≤ result ≤ high, every order of magnitude alike; low ≥ 1.
  std::int64_t log_between(std::int64_t low, std::int64_t high) noexcept {
    const double span = std::log2(static_cast<double>(high) + 1) - std::log2(static_cast<double>(low));
    const auto value = static_cast<std::int64_t>(static_cast<double>(low) * std::exp2(span * unit()));
    return value < low ? low : value > high ? high : value;
  }

  /// Mean 0, variance 1, |value| < 6: the sum of twelve uniforms, less 6, from 16 bits each.
  double normal() noexcept {
    std::uint64_t sum = 0;
    for (int word = 0; word < 3; ++word) {
      const std::uint64_t bits = next();
      sum += (bits & 0xFFFFU) + ((bits >> 16) & 0xFFFFU) + ((bits >> 32) & 0xFFFFU) + (bits >> 48);
    }
    return (static_cast<double>(sum) + 6) * 0x1p-16 - 6;
  }

  template <typename T>
  T pick(std::initializer_list<T> values) noexcept {
    return values.begin()[below(static_cast<std::int64_t>(values.size()))];
  }

 private:
  std::uint64_t state_;
};

}  // namespace varlen::check
