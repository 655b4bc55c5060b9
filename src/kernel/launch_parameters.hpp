// From a plan and tensors to what a launch tells its kernels. Runs on the host.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "batch/page_table.hpp"
#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "batch/scale_strides.hpp"
#include "kernel/parameters.hpp"
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

inline constexpr std::int64_t kMostNumbered = std::int64_t{1} << 31;  // 32-bit numbers: they are not negative
/// Throws Error(kUnsupported) for more pages, or rows of page numbers, than kernels can number.
inline void check_numbered(const char* field, const TensorView& view, const char* what) {
  if (!view.present() || view.shape[0] <= kMostNumbered) return;
  refuse(ErrorCode::kUnsupported, field, 0, view.shape[0], "exceeds the {} {} that kernels can number", kMostNumbered,
         what);
}

/// The page numbers as kernels read them.
inline PageTable page_table(const Tensors& tensors) {
  check_numbered("key.shape", tensors.key, "pages");
  check_numbered("block_table.shape", tensors.block_table, "rows");
  check_numbered("page_indices.shape", tensors.page_indices, "entries");
  const auto data = [](const TensorView& view) { return static_cast<const std::int32_t*>(view.data); };
  PageTable table{};
  table.is_csr = tensors.page_indptr.present();
  const TensorView entries = narrow_integers(table.is_csr ? tensors.page_indices : tensors.block_table);
  const TensorView rows = narrow_integers(table.is_csr ? tensors.page_indptr : tensors.block_table_rows);
  table.entries = data(entries);
  table.row_stride = entries.strides[0];
  table.entry_stride = table.is_csr ? entries.strides[0] : entries.strides[1];
  table.row_count = entries.present() ? entries.shape[0] : 0;
  table.row_entries = entries.present() && !table.is_csr ? entries.shape[1] : 0;
  table.rows = data(rows);
  table.rows_stride = rows.strides[0];
  return table;
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
    parameters.page_table = page_table(tensors);
    parameters.pages = tensors.key.present() ? static_cast<std::uint32_t>(tensors.key.shape[0]) : 0;
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
  parameters.cap_factor = batch.soft_cap > 0 ? finite_factor(magnitude / batch.soft_cap) : 0.0F;
  parameters.natural_per_one = static_cast<float>(natural);
  parameters.log2_per_one = finite_factor(natural * kLog2E);
  parameters.value_factor = 1.0F;
  return parameters;
}

/// The workspace of one call: the counter, then the partial rows.
inline constexpr std::int64_t kWorkspaceHead = 64;
inline std::int64_t workspace_bytes(std::int64_t partial_rows, std::int32_t head_dim_vo) {
  return kWorkspaceHead + partial_rows * partial_row_floats(head_dim_vo) * static_cast<std::int64_t>(sizeof(float));
}
inline void place_workspace(const Workspace& workspace, ForwardParameters& parameters) {
  parameters.counter = static_cast<std::int64_t*>(workspace.data);
  parameters.partials = reinterpret_cast<float*>(static_cast<std::byte*>(workspace.data) + kWorkspaceHead);
}

}  // namespace varlen::kernel
