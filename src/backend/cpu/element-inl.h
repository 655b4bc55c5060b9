// Elements of every dtype to fp32 and back, exactly rounded. Row lengths are multiples of 8; nothing beyond a row's end
// is read or written.
#if defined(VARLEN_CPU_ELEMENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef VARLEN_CPU_ELEMENT_INL_H_
#undef VARLEN_CPU_ELEMENT_INL_H_
#else
#define VARLEN_CPU_ELEMENT_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "backend/cpu/call.hpp"

HWY_BEFORE_NAMESPACE();
namespace varlen::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// fp16 bits to fp32, subnormals, infinities and NaN included.
template <class D, class VU16>
HWY_INLINE hn::Vec<D> float_of_float16_bits(D df, VU16 bits16) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128 || (HWY_ARCH_X86 && HWY_TARGET > HWY_AVX2)
  // Without the instruction: Highway's emulation knows no infinities. Exponent and mantissa in fp32's place are worth
  // 2^−112 too little.
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::PromoteTo(du, bits16);
  const auto magnitude = hn::And(bits, hn::Set(du, 0x7FFFU));
  const auto sign = hn::ShiftLeft<16>(hn::Xor(bits, magnitude));
  const auto moved = hn::BitCast(df, hn::ShiftLeft<13>(magnitude));
  const auto finite = hn::BitCast(du, hn::Mul(moved, hn::Set(df, 0x1p112F)));
  const auto special = hn::Or(hn::BitCast(du, moved), hn::Set(du, 0x7F800000U));
  const auto is_special = hn::Gt(magnitude, hn::Set(du, 0x7BFFU));
  return hn::BitCast(df, hn::Or(hn::IfThenElse(is_special, special, finite), sign));
#else
  return hn::PromoteTo(df, hn::BitCast(hn::Rebind<hwy::float16_t, D>(), bits16));
#endif
}

template <Dtype kDtype, class D>
HWY_INLINE hn::Vec<D> load_as_float(D df, const std::byte* from) {
  const hn::Rebind<std::uint32_t, D> du32;
  const hn::Rebind<std::uint16_t, D> du16;
  const hn::Rebind<std::uint8_t, D> du8;
  if constexpr (kDtype == Dtype::kFloat32) {
    return hn::LoadU(df, reinterpret_cast<const float*>(from));
  } else if constexpr (kDtype == Dtype::kBFloat16) {
    const auto bits = hn::LoadU(du16, reinterpret_cast<const std::uint16_t*>(from));
    return hn::BitCast(df, hn::ShiftLeft<16>(hn::PromoteTo(du32, bits)));
  } else if constexpr (kDtype == Dtype::kFloat16) {
    const auto bits = hn::LoadU(du16, reinterpret_cast<const std::uint16_t*>(from));
    return float_of_float16_bits(df, bits);
  } else if constexpr (kDtype == Dtype::kFloat8E5M2) {
    // The upper half of an fp16.
    const auto bits = hn::PromoteTo(du16, hn::LoadU(du8, reinterpret_cast<const std::uint8_t*>(from)));
    return float_of_float16_bits(df, hn::ShiftLeft<8>(bits));
  } else {
    static_assert(kDtype == Dtype::kFloat8E4M3);
    // Sign, exponent and mantissa put where fp16 has them give the value divided by 2^8 (the exponent biases are 7 and
    // 15), subnormals included. Only the one NaN pattern needs care.
    const auto bits = hn::PromoteTo(du16, hn::LoadU(du8, reinterpret_cast<const std::uint8_t*>(from)));
    const auto magnitude = hn::And(bits, hn::Set(du16, 0x7F));
    const auto sign = hn::ShiftLeft<8>(hn::Xor(bits, magnitude));
    const auto is_nan = hn::Eq(magnitude, hn::Set(du16, 0x7F));
    const auto half = hn::IfThenElse(is_nan, hn::Set(du16, 0x7E00), hn::ShiftLeft<7>(magnitude));
    return hn::Mul(float_of_float16_bits(df, hn::Or(half, sign)), hn::Set(df, 256.0F));
  }
}

/// fp32 → fp16 bits in the low halves, to nearest even. Not the conversion instruction: this gives the same bits on
/// targets that lack it.
template <class D>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> float16_bits(D df, hn::Vec<D> value) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, value);
  const auto magnitude = hn::And(bits, hn::Set(du, 0x7FFFFFFFU));
  const auto sign = hn::ShiftRight<16>(hn::Xor(bits, magnitude));
  // Normal results: move the exponent, add half a unit less the parity of the last kept bit.
  const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(du, 1));
  const auto normal = hn::ShiftRight<13>(hn::Add(hn::Add(magnitude, odd), hn::Set(du, 0xFFFU - (112U << 23))));
  // Subnormal results count units of 2^−24, which is what the last bit of 0.5 + |value| is worth.
  const auto half = hn::Set(df, 0.5F);
  const auto subnormal = hn::Sub(hn::BitCast(du, hn::Add(hn::BitCast(df, magnitude), half)), hn::BitCast(du, half));
  const auto di = hn::RebindToSigned<D>();
  const auto signed_magnitude = hn::BitCast(di, magnitude);
  const auto below = [&](std::uint32_t limit) {
    return hn::RebindMask(du, hn::Lt(signed_magnitude, hn::Set(di, static_cast<std::int32_t>(limit))));
  };
  const auto special = hn::IfThenElse(below(0x7F800001U), hn::Set(du, 0x7C00U), hn::Set(du, 0x7E00U));
  const auto finite = hn::IfThenElse(below(0x38800000U), subnormal, normal);
  return hn::Or(hn::IfThenElse(below(0x477FF000U), finite, special), sign);  // from 65520 on: infinity
}

/// fp32 → bf16 bits in the low halves, to nearest even.
template <class D>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> bfloat16_bits(D /*df*/, hn::Vec<D> value) {
  const hn::RebindToUnsigned<D> du;
  const auto bits = hn::BitCast(du, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const auto rounded = hn::Add(hn::Add(bits, odd), hn::Set(du, 0x7FFF));
  const auto quiet_nan = hn::Or(bits, hn::Set(du, 0x00400000));
  const auto is_nan = hn::RebindMask(du, hn::IsNaN(value));
  return hn::ShiftRight<16>(hn::IfThenElse(is_nan, quiet_nan, rounded));
}

template <Dtype kDtype, class D>
HWY_INLINE void store_float_as(D df, hn::Vec<D> value, std::byte* to) {
  if constexpr (kDtype == Dtype::kFloat32) {
    hn::StoreU(value, df, reinterpret_cast<float*>(to));
  } else {
    const hn::RebindToSigned<D> di;
    const hn::Rebind<std::uint16_t, D> du16;
    const auto bits = kDtype == Dtype::kFloat16 ? float16_bits(df, value) : bfloat16_bits(df, value);
    hn::StoreU(hn::DemoteTo(du16, hn::BitCast(di, bits)), du16, reinterpret_cast<std::uint16_t*>(to));
  }
}

/// Calls body(tag, element index) over `count` elements, a multiple of 8, in full vectors and one half one at most.
template <class Body>
HWY_INLINE void for_each_vector(std::int64_t count, const Body& body) {
  const hn::ScalableTag<float> df;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
  std::int64_t index = 0;
  for (; index + lanes <= count; index += lanes) {
    body(df, index);
  }
  if (index < count) {
    body(hn::CappedTag<float, 8>(), index);
  }
}

/// `count` elements to fp32.
template <Dtype kDtype>
HWY_INLINE void convert_row(const std::byte* from, std::int64_t count, float* to) {
  for_each_vector(count, [=](auto df, std::int64_t index) HWY_ATTR {
    hn::StoreU(load_as_float<kDtype>(df, from + index * element_size(kDtype)), df, to + index);
  });
}

/// Calls body(std::integral_constant<Dtype, …>) for the input dtype at run time.
template <class Body>
HWY_INLINE void with_input_dtype(Dtype dtype, const Body& body) {
  switch (dtype) {
    case Dtype::kFloat32:
      return body(std::integral_constant<Dtype, Dtype::kFloat32>());
    case Dtype::kFloat16:
      return body(std::integral_constant<Dtype, Dtype::kFloat16>());
    case Dtype::kBFloat16:
      return body(std::integral_constant<Dtype, Dtype::kBFloat16>());
    case Dtype::kFloat8E4M3:
      return body(std::integral_constant<Dtype, Dtype::kFloat8E4M3>());
    case Dtype::kFloat8E5M2:
      return body(std::integral_constant<Dtype, Dtype::kFloat8E5M2>());
    case Dtype::kInt32:
    case Dtype::kInt64:
      break;  // refused by validation
  }
}

template <Dtype kDtype>
HWY_INLINE void store_row_of(const float* from, float factor, float scale, std::int64_t count, std::byte* to) {
  for_each_vector(count, [=](auto df, std::int64_t index) HWY_ATTR {
    const auto value = hn::Mul(hn::Mul(hn::LoadU(df, from + index), hn::Set(df, factor)), hn::Set(df, scale));
    store_float_as<kDtype>(df, value, to + index * element_size(kDtype));
  });
}

/// `count` floats times `factor` and then `scale`, whose product fp32 may not hold, to `dtype`, one of fp32, fp16 and
/// bf16.
inline void store_row(Dtype dtype, const float* from, float factor, float scale, std::int64_t count, std::byte* to) {
  switch (dtype) {
    case Dtype::kFloat16:
      return store_row_of<Dtype::kFloat16>(from, factor, scale, count, to);
    case Dtype::kBFloat16:
      return store_row_of<Dtype::kBFloat16>(from, factor, scale, count, to);
    default:
      return store_row_of<Dtype::kFloat32>(from, factor, scale, count, to);
  }
}

}  // namespace varlen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
