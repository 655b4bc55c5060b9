// What can be wrong with the lengths of a batch, found on the host or on a device: plain data, and the one text for
// each.
#pragma once

#include <cstdint>

namespace varlen {

enum class LengthField : std::int32_t { kRequests, kQueryIndptr, kQueryLengths, kKeyIndptr, kKeyLengths };

const char* field_name(LengthField field) noexcept;

enum class LengthRule : std::int32_t {
  kNone,          // nothing is wrong
  kFirstOffset,   // `value` is not 0
  kDecreasing,    // `value` is less than the offset before it, `other`
  kNegative,      // `value` is
  kBeyondRange,   // `value` is more than the request's range of `other` tokens
  kOverflow,      // with `value` the sum of lengths exceeds 64 bits
  kMostTokens,    // the last offset `value`, or the sum of lengths with `value`, exceeds the limit `other`
  kMostLength,    // the request's length `value` exceeds the limit `other`
  kMostRequests,  // `value` exceeds the limit `other`
  kNoRoom         // the plan is larger than its limits allow: a defect of varlen
};

struct LengthFault {
  LengthRule rule;
  LengthField field;
  std::int64_t index;  // of the element; −1: none
  std::int64_t value;
  std::int64_t other;
};

/// Throws Error for a fault.
[[noreturn]] void refuse(const LengthFault& fault);

}  // namespace varlen
