// What comes after the items. Split tiles become whole: the parts of each row are added in a fixed order. Where there
// is no plan, because its lengths were refused, results are NaN, not what their memory held before. One warp for each
// row at a time.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/device_view.hpp"
#include "kernel/parameters.hpp"
#include "kernel/rows_out.hpp"
#include "kernel/score_factors.hpp"
#include "kernel/softmax.hpp"

namespace varlen::kernel {

inline constexpr int kMergeThreads = 128;
inline constexpr int kMergeWarps = kMergeThreads / gpu::kWarpThreads;
inline constexpr int kMergeShares = 32;  // blocks that divide the rows of one split tile

VARLEN_DEVICE void merge_row(const ForwardParameters& parameters, const ScoreFactors& factors, const Merge& merge,
                             std::int64_t row) {
  const std::int64_t row_floats = partial_row_floats(parameters.head_dim_vo);
  const std::int64_t part_floats = merge.query_count * merge.query_head_count * row_floats;
  const float* const parts = parameters.partials + (merge.partial_row + row) * row_floats;
  float max = minus_infinity();
  for (std::int32_t part = 0; part < merge.parts; ++part) {
    max = __builtin_fmaxf(max, gpu::load_global(parts + part * part_floats + parameters.head_dim_vo));
  }
  const auto weight = [&](std::int32_t part) {
    const float reference = gpu::load_global(parts + part * part_floats + parameters.head_dim_vo);
    return part_weight(reference, max, factors.log2_per_one);
  };
  float sum = 0.0F;
  for (std::int32_t part = 0; part < merge.parts; ++part) {
    sum += weight(part) * gpu::load_global(parts + part * part_floats + parameters.head_dim_vo + 1);
  }
  const std::int64_t token = merge.query_begin + row / merge.query_head_count;
  const auto head = merge.query_head_begin + static_cast<std::int32_t>(row % merge.query_head_count);
  const std::int64_t tensor_token = parameters.requests[merge.request].query_start + token;
  const RowResult result = finish_row(parameters, factors, {max, sum}, head);
  const std::int64_t offset = tensor_token * parameters.out.token_stride + head * parameters.out.head_stride;
  for (int column = 2 * gpu::lane_index(); column < parameters.head_dim_vo; column += 2 * gpu::kWarpThreads) {
    float pair[2] = {0.0F, 0.0F};
    for (std::int32_t part = 0; part < merge.parts; ++part) {
      const float factor = weight(part);
      for (int i = 0; i < 2; ++i) pair[i] += factor * gpu::load_global(parts + part * part_floats + column + i);
    }
    store_out_pair(parameters, offset + column, pair[0] * result.out_factor, pair[1] * result.out_factor);
  }
  if (gpu::lane_index() == 0) store_lse(parameters, tensor_token, head, result.lse);
}

/// All rows of the tensors: without lengths they may be anybody's.
VARLEN_DEVICE void write_nan_everywhere(const ForwardParameters& parameters) {
  const std::int32_t heads = parameters.plan.kv_heads * parameters.plan.group;
  const std::int64_t out_rows = parameters.out_tokens * heads;
  const std::int64_t lse_rows = parameters.lse_tokens * heads;
  const std::int64_t warps = std::int64_t{gpu::block_count()} * kMergeWarps;
  const std::int64_t first = std::int64_t{gpu::block_index()} * kMergeWarps + gpu::warp_index();
  for (std::int64_t row = first; row < out_rows; row += warps) {
    write_nan_out(parameters, row / heads, static_cast<std::int32_t>(row % heads));
  }
  for (std::int64_t row = first * gpu::kWarpThreads + gpu::lane_index(); row < lse_rows;
       row += warps * gpu::kWarpThreads) {
    store_lse(parameters, row / heads, static_cast<std::int32_t>(row % heads), not_a_number());
  }
}

/// Every thread of every block.
VARLEN_DEVICE void merge_partials(const ForwardParameters& parameters) {
  if (lacks_plan(parameters)) {
    write_nan_everywhere(parameters);
    return;
  }
  const std::int64_t shares = merge_count(parameters) * kMergeShares;
  for (std::int64_t index = gpu::block_index(); index < shares; index += gpu::block_count()) {
    const Merge& merge = parameters.merges[index / kMergeShares];
    gpu::enter_item(-1, merge.request);
    const std::int64_t rows = merge.query_count * merge.query_head_count;
    const std::int64_t first = index % kMergeShares * kMergeWarps + gpu::warp_index();
    const std::int32_t kv_head = merge.query_head_begin / parameters.plan.group;
    const ScoreFactors factors = scaled_factors(parameters, merge.request, kv_head);
    for (std::int64_t row = first; row < rows; row += kMergeShares * kMergeWarps) {
      merge_row(parameters, factors, merge, row);
    }
  }
}

}  // namespace varlen::kernel
