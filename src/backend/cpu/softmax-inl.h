// One block of online softmax over rows of scores in place: logits become probabilities relative to the row's maximum
// so far.
#if defined(VARLEN_CPU_SOFTMAX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef VARLEN_CPU_SOFTMAX_INL_H_
#undef VARLEN_CPU_SOFTMAX_INL_H_
#else
#define VARLEN_CPU_SOFTMAX_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "backend/cpu/math-inl.h"
#include "backend/cpu/micro_kernels-inl.h"
#include "backend/cpu/scratch.hpp"

HWY_BEFORE_NAMESPACE();
namespace varlen::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// score → cap · tanh(score · cap_factor), for a multiple of kLanes scores.
inline void cap_scores(float* scores, KeyRange keys, float cap, float cap_factor) {
  const hn::ScalableTag<float> df;
  for (std::int64_t key = keys.begin; key < keys.end; key += kLanes) {
    const auto x = hn::Mul(hn::Load(df, scores + key), hn::Set(df, cap_factor));
    hn::Store(hn::Mul(tanh_of(df, x), hn::Set(df, cap)), df, scores + key);
  }
}

/// Writes −inf over the scores in `computed` that the row does not see. Both ends of `computed` are multiples of
/// kLanes.
inline void mask_scores(float* scores, KeyRange computed, KeyRange visible) {
  const hn::ScalableTag<float> df;
  const hn::RebindToSigned<decltype(df)> di;
  for (std::int64_t key = computed.begin; key < computed.end; key += kLanes) {
    if (key >= visible.begin && key + kLanes <= visible.end) {
      continue;
    }
    const auto position = hn::Iota(di, static_cast<std::int32_t>(key));
    const auto before = hn::Lt(position, hn::Set(di, static_cast<std::int32_t>(visible.begin)));
    const auto inside = hn::AndNot(before, hn::Lt(position, hn::Set(di, static_cast<std::int32_t>(visible.end))));
    const auto masked =
        hn::IfThenElse(hn::RebindMask(df, inside), hn::Load(df, scores + key), hn::Set(df, kMinusInfinity));
    hn::Store(masked, df, scores + key);
  }
}

/// What a sum relative to maximum `from` is multiplied by to be relative to `to` ≥ `from`.
inline float rescale_factor(float from, float to, float log2_per_one) {
  if (from == to) {
    return 1.0F;  // also for two rows that have seen nothing, where the difference would be NaN
  }
  return static_cast<float>(std::exp2(static_cast<double>(from - to) * log2_per_one));
}

/// The largest of a row's scores in `keys`, whose ends are multiples of kLanes.
HWY_INLINE float row_max_of(const float* HWY_RESTRICT scores, KeyRange keys) {
  const hn::ScalableTag<float> df;
  auto even = hn::Set(df, kMinusInfinity);
  auto odd = even;
  std::int64_t key = keys.begin;
  for (; key + 2 * kLanes <= keys.end; key += 2 * kLanes) {
    even = hn::Max(even, hn::Load(df, scores + key));
    odd = hn::Max(odd, hn::Load(df, scores + key + kLanes));
  }
  if (key < keys.end) {
    even = hn::Max(even, hn::Load(df, scores + key));
  }
  const auto largest = hn::Max(even, odd);
#if HWY_TARGET == HWY_EMU128
  // Its reduction starts at the lowest finite number, and a row may have seen nothing but −inf.
  if (hn::AllTrue(df, hn::Eq(largest, hn::Set(df, kMinusInfinity)))) {
    return kMinusInfinity;
  }
#endif
  return hn::GetLane(hn::MaxOfLanes(df, largest));
}

/// scores → exp2((score − max) · log2_per_one) in place; row_sum = row_sum · rescale + their sum, lane by lane.
///
/// The difference to the maximum is taken before scaling: it is exact for close scores, however large both are.
HWY_INLINE void row_probabilities(float* HWY_RESTRICT scores, KeyRange keys, float row_max, float log2_per_one,
                                  float rescale, float* HWY_RESTRICT row_sum) {
  const hn::ScalableTag<float> df;
  // A row that has seen nothing yet has only −inf scores here; any finite maximum turns them into zeros.
  const auto max = hn::Set(df, row_max == kMinusInfinity ? 0.0F : row_max);
  const auto factor = hn::Set(df, log2_per_one);
  auto sum = hn::Zero(df);
  for (std::int64_t key = keys.begin; key < keys.end; key += kLanes) {
    const auto probability = exp2_of(df, hn::Mul(hn::Sub(hn::Load(df, scores + key), max), factor));
    hn::Store(probability, df, scores + key);
    sum = hn::Add(sum, probability);
  }
  hn::Store(hn::MulAdd(hn::Load(df, row_sum), hn::Set(df, rescale), sum), df, row_sum);
}

/// One block of online softmax for `rows` ≤ kBlockRows rows of scores, kKeyStep apart. Turns the scores in `keys` (ends
/// at multiples of kLanes) into probabilities, adds them to row_sum[rows][kMaxLanes], moves row_max[rows] and leaves in
/// rescale[rows] the factor by which out, summed so far, must be multiplied. No branch depends on the scores.
HWY_INLINE void softmax_rows(std::int64_t rows, float* scores, KeyRange keys, float log2_per_one, float* row_max,
                             float* row_sum, float* rescale) {
  const hn::CappedTag<float, 8> d8;
  constexpr std::int64_t kStep = hn::MaxLanes(d8);
  alignas(64) float old_max[8] = {};
  alignas(64) float new_max[8] = {};
  alignas(64) float factor[8];
  for (std::int64_t row = 0; row < rows; ++row) {
    old_max[row] = row_max[row];
    new_max[row] = std::max(row_max[row], row_max_of(scores + row * kKeyStep, keys));
  }
  for (std::int64_t row = 0; row < rows; row += kStep) {
    // Equal maxima give exactly 1; without this rule two of −inf would give NaN.
    const auto from = hn::Load(d8, old_max + row);
    const auto to = hn::Load(d8, new_max + row);
    const auto difference = hn::IfThenZeroElse(hn::Eq(from, to), hn::Sub(from, to));
    hn::Store(exp2_of(d8, hn::Mul(difference, hn::Set(d8, log2_per_one))), d8, factor + row);
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    row_max[row] = new_max[row];
    rescale[row] = factor[row];
    row_probabilities(scores + row * kKeyStep, keys, new_max[row], log2_per_one, factor[row],
                      row_sum + row * kMaxLanes);
  }
}

}  // namespace varlen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
