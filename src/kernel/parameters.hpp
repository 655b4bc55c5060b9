// What a launch tells its kernels: plain data, passed by value. Every pointer is to memory of the device.
#pragma once

#include <cstdint>

#include "batch/ragged_batch.hpp"
#include "gpu/tensor_box.hpp"
#include "plan/cursor.hpp"

namespace varlen::kernel {

/// Where the rows of a tensor lie, in elements: row (token, head), or of a paged tensor (page, slot, head).
struct RowAddresses {
  void* data;
  std::int64_t page_stride;   // 0 unless paged
  std::int64_t token_stride;  // slot stride if paged
  std::int64_t head_stride;
  bool in_chunks;  // every row is 16-byte aligned
};

/// Keys in one step of a forward_wgmma that is compiled for this head dim of values.
constexpr std::int32_t wgmma_keys(std::int32_t head_dim_vo) { return head_dim_vo <= 128 ? 128 : 64; }

/// Ragged keys and values as tensors of boxes that end where a request ends, whichever request it is.
///
/// Dimensions: (column, KV head, place, token), where place and token are both strided by a token and the tensor begins
/// `bound` tokens early. Key k of a request of `length` keys is at place bound − length + k, token start + length: all
/// that lies behind the request lies behind `bound`, too, and becomes zeros without being read.
struct KeyBoxes {
  gpu::TensorMap key;
  gpu::TensorMap value;
  std::int32_t bound;  // 0: there are no such tensors
};

struct ForwardParameters {
  PlanView plan;
  const RequestExtent* requests;  // [requests]
  RowAddresses query;             // [query tokens, query heads, head_dim_qk]
  RowAddresses key;               // [key tokens, KV heads, head_dim_qk], or pages of them
  RowAddresses value;             // likewise with head_dim_vo
  RowAddresses out;               // [query tokens, query heads, head_dim_vo]
  RowAddresses lse;               // [query tokens, query heads], fp32; data may be null
  const float* sinks;             // [query heads], or null
  std::int64_t sinks_stride;
  const std::int32_t* block_table;  // [requests, max_pages], or null
  std::int64_t block_table_strides[2];
  std::int64_t page_size;  // 0: ragged keys
  KeyBoxes key_boxes;
  float* partials;      // [partial rows, partial_row_floats()]: see there
  const Merge* merges;  // [merge_count]
  std::int64_t merge_count;
  std::int32_t head_dim_qk;
  std::int32_t head_dim_vo;
  Dtype output_dtype;
  float score_sign;       // 1, −1 or 0: of the scale. The kernels' scores rise with the logits
  float cap_factor;       // score · cap_factor is the argument of the soft cap's tanh
  float soft_cap;         // 0: none
  float natural_per_one;  // logit = score · natural_per_one, after the soft cap if there is one
  float log2_per_one;     // the same to base 2
};

/// A row of a part of a split tile: head_dim_vo sums Σ pⱼ vⱼ, then the row's reference and Σ pⱼ (RowState). An LSE
/// alone would lose the digits that a merge's weights need.
VARLEN_HOST_DEVICE constexpr std::int64_t partial_row_floats(std::int32_t head_dim_vo) { return head_dim_vo + 2; }

}  // namespace varlen::kernel
