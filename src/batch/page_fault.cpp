#include "batch/page_fault.hpp"

#include <fmt/format.h>

#include "batch/refuse.hpp"

namespace varlen {

void refuse(const PageFault& fault) {
  const bool of_length = fault.rule == PageRule::kTooManyKeys;
  const char* const field = of_length ? "key_lengths" : "block_table";
  const std::int64_t index = of_length ? fault.request : fault.request * fault.entries + fault.page;
  // One call, as for LengthFault.
  refuse(field, index, fault.value, "{}",
         of_length ? fmt::format("exceeds the request's {} pages of {} keys", fault.entries, fault.other)
                   : fmt::format("(request {}, page {}) is not a page of the pool's {}", fault.request, fault.page,
                                 fault.other));
}

}  // namespace varlen
