// Causal attention over four requests of different lengths laid end to end, one of them empty.
//
// The queries are zero, so every row weighs the keys that it sees equally, and the values are the tokens' positions:
// the last row of a request must come out as the mean position of that request's tokens. A neighbour's token would
// show.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "varlen/attention.hpp"

int main() {
  const std::vector<std::int64_t> offsets = {0, 7, 207, 207, 240};
  constexpr std::int64_t kTokens = 240, kQueryHeads = 8, kKvHeads = 2, kHeadDim = 64;

  std::vector<float> query(kTokens * kQueryHeads * kHeadDim, 0.0F), key(kTokens * kKvHeads * kHeadDim, 1.0F);
  std::vector<float> value(kTokens * kKvHeads * kHeadDim), out(kTokens * kQueryHeads * kHeadDim);
  for (std::size_t request = 0; request + 1 < offsets.size(); ++request) {
    for (std::int64_t token = offsets[request]; token < offsets[request + 1]; ++token) {
      for (std::int64_t i = 0; i < kKvHeads * kHeadDim; ++i) {
        value[static_cast<std::size_t>(token * kKvHeads * kHeadDim + i)] = static_cast<float>(token - offsets[request]);
      }
    }
  }

  varlen::AttentionSpec spec;
  spec.query_heads = kQueryHeads;
  spec.kv_heads = kKvHeads;
  spec.head_dim_qk = kHeadDim;
  spec.query_dtype = varlen::Dtype::kFloat32;
  spec.output_dtype = varlen::Dtype::kFloat32;
  spec.mask = varlen::Mask::causal();
  const varlen::Requests requests{.query_indptr = offsets, .key_indptr = offsets};

  varlen::Tensors tensors;
  tensors.query = varlen::TensorView::dense(query.data(), varlen::Dtype::kFloat32, {kTokens, kQueryHeads, kHeadDim});
  tensors.key = varlen::TensorView::dense(key.data(), varlen::Dtype::kFloat32, {kTokens, kKvHeads, kHeadDim});
  tensors.value = varlen::TensorView::dense(value.data(), varlen::Dtype::kFloat32, {kTokens, kKvHeads, kHeadDim});
  tensors.out = varlen::TensorView::dense(out.data(), varlen::Dtype::kFloat32, {kTokens, kQueryHeads, kHeadDim});

  try {
    varlen::attention(spec, requests, tensors);
  } catch (const varlen::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }

  for (std::size_t request = 0; request + 1 < offsets.size(); ++request) {
    const std::int64_t length = offsets[request + 1] - offsets[request];
    std::printf("request %zu: %lld tokens", request, static_cast<long long>(length));
    if (length > 0) {
      const std::int64_t last_row = (offsets[request + 1] - 1) * kQueryHeads * kHeadDim;
      std::printf(", mean position %.2f", static_cast<double>(out[static_cast<std::size_t>(last_row)]));
    }
    std::printf("\n");
  }
  return 0;
}
