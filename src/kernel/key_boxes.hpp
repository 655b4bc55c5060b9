// How keys and values are described as boxes (KeyBoxes). Runs on the host.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>

#include "batch/ragged_batch.hpp"
#include "kernel/parameters.hpp"
#include "kernel/shapes.hpp"

namespace varlen::kernel {

inline std::int64_t longest_keys(const RaggedBatch& batch) {
  std::int64_t longest = 0;
  for (const RequestExtent& request : batch.requests) longest = std::max(longest, request.key_length);
  return longest;
}

/// Boxes of a step's keys by 64 columns, or nothing if keys or values cannot be described so: they are paged, their
/// rows are not aligned, strides or sizes exceed what the hardware takes, or a whole box of columns would lie outside.
struct KeyBoxSizes {
  gpu::TensorBox key;
  gpu::TensorBox value;
  std::int32_t bound;
};
inline std::optional<KeyBoxSizes> key_boxes(const RaggedBatch& batch, const ForwardParameters& parameters,
                                            std::int64_t longest, const HeadDims& compiled) {
  const std::int32_t keys = wgmma_keys(compiled.vo);
  constexpr std::int64_t kMaxTokens = std::int64_t{1} << 30;
  constexpr std::int64_t kMaxStride = std::int64_t{1} << 40;
  if (batch.page_size > 0 || longest == 0 || batch.key_tokens > kMaxTokens) return std::nullopt;
  if (batch.head_dim_qk <= compiled.qk - 64 || batch.head_dim_vo <= compiled.vo - 64) return std::nullopt;
  const auto bound =
      static_cast<std::int32_t>(std::bit_ceil(static_cast<std::uint64_t>(std::max<std::int64_t>(longest, keys))));
  const auto describe = [&](const RowAddresses& rows, std::int32_t head_dim) -> std::optional<gpu::TensorBox> {
    const std::int64_t token_bytes = rows.token_stride * 2;
    const std::int64_t head_bytes = rows.head_stride * 2;
    if (!rows.in_chunks || token_bytes <= 0 || head_bytes <= 0 || token_bytes >= kMaxStride ||
        head_bytes >= kMaxStride) {
      return std::nullopt;
    }
    const auto base = reinterpret_cast<std::uint64_t>(rows.data) - static_cast<std::uint64_t>(bound * token_bytes);
    return gpu::TensorBox{base,
                          {head_dim, batch.kv_heads, bound, batch.key_tokens + 1},
                          {head_bytes, token_bytes, token_bytes},
                          {64, 1, keys, 1}};
  };
  const auto key = describe(parameters.key, batch.head_dim_qk);
  const auto value = describe(parameters.value, batch.head_dim_vo);
  if (!key || !value) return std::nullopt;
  return KeyBoxSizes{*key, *value, bound};
}

}  // namespace varlen::kernel
