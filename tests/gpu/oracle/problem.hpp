// What the oracle computes, as plain data, and where every row of it lies.
#pragma once

#include <cstdint>

#include "oracle/number.hpp"

namespace varlen::oracle {

/// One request. Starts are tokens of the whole tensor; `first_token` counts the queries of the requests before it.
struct Extent {
  std::int64_t query_start;
  std::int64_t query_length;
  std::int64_t key_start;
  std::int64_t key_length;
  std::int64_t first_token;
  std::int64_t first_key;  // likewise keys
};

/// A tensor of rows: [tokens, heads, width], or pages of them. Strides in elements.
struct Rows {
  void* data;
  Dtype dtype;
  std::int32_t heads;
  std::int32_t width;
  std::int64_t page_stride;  // of a pool of pages, whose tokens are `token_stride` apart within one
  std::int64_t token_stride;
  std::int64_t head_stride;
};

inline constexpr std::int64_t kUnlimited = -1;
inline constexpr int kMaxOutputs = 3;

/// Scales of fp8 inputs: [requests, KV heads].
struct Scales {
  const float* data;  // null: all are 1
  std::int64_t request_stride;
  std::int64_t head_stride;
};

/// One batch and results of it. Every pointer is to memory of the machine that the oracle runs on.
struct Problem {
  const Extent* extents;  // [requests]
  std::int64_t requests;
  std::int64_t query_tokens;  // of all requests
  std::int64_t key_tokens;
  Rows query;
  Rows key;
  Rows value;
  Rows out[kMaxOutputs];
  Rows lse[kMaxOutputs];  // data may be null; heads = 1, a token's row holds one number for each query head
  std::int32_t outputs;
  Scales query_scale;
  Scales key_scale;
  Scales value_scale;
  const float* sinks;               // [query heads], or null
  const std::int32_t* block_table;  // [requests, max_pages], or null
  std::int64_t max_pages;
  std::int64_t page_size;  // 0: keys are ragged
  double scale;
  double soft_cap;  // 0: none
  std::int64_t left;
  std::int64_t right;
  // Of src/check/tolerance.hpp; the second is for rows that see fewer keys than kFewKeys.
  double out_tolerance;
  double few_keys_tolerance;
  double small_weight_error;
};

/// One (query token, head) of the batch.
struct Position {
  std::int64_t request;
  std::int64_t token;  // within the request
  std::int32_t head;
};

/// The request that a token belongs to, counted over all requests: the last one that begins at or before it and is not
/// empty. `of_keys`: key tokens instead of query tokens.
ORACLE_HOST_DEVICE inline std::int64_t request_of(const Problem& problem, std::int64_t token, bool of_keys) {
  std::int64_t low = 0;
  std::int64_t high = problem.requests;  // the answer is in [low, high)
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    const Extent& extent = problem.extents[middle];
    if ((of_keys ? extent.first_key : extent.first_token) <= token) {
      low = middle;
    } else {
      high = middle;
    }
  }
  // Requests that are empty begin where the next one does, so the last to begin here is the one that holds the token.
  return low;
}

/// `row` counts (token, head) pairs of all requests, head by head.
ORACLE_HOST_DEVICE inline Position position_of(const Problem& problem, std::int64_t row) {
  const std::int64_t token = row / problem.query.heads;
  const std::int64_t request = request_of(problem, token, false);
  return {request, token - problem.extents[request].first_token,
          static_cast<std::int32_t>(row - token * problem.query.heads)};
}

/// First element of a row of query, out or LSE.
ORACLE_HOST_DEVICE inline std::int64_t query_row(const Problem& problem, const Rows& rows, std::int64_t request,
                                                 std::int64_t token, std::int64_t head) {
  return (problem.extents[request].query_start + token) * rows.token_stride + head * rows.head_stride;
}

/// First element of a row of key or value.
ORACLE_HOST_DEVICE inline std::int64_t key_row(const Problem& problem, const Rows& rows, std::int64_t request,
                                               std::int64_t key, std::int64_t head) {
  if (problem.page_size == 0) {
    return (problem.extents[request].key_start + key) * rows.token_stride + head * rows.head_stride;
  }
  const std::int64_t page = problem.block_table[request * problem.max_pages + key / problem.page_size];
  return page * rows.page_stride + key % problem.page_size * rows.token_stride + head * rows.head_stride;
}

ORACLE_HOST_DEVICE inline double scale_of(const Scales& scales, std::int64_t request, std::int64_t kv_head) {
  if (scales.data == nullptr) return 1;
  return static_cast<double>(scales.data[request * scales.request_stride + kv_head * scales.head_stride]);
}

/// The keys first … last that a token sees; none if first > last.
struct KeyRange {
  std::int64_t first;
  std::int64_t last;
};
ORACLE_HOST_DEVICE inline KeyRange visible_keys(const Problem& problem, const Extent& extent, std::int64_t token) {
  const std::int64_t own = extent.key_length - extent.query_length + token;
  KeyRange range{0, extent.key_length - 1};
  if (problem.left != kUnlimited && own - problem.left > range.first) range.first = own - problem.left;
  if (problem.right != kUnlimited && own + problem.right < range.last) range.last = own + problem.right;
  return range;
}

}  // namespace varlen::oracle
