// The end of a row: its sums become out and LSE, or a partial row of a split tile; partial rows are merged.
#if defined(VARLEN_CPU_ROWS_OUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef VARLEN_CPU_ROWS_OUT_INL_H_
#undef VARLEN_CPU_ROWS_OUT_INL_H_
#else
#define VARLEN_CPU_ROWS_OUT_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "backend/cpu/call.hpp"
#include "backend/cpu/element-inl.h"
#include "backend/cpu/micro_kernels-inl.h"
#include "backend/cpu/softmax-inl.h"
#include "varlen/plan.hpp"

HWY_BEFORE_NAMESPACE();
namespace varlen::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// a[i] = a[i] · a_factor + b[i] · b_factor, for `count` floats, a multiple of kLanes; both 64-byte aligned.
inline void add_scaled(float* HWY_RESTRICT a, float a_factor, const float* HWY_RESTRICT b, float b_factor,
                       std::int64_t count) {
  const hn::ScalableTag<float> df;
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const auto scaled = hn::Mul(hn::Load(df, b + i), hn::Set(df, b_factor));
    hn::Store(hn::MulAdd(hn::Load(df, a + i), hn::Set(df, a_factor), scaled), df, a + i);
  }
}

inline float sum_of_lanes(const float* row_sum) {
  const hn::ScalableTag<float> df;
  return hn::GetLane(hn::SumOfLanes(df, hn::Load(df, row_sum)));
}

/// Where rows of one KV head's group go and by which factors.
struct RowWriter {
  const Call& call;
  ScoreScale scale;
  float value_scale;
  std::int64_t query_start;  ///< token of the tensor

  RowWriter(const Call& of_call, std::int32_t request, std::int32_t kv_head)
      : call(of_call),
        scale(score_scale(of_call, request, kv_head)),
        value_scale(stored_scale(of_call.tensors->value_scale, request, kv_head)),
        query_start(of_call.batch->requests[static_cast<std::size_t>(request)].query_start) {}

  /// out = sums / (sum + sink's share), LSE likewise. `token` counts within the request. A row that has seen nothing
  /// has a sum of 0; one with a NaN score has a sum of NaN, whatever its maximum.
  void write(std::int64_t token, std::int32_t head, const float* sums, float row_max, double sum) const {
    const Tensors& tensors = *call.tensors;
    double max = row_max == kMinusInfinity ? -HUGE_VAL : static_cast<double>(row_max) * scale.natural_per_one;
    double denominator = sum;
    double factor = 1.0;
    if (tensors.sinks.present()) {
      const double sink = static_cast<const float*>(tensors.sinks.data)[head * tensors.sinks.strides[0]];
      const double top = std::max(sink, max);  // NaN if the sink is
      if (top != -HUGE_VAL) {
        factor = std::exp(max - top);
        denominator = denominator * factor + std::exp(sink - top);
        max = top;
      }
    }
    const bool empty = denominator == 0.0;
    store_row(tensors.out.dtype, sums, empty ? 0.0F : static_cast<float>(factor / denominator), value_scale,
              call.batch->head_dim_vo, token_row(tensors.out, query_start + token, head));
    if (tensors.lse.present()) {
      *reinterpret_cast<float*>(token_row(tensors.lse, query_start + token, head)) =
          empty ? kMinusInfinity : static_cast<float>(max + std::log(denominator));
    }
  }
};

/// Stores one row of a part: see partial_row_floats().
inline void write_partial(const Call& call, std::int64_t partial_row, const float* sums, float row_max, float sum) {
  const std::int64_t head_dim = call.batch->head_dim_vo;
  float* to = call.partials + partial_row * partial_row_floats(*call.batch);
  std::copy(sums, sums + head_dim, to);
  to[head_dim] = row_max;
  to[head_dim + 1] = sum;
}

/// Merges one row over its parts, `part_stride` floats apart, into sums[head_dim_vo]; the rest goes to max and sum.
/// Parts are added in order, by sixteens first, so that hundreds of parts do not make one long chain of roundings.
inline void merge_row(const float* parts, std::int64_t part_count, std::int64_t part_stride, std::int64_t head_dim,
                      float log2_per_one, float* sums, float& max, double& sum) {
  constexpr std::int64_t kRun = 16;
  max = kMinusInfinity;
  for (std::int64_t part = 0; part < part_count; ++part) {
    max = std::max(max, parts[part * part_stride + head_dim]);
  }
  sum = 0;
  std::fill(sums, sums + head_dim, 0.0F);
  for (std::int64_t begin = 0; begin < part_count; begin += kRun) {
    const std::int64_t end = std::min(begin + kRun, part_count);
    float weights[kRun];
    for (std::int64_t part = begin; part < end; ++part) {
      const float* row = parts + part * part_stride;
      weights[part - begin] = rescale_factor(row[head_dim], max, log2_per_one);
      sum += static_cast<double>(weights[part - begin]) * row[head_dim + 1];
    }
    for_each_vector(head_dim, [&](auto df, std::int64_t column) HWY_ATTR {
      auto run = hn::Zero(df);
      for (std::int64_t part = begin; part < end; ++part) {
        const auto row = hn::LoadU(df, parts + part * part_stride + column);
        run = hn::MulAdd(row, hn::Set(df, weights[part - begin]), run);
      }
      hn::StoreU(hn::Add(hn::LoadU(df, sums + column), run), df, sums + column);
    });
  }
}

inline void merge_tile(const Call& call, const Merge& merge, float* sums) {
  const RowWriter writer(call, merge.request, merge.kv_head);
  const std::int64_t row_floats = partial_row_floats(*call.batch);
  const std::int64_t rows = merge.query_count * merge.query_head_count;
  for (std::int64_t row = 0; row < rows; ++row) {
    float max = 0;
    double sum = 0;
    merge_row(call.partials + (merge.partial_row + row) * row_floats, merge.parts, rows * row_floats,
              call.batch->head_dim_vo, writer.scale.log2_per_one, sums, max, sum);
    writer.write(merge.query_begin + row / merge.query_head_count,
                 merge.query_head_begin + static_cast<std::int32_t>(row % merge.query_head_count), sums, max, sum);
  }
}

}  // namespace varlen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
