// Integer arithmetic that planning shares between CPU and GPU. Nothing of the standard library: nvcc takes its
// constexpr functions into device code and gets some of them wrong (docs/decisions/0004).
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#if defined(__CUDACC__)
#define VARLEN_HOST_DEVICE __host__ __device__
#define VARLEN_PLAN __device__ __forceinline__
#define VARLEN_UNROLLED _Pragma("unroll")
#else
#define VARLEN_HOST_DEVICE
#define VARLEN_PLAN inline  // what plans with a team: nvcc compiles it for the device alone
#define VARLEN_UNROLLED
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

/// Bits that a number ≥ 0 needs.
VARLEN_HOST_DEVICE constexpr int bit_width(std::int64_t value) {
#if defined(__CUDA_ARCH__)
  return 64 - __clzll(value);
#else
  return static_cast<int>(std::bit_width(static_cast<std::uint64_t>(value)));
#endif
}
VARLEN_HOST_DEVICE constexpr int bit_width(std::int32_t value) {
#if defined(__CUDA_ARCH__)
  return 32 - __clz(value);
#else
  return static_cast<int>(std::bit_width(static_cast<std::uint32_t>(value)));
#endif
}

template <class Int>
VARLEN_HOST_DEVICE constexpr Int least(Int a, std::type_identity_t<Int> b) {
  return b < a ? b : a;
}
template <class Int>
VARLEN_HOST_DEVICE constexpr Int greatest(Int a, std::type_identity_t<Int> b) {
  return a < b ? b : a;
}

#if defined(__CUDACC__) && defined(VARLEN_DIVIDE_OUT_OF_LINE)
/// A division of 64 bits is some hundred instructions on a GPU: for kernels that have many. And it is some twenty with
/// a reciprocal in 64-bit floating point, of which two steps of Newton's leave all but the last bits right: ⌊a / b⌋ or
/// a number next to it, while a / b is below 2^51. What is left over tells.
__device__ __noinline__ inline std::int64_t divide_out_of_line(std::int64_t a, std::int64_t b) {
  const auto divisor = static_cast<double>(b);
  double reciprocal;
  asm("rcp.approx.ftz.f64 %0, %1;" : "=d"(reciprocal) : "d"(divisor));
  reciprocal = __fma_rn(reciprocal, __fma_rn(-divisor, reciprocal, 1.0), reciprocal);
  reciprocal = __fma_rn(reciprocal, __fma_rn(-divisor, reciprocal, 1.0), reciprocal);
  std::int64_t quotient = __double2ll_rz(static_cast<double>(a) * reciprocal);
  std::int64_t left = a - quotient * b;
  if (left < 0 || left >= b) {
    const std::int64_t more = __double2ll_rz(static_cast<double>(left) * reciprocal);
    quotient += more;
    left -= more * b;
    quotient += left < 0 ? -1 : left >= b ? 1 : 0;
  }
  return quotient;
}
#endif

/// ⌊a / b⌋ for a ≥ 0, b > 0. Divisors mostly are powers of two.
template <class Int>
VARLEN_HOST_DEVICE constexpr Int quotient(Int a, std::type_identity_t<Int> b) {
  if constexpr (sizeof(Int) == sizeof(std::uint32_t)) {
    return static_cast<Int>(static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b));
  } else {
#if defined(__CUDA_ARCH__) && defined(VARLEN_DIVIDE_OUT_OF_LINE)
    return divide_out_of_line(a, b);
#else
    return (b & (b - 1)) == 0 ? a >> trailing_zeros(b) : a / b;
#endif
  }
}

/// ⌈a / b⌉ for a ≥ 0, b > 0.
template <class Int>
VARLEN_HOST_DEVICE constexpr Int ceil_div(Int a, std::type_identity_t<Int> b) {
  if constexpr (sizeof(Int) == sizeof(std::uint32_t)) {
    // Heads may be as many as the type holds: a + b is more.
    return static_cast<Int>((static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b) - 1U) /
                            static_cast<std::uint32_t>(b));
  } else {
    return quotient<Int>(a + b - 1, b);
  }
}

/// A divisor for many numbers, prepared for quotient() and ceil_div().
template <class Int>
struct Divisor;

template <>
struct Divisor<std::int64_t> {
  std::int64_t value = 1;
  std::int32_t log2 = 0;  // −1: not a power of two

  Divisor() = default;
  VARLEN_HOST_DEVICE constexpr Divisor(std::int64_t divisor)  // NOLINT(google-explicit-constructor): it is a number
      : value(divisor), log2((divisor & (divisor - 1)) == 0 ? trailing_zeros(divisor) : -1) {}
  VARLEN_HOST_DEVICE constexpr operator std::int64_t() const { return value; }  // NOLINT(google-explicit-constructor)
};
VARLEN_HOST_DEVICE constexpr std::int64_t quotient(std::int64_t a, const Divisor<std::int64_t>& b) {
  return b.log2 >= 0 ? a >> b.log2 : quotient<std::int64_t>(a, b.value);
}

template <>
struct Divisor<std::int32_t> {
  std::int32_t value = 1;
  std::int32_t log2 = 0;
  std::uint32_t factor = 1U << 31;  // ⌈2^shift / value⌉: for numbers below 2^31, ⌊a · factor / 2^shift⌋ is the quotient
  std::int32_t shift = 31;  // (Granlund and Montgomery, PLDI 1994)

  Divisor() = default;
  constexpr Divisor(std::int32_t divisor)  // NOLINT(google-explicit-constructor): it is a number
      : value(divisor), log2((divisor & (divisor - 1)) == 0 ? trailing_zeros(divisor) : -1) {
    shift = 31 + bit_width(divisor - 1);
    factor = static_cast<std::uint32_t>(((std::uint64_t{1} << shift) + static_cast<std::uint64_t>(divisor) - 1) /
                                        static_cast<std::uint64_t>(divisor));
  }
  VARLEN_HOST_DEVICE constexpr operator std::int32_t() const { return value; }  // NOLINT(google-explicit-constructor)
};
VARLEN_HOST_DEVICE constexpr std::int32_t quotient(std::int32_t a, const Divisor<std::int32_t>& b) {
  return static_cast<std::int32_t>(std::uint64_t{static_cast<std::uint32_t>(a)} * b.factor >> b.shift);
}

template <class Int>
VARLEN_HOST_DEVICE constexpr Int ceil_div(Int a, const Divisor<Int>& b) {
  return quotient(a + b.value - 1, b);
}

}  // namespace varlen
