// exp2 and tanh of fp32 vectors to about one unit in the last place.
#if defined(VARLEN_CPU_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef VARLEN_CPU_MATH_INL_H_
#undef VARLEN_CPU_MATH_INL_H_
#else
#define VARLEN_CPU_MATH_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace varlen::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// max(limit, x), where a NaN x stays NaN. x86's own instruction gives the second operand then; others differ.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V at_least(D df, float limit, V x) {
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
  return hn::Max(hn::Set(df, limit), x);
#else
  return hn::IfThenElse(hn::Lt(x, hn::Set(df, limit)), hn::Set(df, limit), x);
#endif
}

/// 2^x for x ≤ 127. Exactly 1 at 0, exactly 0 from −127 down (so −inf, a masked score, weighs nothing); NaN stays NaN.
/// Relative error below 2.5e-7 where the result is a normal number.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_of(D df, V x) {
  const hn::RebindToUnsigned<D> du;
  x = at_least(df, -127.0F, x);
  // Adding 1.5 · 2^23 rounds x to the integer n and leaves n in the low bits of the sum.
  const V magic = hn::Set(df, 12582912.0F);
  const V shifted = hn::Add(x, magic);
  const V f = hn::Sub(x, hn::Sub(shifted, magic));  // in [−0.5, 0.5], exact
  // 2^f with the constant term held at 1: minimax relative error 9.2e-8.
  V poly = hn::MulAdd(hn::Set(df, 0.00132647331F), f, hn::Set(df, 0.00967151299F));
  poly = hn::MulAdd(poly, f, hn::Set(df, 0.0555073358F));
  poly = hn::MulAdd(poly, f, hn::Set(df, 0.240222424F));
  poly = hn::MulAdd(poly, f, hn::Set(df, 0.693147004F));
  poly = hn::MulAdd(poly, f, hn::Set(df, 1.0F));
  // times 2^n by adding n to the exponent. At n = −127 and f = 0 the bits of 1.0 become the bits of 0.
  const V result = hn::BitCast(df, hn::Add(hn::BitCast(du, poly), hn::ShiftLeft<23>(hn::BitCast(du, shifted))));
  return hn::MulAdd(f, hn::Zero(df), result);  // the bits of a NaN may have become any number
}

/// tanh, odd and monotone at the seam, ±1 beyond ±10.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh_of(D df, V x) {
  const V magnitude = hn::Abs(x);
  // Small arguments: x + x³ · P(x²), because 1 − 2 / (e^2x + 1) would cancel.
  const V square = hn::Mul(x, x);
  V poly = hn::MulAdd(hn::Set(df, -0.00627427781F), square, hn::Set(df, 0.021071706F));
  poly = hn::MulAdd(poly, square, hn::Set(df, -0.053852316F));
  poly = hn::MulAdd(poly, square, hn::Set(df, 0.13332586F));
  poly = hn::MulAdd(poly, square, hn::Set(df, -0.333333164F));
  const V small = hn::MulAdd(hn::Mul(poly, square), x, x);
  const V one = hn::Set(df, 1.0F);
  const V exponent = hn::Mul(at_least(df, -10.0F, hn::Neg(magnitude)), hn::Set(df, -2.88539008F));
  const V large = hn::Sub(one, hn::Div(hn::Set(df, 2.0F), hn::Add(exp2_of(df, exponent), one)));
  return hn::IfThenElse(hn::Lt(magnitude, hn::Set(df, 0.55F)), small, hn::CopySign(large, x));
}

}  // namespace varlen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
