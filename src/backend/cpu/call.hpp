// What every item of one execute() shares, and where the rows of its tensors lie.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "batch/page_table.hpp"
#include "batch/ragged_batch.hpp"
#include "batch/scale_strides.hpp"

namespace varlen::cpu {

/// One running call. Cheap to copy; owns nothing.
struct Call {
  const RaggedBatch* batch = nullptr;
  const Tensors* tensors = nullptr;
  float* partials = nullptr;  ///< [partial rows, partial_row_floats(batch)], fp32; null if the plan splits nothing
};

/// A part of a split row: head_dim_vo sums Σ pⱼ vⱼ, then the row's maximum (as in RowSums) and Σ pⱼ. The maximum and
/// the sum stay apart because an LSE of large magnitude would lose the digits that the merge weights need.
inline std::int64_t partial_row_floats(const RaggedBatch& batch) { return batch.head_dim_vo + 2; }

struct KeyRange {
  std::int64_t begin;
  std::int64_t end;
};

/// Keys that query `token` of a request sees. Never overflows, whatever the window.
inline KeyRange visible_keys(const Mask& mask, const RequestExtent& extent, std::int64_t token) {
  const std::int64_t position = extent.key_length - extent.query_length + token;
  KeyRange range{0, extent.key_length};
  if (mask.left != Mask::kUnlimited && mask.left < position) {
    range.begin = position - mask.left;
  }
  if (mask.right != Mask::kUnlimited && mask.right < extent.key_length - 1 - position) {
    range.end = position + mask.right + 1;
  }
  if (range.end < range.begin) {
    range.end = range.begin;
  }
  return range;
}

/// Bytes per element, inline: addresses of single rows need it.
inline std::int64_t element_size(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat32:
    case Dtype::kInt32:
      return 4;
    case Dtype::kFloat16:
    case Dtype::kBFloat16:
      return 2;
    case Dtype::kInt64:
      return 8;
    default:
      return 1;
  }
}

inline std::byte* element_address(const TensorView& view, std::int64_t offset) {
  return static_cast<std::byte*>(view.data) + offset * element_size(view.dtype);
}

/// Row (token, head) of `view` [tokens, heads, dim]; token counts from the start of the tensor.
inline std::byte* token_row(const TensorView& view, std::int64_t token, std::int64_t head) {
  return element_address(view, token * view.strides[0] + head * view.strides[1]);
}

/// Addresses of the rows of keys begin … end of one request and KV head, in a key or value tensor, ragged or paged.
inline void locate_key_rows(const Call& call, const TensorView& view, std::int32_t request, std::int32_t kv_head,
                            KeyRange keys, const std::byte** rows) {
  const RaggedBatch& batch = *call.batch;
  if (batch.page_size == 0) {
    const std::int64_t start = batch.requests[static_cast<std::size_t>(request)].key_start;
    for (std::int64_t key = keys.begin; key < keys.end; ++key) {
      *rows++ = token_row(view, start + key, kv_head);
    }
    return;
  }
  const PageEntries pages = *page_entries(*call.tensors, request);
  for (std::int64_t key = keys.begin; key < keys.end;) {
    const std::int64_t slot_begin = key % batch.page_size;
    const std::int64_t page = pages[key / batch.page_size];
    for (std::int64_t slot = slot_begin; slot < batch.page_size && key < keys.end; ++slot, ++key) {
      *rows++ = element_address(view, page * view.strides[0] + slot * view.strides[1] + kv_head * view.strides[2]);
    }
  }
}

/// The fp8 scale of one request and KV head; 1 where none was given.
inline float stored_scale(const TensorView& scales, std::int32_t request, std::int32_t kv_head) {
  if (!scales.present()) {
    return 1.0F;
  }
  const ScaleStrides strides = scale_strides(scales);
  return static_cast<const float*>(scales.data)[request * strides.request + kv_head * strides.kv_head];
}

/// How the kernel's scores become logits. The kernel works on scores of a positive factor, so that the largest score is
/// the largest logit: a negative factor turns the sign of the query, and a zero one (an fp8 scale may be 0) makes it
/// zero.
struct ScoreScale {
  float query_factor;      ///< 1, −1 or 0: multiplies the query as it is loaded
  float cap_factor;        ///< with a soft cap: score · cap_factor is the argument of tanh
  float log2_per_one;      ///< logit to base 2 = score · log2_per_one, after the soft cap if there is one
  double natural_per_one;  ///< the same to base e; scales of fp8 may make it larger than fp32 can hold
};

inline ScoreScale score_scale(const Call& call, std::int32_t request, std::int32_t kv_head) {
  constexpr double kLog2E = 1.4426950408889634;
  // A factor beyond fp32 becomes the largest number: scores that differ do so by enough for all the weight to go to
  // one.
  const auto to_float = [](double factor) {
    return static_cast<float>(std::min(factor, static_cast<double>(std::numeric_limits<float>::max())));
  };
  const double factor = static_cast<double>(call.batch->scale) *
                        stored_scale(call.tensors->query_scale, request, kv_head) *
                        stored_scale(call.tensors->key_scale, request, kv_head);
  const double cap = call.batch->soft_cap;
  const double natural = cap > 0 ? 1.0 : std::abs(factor);
  const float log2 = to_float(natural * kLog2E);
  if (factor == 0 || log2 == 0.0F) {
    return {0.0F, 1.0F, static_cast<float>(kLog2E), 1.0};  // all logits are 0, or nearer to it than fp32 can tell
  }
  return {factor > 0 ? 1.0F : -1.0F, cap > 0 ? to_float(std::abs(factor) / cap) : 0.0F, log2, natural};
}

}  // namespace varlen::cpu
