// refuse(): the one way validation says no.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>

#include "varlen/error.hpp"

namespace varlen {

/// Throws Error with the message `field[index] = value rule`, for example
/// `query_indptr[3] = 512 is less than query_indptr[2] = 700: offsets must not decrease`. Out of line and cold, so that
/// checks in loops cost a compare and a branch.
template <typename Value, typename... Arguments>
[[noreturn, gnu::cold, gnu::noinline]] void refuse(ErrorCode code, std::string field, std::int64_t index,
                                                   const Value& value, fmt::format_string<Arguments...> rule,
                                                   Arguments&&... arguments) {
  std::string shown = fmt::format("{}", value);
  std::string message = index == Error::kNoIndex ? field : fmt::format("{}[{}]", field, index);
  message += fmt::format(" = {} ", shown);
  message += fmt::format(rule, std::forward<Arguments>(arguments)...);
  throw Error(code, std::move(field), index, std::move(shown), message);
}

/// The common case: a value that breaks a documented rule.
template <typename Value, typename... Arguments>
[[noreturn, gnu::cold, gnu::noinline]] void refuse(std::string field, std::int64_t index, const Value& value,
                                                   fmt::format_string<Arguments...> rule, Arguments&&... arguments) {
  refuse(ErrorCode::kInvalidArgument, std::move(field), index, value, rule, std::forward<Arguments>(arguments)...);
}

}  // namespace varlen
