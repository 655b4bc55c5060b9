// What can be wrong with a request's pages, found on the host or on a device: plain data, and the one text for each.
#pragma once

#include <cstdint>

namespace varlen {

enum class PageRule : std::int64_t {
  kNoSuchPage,       // block_table[first_entry + page] = `value` is not one of the pool's `other` pages
  kNoSuchPageIndex,  // page_indices[first_entry + page] = `value` is not
  kTooManyKeys,      // key_lengths[request] = `value` do not fit `entries` pages of `other` keys
  kNoSuchRow,        // block_table_rows[request] = `value` is not one of the table's `other` rows
  kNoSuchRange       // page_indptr[request] = `first_entry` and the next, `value`, are no range of `other` entries
};

struct PageFault {
  PageRule rule;
  std::int64_t request;
  std::int64_t page;  // of the request's
  std::int64_t value;
  std::int64_t first_entry;  // the request's first, counted from the beginning of the table or of page_indices
  std::int64_t entries;      // of the request
  std::int64_t other;
};

/// Throws Error for a fault.
[[noreturn]] void refuse(const PageFault& fault);

}  // namespace varlen
