// The two matrix products of attention on register blocks: scores = query · keysᵀ and out += probabilities · values.
// Both multiply a few rows, one broadcast element each, with a panel whose lanes lie side by side.
//
// An element of the product is the same chains of fused multiply-adds, in order of depth from zero, in whichever block
// shape it is computed: where a row lies in a tile never changes its bits.
#if defined(VARLEN_CPU_MICRO_KERNELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef VARLEN_CPU_MICRO_KERNELS_INL_H_
#undef VARLEN_CPU_MICRO_KERNELS_INL_H_
#else
#define VARLEN_CPU_MICRO_KERNELS_INL_H_
#endif

#include <hwy/highway.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "backend/cpu/scratch.hpp"

HWY_BEFORE_NAMESPACE();
namespace varlen::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr std::int64_t kLanes = HWY_LANES(float);
// Rows × vectors of one register block. 6 × 4 accumulators, 4 panel vectors and a broadcast fill the 32 registers of
// AVX-512 and NEON; 6 × 2 fit the 16 of the others.
inline constexpr int kBlockRows = 6;
#if HWY_ARCH_ARM || (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3)
inline constexpr int kBlockVectors = 4;
#else
inline constexpr int kBlockVectors = 2;
#endif
inline constexpr std::int64_t kPanel = kBlockVectors * kLanes;
static_assert(kKeyStep % kPanel == 0 && kPanel <= kMaxPanel && kLanes <= kMaxLanes);

// Whether bf16 queries and keys are multiplied as they are, in pairs, each product exact and added in fp32.
#if HWY_ARCH_X86 && HWY_NATIVE_DOT_BF16
inline constexpr bool kHasBFloat16Dot = true;
#else
inline constexpr bool kHasBFloat16Dot = false;
#endif

/// One step of a product: fp32 elements.
struct FloatStep {
  template <class D, class V>
  static HWY_INLINE V multiply_add(D /*df*/, V a, V b, V sum) {
    return hn::MulAdd(a, b, sum);
  }
};

/// One step of a product: two bf16 elements in the place of one float.
struct BFloat16PairStep {
  template <class D, class V>
  static HWY_INLINE V multiply_add(D df, V a, V b, V sum) {
    if constexpr (kHasBFloat16Dot) {
      const hn::Repartition<hwy::bfloat16_t, D> dbf16;
      V unused = hn::Zero(df);
      return hn::ReorderWidenMulAccumulate(df, hn::BitCast(dbf16, a), hn::BitCast(dbf16, b), sum, unused);
    } else {
      return sum;
    }
  }
};

/// block[r][v] = Σₖ a[r · a_stride + k] · b[k · kPanel + v · kLanes …], k = 0 … depth − 1.
template <class Step, int kRows, int kVectors, class V>
HWY_INLINE void multiply_block(const float* HWY_RESTRICT a, std::int64_t a_stride, const float* HWY_RESTRICT b,
                               std::int64_t depth, V (&block)[kRows][kVectors]) {
  const hn::ScalableTag<float> df;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      block[r][v] = hn::Zero(df);
    }
  }
  for (std::int64_t k = 0; k < depth; ++k, b += kPanel, ++a) {
    V panel[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      panel[v] = hn::Load(df, b + v * kLanes);
    }
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const V broadcast = hn::Set(df, a[r * a_stride]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        block[r][v] = Step::multiply_add(df, broadcast, panel[v], block[r][v]);
      }
    }
  }
}

/// scores[r · kKeyStep + key], for kRows rows and kVectors vectors of keys: Σ over `depth` units of rows
/// `query_stride` apart, or with `add` what is there and that.
template <class Step, int kRows, int kVectors>
void score_block(const float* query, std::int64_t query_stride, const float* panel, std::int64_t depth, bool add,
                 float* scores) {
  const hn::ScalableTag<float> df;
  hn::Vec<decltype(df)> block[kRows][kVectors];
  multiply_block<Step, kRows, kVectors>(query, query_stride, panel, depth, block);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* to = scores + r * kKeyStep + v * kLanes;
      hn::Store(add ? hn::Add(hn::Load(df, to), block[r][v]) : block[r][v], df, to);
    }
  }
}

/// out[r] = out[r] · rescale[r] + Σ probabilities · values, for kRows rows and kVectors vectors of columns. The sum
/// over the block starts from zero and is added once: a long row is a sum of block sums.
template <int kRows, int kVectors>
void value_block(const float* probabilities, std::int64_t depth, const float* panel, const float* rescale, float* out,
                 std::int64_t out_stride) {
  const hn::ScalableTag<float> df;
  hn::Vec<decltype(df)> block[kRows][kVectors];
  multiply_block<FloatStep, kRows, kVectors>(probabilities, kKeyStep, panel, depth, block);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const auto factor = hn::Set(df, rescale[r]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* to = out + r * out_stride + v * kLanes;
      hn::Store(hn::MulAdd(hn::Load(df, to), factor, block[r][v]), df, to);
    }
  }
}

using ScoreBlock = void (*)(const float*, std::int64_t, const float*, std::int64_t, bool, float*);
using ValueBlock = void (*)(const float*, std::int64_t, const float*, const float*, float*, std::int64_t);

struct BlockShape {
  ScoreBlock score;
  ScoreBlock score_of_pairs;  ///< of bf16; only where kHasBFloat16Dot
  ValueBlock value;
};

template <int kRows, int kVectors>
constexpr BlockShape block_shape_of() {
  using PairStep = std::conditional_t<kHasBFloat16Dot, BFloat16PairStep, FloatStep>;
  return {&score_block<FloatStep, kRows, kVectors>, &score_block<PairStep, kRows, kVectors>,
          &value_block<kRows, kVectors>};
}

/// Kernels for 1 … kBlockRows rows and 1 … kBlockVectors vectors.
inline const BlockShape& block_shape(std::int64_t rows, std::int64_t vectors) {
  static constexpr auto kShapes = []<int... kIndex>(std::integer_sequence<int, kIndex...>) {
    return std::array<BlockShape, sizeof...(kIndex)>{
        block_shape_of<kIndex / kBlockVectors + 1, kIndex % kBlockVectors + 1>()...};
  }
  (std::make_integer_sequence<int, kBlockRows * kBlockVectors>());
  return kShapes[static_cast<std::size_t>((rows - 1) * kBlockVectors + vectors - 1)];
}

}  // namespace varlen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
