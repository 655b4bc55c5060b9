// The batch after validation, in one canonical form: every later stage reads this and never the caller's arrays.
#pragma once

#include <cstdint>
#include <vector>

#include "varlen/batch.hpp"

namespace varlen {

/// Where one request's tokens lie. Starts are tokens of the whole tensor; key_start is 0 for paged keys, whose pages
/// tell.
struct RequestExtent {
  std::int64_t query_start;
  std::int64_t query_length;
  std::int64_t key_start;
  std::int64_t key_length;
};

struct RaggedBatch {
  std::vector<RequestExtent> requests;
  std::int64_t most_requests = 0;  // of a plan on a device, which alone knows them: `requests` is empty
  std::int64_t query_tokens = 0;   // the last query offset: what the query tensor must hold
  std::int64_t key_tokens = 0;     // likewise; paged keys: the sum of the key lengths
  std::int64_t page_size = 0;      // 0: ragged keys
  std::int32_t query_heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t group = 0;  // query_heads / kv_heads
  std::int32_t head_dim_qk = 0;
  std::int32_t head_dim_vo = 0;
  Dtype input_dtype = Dtype::kBFloat16;
  Dtype output_dtype = Dtype::kBFloat16;
  float scale = 1.0F;
  Mask mask;  // a window that no key can lie outside of is kUnlimited, so position ± window never overflows
  float soft_cap = 0.0F;
  bool batch_invariant = false;
};

/// Validates, resolves defaults (scale, head_dim_vo) and turns lengths or offsets into extents.
RaggedBatch canonical(const AttentionSpec& spec, const Requests& requests);
inline RaggedBatch canonical(const Batch& batch) { return canonical(batch, batch); }
/// The same without requests.
RaggedBatch canonical(const AttentionSpec& spec);

/// `batch`, without requests before, with these. Throws Error as canonical() does.
RaggedBatch with_requests(RaggedBatch batch, const Requests& requests);

/// Which arrays of lengths there are. Throws Error if they are too few or contradict paged keys.
struct LengthPresence {
  bool query_indptr;
  bool query_lengths;
  bool key_indptr;
  bool key_lengths;
};
void check_presence(std::int64_t page_size, const LengthPresence& lengths);

/// Checks `tensors` against a canonical batch; validate(batch, tensors) is this after canonical(). Throws Error.
void validate_tensors(const RaggedBatch& batch, const Tensors& tensors);

/// Throws Error if a workspace of so many bytes overlaps one of these valid tensors.
void check_workspace_apart(const Tensors& tensors, const void* workspace, std::int64_t bytes);

}  // namespace varlen
