// Where a request's page numbers are, in each of the three forms of Tensors.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"

namespace varlen::kernel {

/// The request's row of the table or, of page_indptr, its first entry. May be any number: PageRange tells.
VARLEN_DEVICE std::int64_t page_row(const PageTable& table, std::int32_t request) {
  return table.rows == nullptr ? request : gpu::load_global(table.rows + request * table.rows_stride);
}

/// What a request has of the table's entries.
struct PageRange {
  std::int64_t row;      // page_row()
  std::int64_t end;      // of page_indptr: the next request's
  std::int64_t entries;  // 0 if there is no such row, or range
  bool exists;
};
VARLEN_DEVICE PageRange page_range(const PageTable& table, std::int32_t request) {
  PageRange range{page_row(table, request), 0, table.row_entries, true};
  if (table.is_csr) {
    range.end = gpu::load_global(table.rows + (std::int64_t{request} + 1) * table.rows_stride);
    range.exists = range.row >= 0 && range.row <= range.end && range.end <= table.row_count;
    range.entries = range.end - range.row;
  } else if (table.rows != nullptr) {
    range.exists = range.row >= 0 && range.row < table.row_count;
  }
  if (!range.exists) range.entries = 0;
  return range;
}

}  // namespace varlen::kernel
