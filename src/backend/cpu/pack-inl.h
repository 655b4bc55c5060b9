// Keys and values of one block, converted to fp32 and laid out for the micro-kernels. Reads exactly the rows it is
// given.
#if defined(VARLEN_CPU_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef VARLEN_CPU_PACK_INL_H_
#undef VARLEN_CPU_PACK_INL_H_
#else
#define VARLEN_CPU_PACK_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backend/cpu/element-inl.h"
#include "backend/cpu/micro_kernels-inl.h"
#include "backend/cpu/scratch.hpp"

HWY_BEFORE_NAMESPACE();
namespace varlen::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR
/// Four floats of each of the staged rows 0, 4, 8, … side by side.
template <class D>
HWY_INLINE hn::Vec<D> load_every_fourth(D df, const float* stage) {
  constexpr std::size_t kCount = hn::MaxLanes(D());
  if constexpr (kCount == 4) {
    return hn::LoadU(df, stage);
  } else {
    const hn::Half<D> half;
    return hn::Combine(df, load_every_fourth(half, stage + kCount / 2 * kStageStride), load_every_fourth(half, stage));
  }
}
#endif

/// Transposes kLanes staged rows of `depth` floats into columns of a panel: panel[k · kPanel + i] = stage[i ·
/// kStageStride + k].
inline void transpose_stage(const float* stage, std::int64_t depth, float* panel) {
#if HWY_TARGET == HWY_SCALAR
  for (std::int64_t k = 0; k < depth; ++k) {
    panel[k * kPanel] = stage[k];
  }
#else
  const hn::ScalableTag<float> df;
  const hn::Repartition<std::uint64_t, decltype(df)> du64;
  for (std::int64_t k = 0; k < depth; k += 4) {
    // Rows 4b … 4b + 3 meet in 128-bit block b, so a 4 × 4 transposition within blocks puts all rows in order.
    const auto row0 = load_every_fourth(df, stage + 0 * kStageStride + k);
    const auto row1 = load_every_fourth(df, stage + 1 * kStageStride + k);
    const auto row2 = load_every_fourth(df, stage + 2 * kStageStride + k);
    const auto row3 = load_every_fourth(df, stage + 3 * kStageStride + k);
    const auto low01 = hn::BitCast(du64, hn::InterleaveLower(df, row0, row1));
    const auto low23 = hn::BitCast(du64, hn::InterleaveLower(df, row2, row3));
    const auto high01 = hn::BitCast(du64, hn::InterleaveUpper(df, row0, row1));
    const auto high23 = hn::BitCast(du64, hn::InterleaveUpper(df, row2, row3));
    float* to = panel + k * kPanel;
    hn::Store(hn::BitCast(df, hn::InterleaveLower(du64, low01, low23)), df, to);
    hn::Store(hn::BitCast(df, hn::InterleaveUpper(du64, low01, low23)), df, to + kPanel);
    hn::Store(hn::BitCast(df, hn::InterleaveLower(du64, high01, high23)), df, to + 2 * kPanel);
    hn::Store(hn::BitCast(df, hn::InterleaveUpper(du64, high01, high23)), df, to + 3 * kPanel);
  }
#endif
}

template <int kLocality>
HWY_INLINE void prefetch_bytes(const std::byte* from, std::int64_t bytes) {
  for (std::int64_t offset = 0; offset < bytes; offset += 64) {
    __builtin_prefetch(from + offset, 0, kLocality);
  }
}

/// Rows of strided heads lie apart, where hardware does not look ahead. Rows beyond `count` are nobody's business here.
inline constexpr std::int64_t kPrefetchRows = 16;
template <int kLocality>
HWY_INLINE void prefetch_row(const std::byte* const* rows, std::int64_t index, std::int64_t count, std::int64_t bytes) {
  if (index < count) {
    prefetch_bytes<kLocality>(rows[index], bytes);
  }
}

/// Queries and keys are kept in 32-bit units: an fp32 element, or two bf16 ones where those are multiplied as they are.
template <Dtype kDtype>
inline constexpr bool kKeptAsPairs = kHasBFloat16Dot&& kDtype == Dtype::kBFloat16;

template <Dtype kDtype>
HWY_INLINE void convert_to_units(const std::byte* from, std::int64_t head_dim, float* to) {
  if constexpr (kKeptAsPairs<kDtype>) {
    std::memcpy(to, from, static_cast<std::size_t>(head_dim * element_size(kDtype)));
  } else {
    convert_row<kDtype>(from, head_dim, to);
  }
}

/// Packs keys `keys.begin … keys.end` of a block (positions within the block; rows[0] is the first of them) into panels
/// [key / kPanel][units][kPanel], lanes along keys. Lanes outside the range become zeros.
template <Dtype kDtype>
void pack_keys(const std::byte* const* rows, KeyRange keys, std::int64_t head_dim, float* stage, float* panels) {
  const std::int64_t row_bytes = head_dim * element_size(kDtype);
  const std::int64_t units = kKeptAsPairs<kDtype> ? head_dim / 2 : head_dim;
  for (std::int64_t first = keys.begin / kLanes * kLanes; first < keys.end; first += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const std::int64_t index = first + lane - keys.begin;
      float* staged = stage + lane * kStageStride;
      if (index >= 0 && index < keys.end - keys.begin) {
        prefetch_row<3>(rows, index + kPrefetchRows, keys.end - keys.begin, row_bytes);
        convert_to_units<kDtype>(rows[index], head_dim, staged);
      } else {
        std::fill(staged, staged + units, 0.0F);
      }
    }
    transpose_stage(stage, units, panels + first / kPanel * kPanel * units + first % kPanel);
  }
}

/// Packs values of the same keys into panels [column / kPanel][kKeyStep][kPanel], lanes along head_dim_vo.
template <Dtype kDtype>
void pack_values(const std::byte* const* rows, KeyRange keys, std::int64_t head_dim, float* panels) {
  const std::int64_t row_bytes = head_dim * element_size(kDtype);
  for (std::int64_t key = keys.begin; key < keys.end; ++key) {
    prefetch_row<3>(rows, key + kPrefetchRows - keys.begin, keys.end - keys.begin, row_bytes);
    const std::byte* row = rows[key - keys.begin];
    for (std::int64_t column = 0; column < head_dim; column += kPanel) {
      float* to = panels + column * kKeyStep + key * kPanel;
      const std::int64_t count = std::min(head_dim - column, kPanel);
      convert_row<kDtype>(row + column * element_size(kDtype), count, to);
      for (std::int64_t rest = count; rest < round_up(count, kLanes); ++rest) {
        to[rest] = 0.0F;
      }
    }
  }
}

}  // namespace varlen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
