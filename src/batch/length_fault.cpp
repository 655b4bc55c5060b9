#include "batch/length_fault.hpp"

#include "batch/refuse.hpp"

namespace varlen {
namespace {

bool is_of_queries(LengthField field) {
  return field == LengthField::kQueryIndptr || field == LengthField::kQueryLengths;
}

}  // namespace

const char* field_name(LengthField field) noexcept {
  switch (field) {
    case LengthField::kRequests:
      return "requests";
    case LengthField::kQueryIndptr:
      return "query_indptr";
    case LengthField::kQueryLengths:
      return "query_lengths";
    case LengthField::kKeyIndptr:
      return "key_indptr";
    case LengthField::kKeyLengths:
      return "key_lengths";
  }
  return "unknown";
}

void refuse(const LengthFault& fault) {
  const char* const name = field_name(fault.field);
  const bool queries = is_of_queries(fault.field);
  const char* const indptr = field_name(queries ? LengthField::kQueryIndptr : LengthField::kKeyIndptr);
  const char* const limit = queries ? "limits.query_tokens" : "limits.key_tokens";
  switch (fault.rule) {
    case LengthRule::kFirstOffset:
      refuse(name, fault.index, fault.value, "must be 0: offsets start at the first token");
    case LengthRule::kDecreasing:
      refuse(name, fault.index, fault.value, "is less than {}[{}] = {}: offsets must not decrease", name,
             fault.index - 1, fault.other);
    case LengthRule::kNegative:
      refuse(name, fault.index, fault.value, "must not be negative");
    case LengthRule::kBeyondRange:
      refuse(name, fault.index, fault.value, "exceeds the request's range {}[{}] - {}[{}] = {}", indptr,
             fault.index + 1, indptr, fault.index, fault.other);
    case LengthRule::kOverflow:
      refuse(name, fault.index, fault.value, "makes the sum of lengths exceed 2^63 - 1");
    case LengthRule::kMostTokens:
      if (name == indptr) refuse(name, fault.index, fault.value, "exceeds {} = {}", limit, fault.other);
      refuse(name, fault.index, fault.value, "makes the sum of lengths exceed {} = {}", limit, fault.other);
    case LengthRule::kMostLength:
      refuse(name, fault.index, fault.value, "exceeds {} = {}", queries ? "limits.query_length" : "limits.key_length",
             fault.other);
    case LengthRule::kMostRequests:
      refuse(name, fault.index, fault.value, "exceeds limits.requests = {}", fault.other);
    case LengthRule::kNoRoom:
      throw Error(ErrorCode::kInternal, "limits", Error::kNoIndex, "", "limits: a plan within them found no room");
    case LengthRule::kNone:
      break;
  }
  throw Error(ErrorCode::kInternal, name, Error::kNoIndex, "",
              fmt::format("{}: refused, but nothing is wrong with it", name));
}

}  // namespace varlen
