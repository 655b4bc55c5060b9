// From a plan and tensors to what a launch tells its kernels. Runs on the host.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "batch/small_tensors.hpp"
#include "kernel/parameters.hpp"
#include "kernel/shapes.hpp"
#include "plan/plan_data.hpp"
#include "varlen/attention.hpp"

namespace varlen::kernel {

/// A [tokens, heads, dim], [tokens, heads] or paged [pages, slots, heads, dim] tensor; `dim` is of its rows.
inline RowAddresses row_addresses(const TensorView& view, bool paged, std::int64_t dim) {
  RowAddresses rows{};
  rows.data = view.data;
  const std::size_t first = paged ? 1 : 0;
  rows.page_stride = paged ? view.strides[0] : 0;
  rows.token_stride = view.strides[first];
  rows.head_stride = view.strides[first + 1];
  const std::int64_t chunk = 16 / dtype_size(view.dtype);
  rows.in_chunks = reinterpret_cast<std::uintptr_t>(view.data) % 16 == 0 && dim % chunk == 0 &&
                   rows.page_stride % chunk == 0 && rows.token_stride % chunk == 0 && rows.head_stride % chunk == 0;
  return rows;
}

/// The block table as kernels read it. Throws Error(kUnsupported) if page numbers need more than 32 bits.
inline TensorView kernel_block_table(const Tensors& tensors) {
  constexpr std::int64_t kMostPages = std::int64_t{1} << 31;
  if (tensors.key.present() && tensors.key.shape[0] > kMostPages) {
    refuse(ErrorCode::kUnsupported, "key.shape", 0, tensors.key.shape[0],
           "exceeds the {} pages that kernels can number", kMostPages);
  }
  return narrow_block_table(tensors.block_table);
}

inline ScaleAddresses scale_addresses(const TensorView& view) {
  if (!view.present()) return {};
  const ScaleStrides strides = scale_strides(view);
  return {static_cast<const float*>(view.data), strides.request, strides.kv_head};
}

/// Everything but boxes and what lies in memory of the device: plan, requests, merges and workspace, which the caller
/// adds.
inline ForwardParameters launch_parameters(const RaggedBatch& batch, const Tensors& tensors) {
  constexpr double kLog2E = 1.4426950408889634;
  const bool paged = batch.page_size > 0;
  ForwardParameters parameters{};
  parameters.is_paged = paged;
  parameters.query = row_addresses(tensors.query, false, batch.head_dim_qk);
  parameters.key = row_addresses(tensors.key, paged, batch.head_dim_qk);
  parameters.value = row_addresses(tensors.value, paged, batch.head_dim_vo);
  parameters.out = row_addresses(tensors.out, false, batch.head_dim_vo);
  if (tensors.out.present()) parameters.out_tokens = tensors.out.shape[0];
  if (tensors.lse.present()) {
    parameters.lse = row_addresses(tensors.lse, false, 1);
    parameters.lse_tokens = tensors.lse.shape[0];
  }
  parameters.query_scale = scale_addresses(tensors.query_scale);
  parameters.key_scale = scale_addresses(tensors.key_scale);
  parameters.value_scale = scale_addresses(tensors.value_scale);
  if (tensors.sinks.present()) {
    parameters.sinks = static_cast<const float*>(tensors.sinks.data);
    parameters.sinks_stride = tensors.sinks.strides[0];
  }
  if (paged) {
    const TensorView table = kernel_block_table(tensors);
    parameters.block_table = static_cast<const std::int32_t*>(table.data);
    parameters.block_table_strides[0] = table.strides[0];
    parameters.block_table_strides[1] = table.strides[1];
    parameters.block_table_entries = tensors.block_table.present() ? tensors.block_table.shape[1] : 0;
    constexpr std::int64_t kMostPages = std::int64_t{1} << 31;  // that entries can name
    parameters.pages =
        tensors.key.present() ? static_cast<std::uint32_t>(std::min(tensors.key.shape[0], kMostPages)) : 0;
    parameters.page_size = static_cast<std::int32_t>(batch.page_size);
  }
  parameters.head_dim_qk = batch.head_dim_qk;
  parameters.head_dim_vo = batch.head_dim_vo;
  parameters.output_dtype = batch.output_dtype;
  parameters.batch_invariant = batch.batch_invariant;
  const double scale = batch.scale;
  parameters.score_sign = static_cast<float>((scale > 0) - (scale < 0));
  const double magnitude = std::abs(scale);
  const double natural = batch.soft_cap > 0 ? 1.0 : magnitude;
  parameters.soft_cap = batch.soft_cap;
  parameters.cap_factor = batch.soft_cap > 0 ? static_cast<float>(magnitude / batch.soft_cap) : 0.0F;
  parameters.natural_per_one = static_cast<float>(natural);
  parameters.log2_per_one = static_cast<float>(natural * kLog2E);
  parameters.value_factor = 1.0F;
  return parameters;
}

/// The workspace of one call: the counter, the partial rows, then each block's flushed sums.
class WorkspaceLayout {
 public:
  static constexpr std::int64_t kHead = 64;  // bytes before the partial rows

  /// For plans of at most so many partial rows, none of whose items has more keys than `longest_item`.
  WorkspaceLayout(const RaggedBatch& batch, const PlanTarget& target, std::int64_t partial_rows,
                  std::int64_t longest_item)
      : flushed_at_(aligned(kHead + partial_rows * partial_row_floats(batch.head_dim_vo) *
                                        static_cast<std::int64_t>(sizeof(float)))) {
    if (!kFlushes || longest_item <= kFlushKeys) return;
    const std::int64_t rows = std::max(target.tile_shapes.front().rows, kMostSliceRows);
    flushed_bytes_ = target.workers * most_flushed_bytes(rows, kHeadDims[select_shape(batch)].vo);
  }

  std::int64_t bytes() const { return flushed_at_ + flushed_bytes_; }

  void place(const Workspace& workspace, ForwardParameters& parameters) const {
    auto* const base = static_cast<std::byte*>(workspace.data);
    parameters.counter = reinterpret_cast<std::int64_t*>(base);
    parameters.partials = reinterpret_cast<float*>(base + kHead);
    if (flushed_bytes_ > 0) parameters.flushed = reinterpret_cast<float*>(base + flushed_at_);
  }

  /// Of `blocks` that flush so many bytes each, as many as there is room for. That is one for each worker of the plan's
  /// target, or two; only kernels that the plan was not made for run with fewer blocks than they could.
  std::int64_t blocks_with_room(std::int64_t blocks, std::int64_t block_bytes) const {
    return flushed_bytes_ == 0 ? blocks : std::min(blocks, flushed_bytes_ / block_bytes);
  }

 private:
  static constexpr std::int64_t aligned(std::int64_t bytes) { return (bytes + kHead - 1) / kHead * kHead; }

  std::int64_t flushed_at_;
  std::int64_t flushed_bytes_ = 0;
};

/// No item of the plan has more keys.
inline std::int64_t longest_item_keys(const PlanData& plan) {
  std::int64_t longest = 0;
  for (const WorkItem& item : plan.listed) longest = std::max(longest, item.key_end - item.key_begin);
  const Mask& mask = plan.batch.mask;
  const bool bounded = mask.left != Mask::kUnlimited && mask.right != Mask::kUnlimited;
  // What a tile's rows see together, from the beginning of a block on.
  const std::int64_t most = bounded
                                ? mask.left + mask.right + plan.target.tile_shapes.front().rows + plan.target.key_block
                                : std::int64_t{INT64_MAX};
  for (const Run& run : plan.runs) {
    longest = std::max(longest, std::min(plan.batch.requests[static_cast<std::size_t>(run.request)].key_length, most));
  }
  return longest;
}
inline WorkspaceLayout workspace_layout(const PlanData& plan) {
  return {plan.batch, plan.target, plan.partial_rows, longest_item_keys(plan)};
}

}  // namespace varlen::kernel
