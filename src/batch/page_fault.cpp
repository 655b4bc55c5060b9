#include "batch/page_fault.hpp"

#include <fmt/format.h>

#include <string>

#include "batch/refuse.hpp"

namespace varlen {
namespace {

/// A refusal in parts.
struct Finding {
  const char* field;
  std::int64_t index;
  std::int64_t value;
  std::string rule;
};

Finding no_such_range(const PageFault& fault) {
  const std::int64_t begin = fault.first_entry;
  const std::int64_t end = fault.value;
  if (begin < 0) return {"page_indptr", fault.request, begin, "must not be negative"};
  if (end < begin) {
    return {"page_indptr", fault.request + 1, end,
            fmt::format("is less than page_indptr[{}] = {}", fault.request, begin)};
  }
  return {"page_indptr", fault.request + 1, end, fmt::format("exceeds the {} entries of page_indices", fault.other)};
}

Finding finding(const PageFault& fault) {
  switch (fault.rule) {
    case PageRule::kTooManyKeys:
      return {"key_lengths", fault.request, fault.value,
              fmt::format("exceeds the request's {} pages of {} keys", fault.entries, fault.other)};
    case PageRule::kNoSuchRow:
      return {"block_table_rows", fault.request, fault.value,
              fmt::format("is not a row of the block table's {}", fault.other)};
    case PageRule::kNoSuchRange:
      return no_such_range(fault);
    default:
      return {
          fault.rule == PageRule::kNoSuchPage ? "block_table" : "page_indices", fault.first_entry + fault.page,
          fault.value,
          fmt::format("(request {}, page {}) is not a page of the pool's {}", fault.request, fault.page, fault.other)};
  }
}

}  // namespace

void refuse(const PageFault& fault) {
  const Finding found = finding(fault);
  refuse(found.field, found.index, found.value, "{}", found.rule);
}

}  // namespace varlen
