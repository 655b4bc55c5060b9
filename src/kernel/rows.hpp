// The rows of one item's tile: which token and head each is, which keys it sees, and where its data lie.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"

namespace varlen::kernel {

/// Rows are token-major: row → (token of the request, query head).
struct RowPosition {
  std::int64_t token;
  std::int32_t head;
};
VARLEN_DEVICE RowPosition row_position(const WorkItem& item, std::int32_t row) {
  const std::int32_t token = row / item.query_head_count;
  return {item.query_begin + token, item.query_head_begin + (row - token * item.query_head_count)};
}

/// Keys that a query token sees among those of the item. Empty ranges begin and end at the same key.
VARLEN_DEVICE KeyRange row_keys(const ForwardParameters& parameters, const WorkItem& item, std::int64_t token) {
  const RequestExtent& extent = parameters.requests[item.request];
  RequestTiles request{};
  request.query_length = extent.query_length;
  request.key_length = extent.key_length;
  KeyRange keys = visible_keys(request, parameters.plan.mask, token, token + 1);
  if (keys.begin < item.key_begin) keys.begin = item.key_begin;
  if (keys.end > item.key_end) keys.end = item.key_end;
  if (keys.end < keys.begin) keys.end = keys.begin;
  return keys;
}

VARLEN_DEVICE std::int64_t query_offset(const RowAddresses& tensor, std::int64_t token, std::int32_t head) {
  return token * tensor.token_stride + head * tensor.head_stride;
}

/// Element offset of key `key` of a request, ragged or paged.
VARLEN_DEVICE std::int64_t key_offset(const ForwardParameters& parameters, const RowAddresses& tensor,
                                      std::int32_t request, std::int32_t kv_head, std::int64_t key) {
  if (parameters.page_size == 0) {
    return (parameters.requests[request].key_start + key) * tensor.token_stride + kv_head * tensor.head_stride;
  }
  const std::int64_t place = quotient(key, parameters.page_size);
  const std::int64_t page = gpu::load_global(parameters.block_table + request * parameters.block_table_strides[0] +
                                             place * parameters.block_table_strides[1]);
  return page * tensor.page_stride + (key - place * parameters.page_size) * tensor.token_stride +
         kv_head * tensor.head_stride;
}

}  // namespace varlen::kernel
