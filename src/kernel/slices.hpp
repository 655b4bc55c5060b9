// The work of a block: its items of the plan, in slices of as many rows as a kernel computes at a time.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"
#include "kernel/rows.hpp"

namespace varlen::kernel {

/// Keys, counted from the item's first.
struct SeenKeys {
  std::int32_t begin;
  std::int32_t end;
};

/// The rows [row_begin, row_begin + rows) of an item.
struct Slice {
  const ForwardParameters& parameters;
  const WorkItem& item;
  int row_begin;
  int rows;

  VARLEN_DEVICE std::int32_t keys() const { return static_cast<std::int32_t>(item.key_end - item.key_begin); }

  /// Keys that a row of the slice sees; none for rows that the slice does not have.
  VARLEN_DEVICE SeenKeys seen_keys(int row) const {
    if (row >= rows) return {0, 0};
    const KeyRange keys = row_keys(parameters, item, row_position(item, row_begin + row).token);
    return {static_cast<std::int32_t>(keys.begin - item.key_begin),
            static_cast<std::int32_t>(keys.end - item.key_begin)};
  }
  /// Keys that all of the rows [first, first + count) see, of those that exist. Ranges only move on from row to row, so
  /// they begin where the last row's do and end where the first row's do.
  VARLEN_DEVICE SeenKeys seen_by_all(int first, int count) const {
    const int last = first + count - 1;
    return {seen_keys(last < rows ? last : rows - 1).begin, seen_keys(first).end};
  }

  /// Element offset of a row's data in the query tensor.
  VARLEN_DEVICE std::int64_t query_row(int row) const {
    const RowPosition position = row_position(item, row_begin + row);
    const std::int64_t token = parameters.requests[item.request].query_start + position.token;
    return query_offset(parameters.query, token, position.head);
  }
};

/// Calls work(slice) for the items block_index(), block_index() + block_count(), … of the plan, in order.
template <int kSliceRows, class Work>
VARLEN_DEVICE void for_each_slice(const ForwardParameters& parameters, const Work& work) {
  Cursor cursor(parameters.plan);
  const std::int64_t items = item_count(parameters.plan);
  for (std::int64_t index = gpu::block_index(); index < items; index += gpu::block_count()) {
    const WorkItem item = cursor.seek(index);
    gpu::enter_request(item.request);
    const std::int64_t rows = item.query_count * item.query_head_count;
    for (std::int64_t begin = 0; begin < rows; begin += kSliceRows) {
      const int slice_rows = static_cast<int>(rows - begin < kSliceRows ? rows - begin : kSliceRows);
      work(Slice{parameters, item, static_cast<int>(begin), slice_rows});
    }
  }
}

}  // namespace varlen::kernel
