// A small fp32 batch in plain vectors, for hand-computed values and identities.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "reference/reference.hpp"

namespace varlen::reference::test {

struct SmallProblem {
  RaggedBatch batch;
  std::vector<float> query;
  std::vector<float> key;
  std::vector<float> value;
  std::vector<float> sinks;

  /// Requests end to end; 8 dims, of which the first few are used.
  SmallProblem(const std::vector<std::pair<std::int64_t, std::int64_t>>& lengths, std::int32_t query_heads,
               std::int32_t kv_heads) {
    for (const auto& [queries, keys] : lengths) {
      batch.requests.push_back({batch.query_tokens, queries, batch.key_tokens, keys});
      batch.query_tokens += queries;
      batch.key_tokens += keys;
    }
    batch.query_heads = query_heads;
    batch.kv_heads = kv_heads;
    batch.group = query_heads / kv_heads;
    batch.head_dim_qk = batch.head_dim_vo = kDim;
    batch.input_dtype = batch.output_dtype = Dtype::kFloat32;
    query.resize(static_cast<std::size_t>(batch.query_tokens * query_heads * kDim));
    key.resize(static_cast<std::size_t>(batch.key_tokens * kv_heads * kDim));
    value.resize(key.size());
  }

  Tensors tensors() {
    Tensors result;
    result.query = TensorView::dense(query.data(), Dtype::kFloat32, {batch.query_tokens, batch.query_heads, kDim});
    result.key = TensorView::dense(key.data(), Dtype::kFloat32, {batch.key_tokens, batch.kv_heads, kDim});
    result.value = TensorView::dense(value.data(), Dtype::kFloat32, {batch.key_tokens, batch.kv_heads, kDim});
    if (!sinks.empty()) result.sinks = TensorView::dense(sinks.data(), Dtype::kFloat32, {batch.query_heads});
    return result;
  }

  Result attend() { return attention(batch, tensors()); }

  static constexpr std::int32_t kDim = 8;
};

}  // namespace varlen::reference::test
