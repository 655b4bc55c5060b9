// What can be wrong with a request's pages, found on the host or on a device: plain data, and the one text for each.
#pragma once

#include <cstdint>

namespace varlen {

enum class PageRule : std::int64_t {
  kNoSuchPage,  // `value`, an entry of the block table, is not one of the `other` pages
  kTooManyKeys  // `value`, the request's keys, do not fit `entries` pages of `other` keys
};

struct PageFault {
  PageRule rule;
  std::int64_t request;
  std::int64_t page;  // of the request's
  std::int64_t value;
  std::int64_t entries;  // of the block table for each request
  std::int64_t other;
};

/// Throws Error for a fault.
[[noreturn]] void refuse(const PageFault& fault);

}  // namespace varlen
