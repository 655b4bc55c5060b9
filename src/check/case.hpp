// A case: everything that describes one check. Its data follow from it, so a case is small and can be made again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "varlen/batch.hpp"
#include "varlen/plan.hpp"

namespace varlen::check {

/// The values of a case's tensors, as numbers that their dtypes hold exactly, without gaps or pages. Requests lie end
/// to end.
struct CaseData {
  std::vector<double> query;        // [Σ query lengths, query_heads, head_dim_qk]
  std::vector<double> key;          // [Σ key lengths, kv_heads, head_dim_qk]
  std::vector<double> value;        // [Σ key lengths, kv_heads, head_dim_vo]
  std::vector<double> sinks;        // [query_heads], or empty
  std::vector<double> query_scale;  // [requests, kv_heads], or empty; likewise the other two
  std::vector<double> key_scale;
  std::vector<double> value_scale;
};

/// Which arrays tell where a side's requests lie. kBoth leaves gaps between them.
enum class IndexForm { kIndptr, kLengths, kBoth };

/// How page numbers are given: a row of the block table for each request, such rows in another order among more of
/// them (block_table_rows), or page_indptr and page_indices.
enum class PageForm { kTable, kRows, kIndices };

/// The shape of fp8 scales: [requests, KV heads], the same with strides of 0 for requests, [requests, 1], or [1].
enum class ScaleForm { kEach, kPerHead, kPerRequest, kOne };

/// Where the tensors of a case lie in memory; numbers are of tokens or elements.
struct CaseLayout {
  IndexForm query_form = IndexForm::kIndptr;
  IndexForm key_form = IndexForm::kIndptr;  // ragged keys
  bool wide_query_indices = true;
  bool wide_key_indices = true;
  std::int64_t gap_tokens = 3;   // kBoth: at most so many between requests
  std::int64_t tail_tokens = 0;  // past the last offset
  std::int64_t head_gap = 0;     // between heads
  std::int64_t token_gap = 0;    // between tokens
  bool heads_first = false;      // [heads, tokens, dim] in memory; pages: HND
  bool packed_qkv = false;       // query, key and value are slices of one tensor; as many queries as keys, ragged
  std::int64_t spare_pages = 2;  // pages of the pool that no request uses
  bool shared_pages = false;     // full pages that the first request has as well are the first request's
  bool front_guards = false;     // inaccessible memory begins right before each tensor instead of right after
  std::int64_t first_gap = 0;    // kBoth: that many more between the first request and the second
  bool lse_heads_first = false;  // [heads, tokens] in memory
  bool expanded_heads = false;   // all KV heads are one, with a stride of 0 unless the tensors are packed
  bool wide_pages = false;       // page numbers of 64 bits; what says where they are is of the other width
  PageForm page_form = PageForm::kTable;
  ScaleForm scale_form = ScaleForm::kEach;
};

struct Case {
  std::string name;
  std::vector<std::int64_t> query_lengths;
  std::vector<std::int64_t> key_lengths;
  std::int64_t page_size = 0;
  std::int32_t query_heads = 1;
  std::int32_t kv_heads = 1;
  std::int32_t head_dim_qk = 8;
  std::int32_t head_dim_vo = 8;
  Dtype input_dtype = Dtype::kFloat32;
  Dtype output_dtype = Dtype::kFloat32;
  std::optional<float> scale;
  Mask mask;
  float soft_cap = 0.0F;
  bool batch_invariant = false;
  bool lse = true;
  bool sinks = false;
  bool fp8_scales = false;

  CaseLayout layout;
  double magnitude = 1;                                // standard deviation of queries, keys and values
  std::uint64_t seed = 0;                              // of the data and the layout
  std::function<void(const Case&, CaseData&)> adjust;  // optional: changes the data
  std::int64_t spoiled_request = -1;  // its own inputs are NaN, Inf and huge in the second run; −1: none
  std::int64_t solo_request = -1;     // batch_invariant: computed once more alone, bits compared; −1: none
  bool one_call = false;              // attention() instead of a plan for `target`
  std::int64_t max_workspace = -1;    // bytes that the plan may ask for; −1: any
  PlanTarget target;
};

/// The case's batch but for the lengths.
inline Batch batch_without_lengths(const Case& test) {
  Batch batch;
  batch.page_size = test.page_size;
  batch.query_heads = test.query_heads;
  batch.kv_heads = test.kv_heads;
  batch.head_dim_qk = test.head_dim_qk;
  batch.head_dim_vo = test.head_dim_vo;
  batch.query_dtype = test.input_dtype;
  batch.output_dtype = test.output_dtype;
  batch.scale = test.scale;
  batch.mask = test.mask;
  batch.soft_cap = test.soft_cap;
  batch.batch_invariant = test.batch_invariant;
  return batch;
}

/// Keys [begin, end) of a request.
struct ShownKeys {
  std::int64_t begin;
  std::int64_t end;
};
/// Those that the query tokens [query_begin, query_end) of a request see together; all others are hidden from them.
inline ShownKeys shown_keys(const Case& test, std::size_t request, std::int64_t query_begin, std::int64_t query_end) {
  const std::int64_t keys = test.key_lengths[request];
  const std::int64_t shift = keys - test.query_lengths[request];  // bottom-right alignment
  // A limit beyond all keys and queries is none, and does not overflow.
  const auto limited = [&](std::int64_t limit) {
    return limit != Mask::kUnlimited && limit < keys + test.query_lengths[request];
  };
  const std::int64_t begin = limited(test.mask.left) ? query_begin + shift - test.mask.left : 0;
  const std::int64_t end = limited(test.mask.right) ? query_end + shift + test.mask.right : keys;
  if (query_begin >= query_end || end <= 0) return {0, 0};
  return {std::clamp<std::int64_t>(begin, 0, keys), std::min(end, keys)};
}

/// Of each request, those that any of its query tokens sees.
inline std::vector<ShownKeys> shown_keys(const Case& test) {
  std::vector<ShownKeys> shown;
  for (std::size_t r = 0; r < test.key_lengths.size(); ++r) {
    shown.push_back(shown_keys(test, r, 0, test.query_lengths[r]));
  }
  return shown;
}

/// Normally distributed data, rounded to the case's dtypes, then adjusted.
CaseData make_data(const Case& test);

/// Sums of lengths before each request, and in all: [requests + 1].
std::vector<std::int64_t> running_sum(const std::vector<std::int64_t>& lengths);

}  // namespace varlen::check
