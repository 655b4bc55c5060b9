// Integer arithmetic that planning shares between CPU and GPU. Nothing of the standard library: nvcc takes its
// constexpr functions into device code and gets some of them wrong (docs/decisions/0004).
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#if defined(__CUDACC__)
#define VARLEN_HOST_DEVICE __host__ __device__
#define VARLEN_PLAN __device__ __forceinline__
#else
#define VARLEN_HOST_DEVICE
#define VARLEN_PLAN inline  // what plans with a team: nvcc compiles it for the device alone
#endif

namespace varlen {

/// Of a power of two, its logarithm.
VARLEN_HOST_DEVICE constexpr int trailing_zeros(std::int64_t power_of_two) {
#if defined(__CUDA_ARCH__)
  return __ffsll(power_of_two) - 1;
#else
  return std::countr_zero(static_cast<std::uint64_t>(power_of_two));
#endif
}
VARLEN_HOST_DEVICE constexpr int trailing_zeros(std::int32_t power_of_two) {
#if defined(__CUDA_ARCH__)
  return __ffs(power_of_two) - 1;
#else
  return std::countr_zero(static_cast<std::uint32_t>(power_of_two));
#endif
}

/// Bits that a number > 0 needs.
VARLEN_HOST_DEVICE constexpr int bit_width(std::int64_t value) {
#if defined(__CUDA_ARCH__)
  return 64 - __clzll(value);
#else
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(value)));
#endif
}

template <class Int>
VARLEN_HOST_DEVICE constexpr Int least(Int a, Int b) {
  return b < a ? b : a;
}
template <class Int>
VARLEN_HOST_DEVICE constexpr Int greatest(Int a, Int b) {
  return a < b ? b : a;
}

/// ⌊a / b⌋ for a ≥ 0, b > 0. Tiles and key blocks are mostly powers of two, and on a GPU a division of 64 bits costs
/// some hundred instructions, one of 32 bits some twenty.
template <class Int>
VARLEN_HOST_DEVICE constexpr Int quotient(Int a, std::type_identity_t<Int> b) {
  if ((b & (b - 1)) == 0) return a >> trailing_zeros(b);
  if constexpr (sizeof(Int) > sizeof(std::uint32_t)) {
    if ((a | b) >> 32 != 0) return a / b;
  }
  return static_cast<Int>(static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b));
}

/// ⌈a / b⌉ for a ≥ 0, b > 0.
template <class Int>
VARLEN_HOST_DEVICE constexpr Int ceil_div(Int a, std::type_identity_t<Int> b) {
  return quotient<Int>(a + b - 1, b);
}

}  // namespace varlen
