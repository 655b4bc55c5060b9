#include "batch/length_fault.hpp"

#include <fmt/format.h>

#include <string>

#include "batch/refuse.hpp"

namespace varlen {
namespace {

bool is_of_queries(LengthField field) {
  return field == LengthField::kQueryIndptr || field == LengthField::kQueryLengths;
}

/// What follows "field[index] = value ".
std::string rule_text(const LengthFault& fault) {
  const char* const name = field_name(fault.field);
  const bool queries = is_of_queries(fault.field);
  const char* const indptr = field_name(queries ? LengthField::kQueryIndptr : LengthField::kKeyIndptr);
  const char* const limit = queries ? "limits.query_tokens" : "limits.key_tokens";
  switch (fault.rule) {
    case LengthRule::kFirstOffset:
      return "must be 0: offsets start at the first token";
    case LengthRule::kDecreasing:
      return fmt::format("is less than {}[{}] = {}: offsets must not decrease", name, fault.index - 1, fault.other);
    case LengthRule::kNegative:
      return "must not be negative";
    case LengthRule::kBeyondRange:
      return fmt::format("exceeds the request's range {}[{}] - {}[{}] = {}", indptr, fault.index + 1, indptr,
                         fault.index, fault.other);
    case LengthRule::kOverflow:
      return "makes the sum of lengths exceed 2^63 - 1";
    case LengthRule::kMostTokens:
      return fmt::format("{} {} = {}", name == indptr ? "exceeds" : "makes the sum of lengths exceed", limit,
                         fault.other);
    case LengthRule::kMostLength:
      return fmt::format("exceeds {} = {}", queries ? "limits.query_length" : "limits.key_length", fault.other);
    case LengthRule::kMostRequests:
      return fmt::format("exceeds limits.requests = {}", fault.other);
    case LengthRule::kNoRoom:
    case LengthRule::kNone:
      break;
  }
  return {};
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
  if (fault.rule == LengthRule::kNoRoom) {
    throw Error(ErrorCode::kInternal, "limits", Error::kNoIndex, "", "limits: a plan within them found no room");
  }
  if (fault.rule == LengthRule::kNone) {
    throw Error(ErrorCode::kInternal, name, Error::kNoIndex, "",
                fmt::format("{}: refused, but nothing is wrong with it", name));
  }
  // One call for all rules: of several in one function that do not return, Clang 14 gets the unwinding wrong.
  refuse(name, fault.index, fault.value, "{}", rule_text(fault));
}

}  // namespace varlen
