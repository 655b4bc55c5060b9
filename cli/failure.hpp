// fail(): how the program says that its input is wrong. main() prints the message as one line and exits with 2.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "cli/text.hpp"
#include "varlen/error.hpp"

namespace varlen::cli {

template <typename... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> message, Arguments&&... arguments) {
  throw Error(ErrorCode::kInvalidArgument, "", Error::kNoIndex, "",
              printable(fmt::format(message, std::forward<Arguments>(arguments)...)));
}

template <typename... Arguments>
[[noreturn]] void fail_file(fmt::format_string<Arguments...> message, Arguments&&... arguments) {
  throw Error(ErrorCode::kInputOutput, "", Error::kNoIndex, "",
              printable(fmt::format(message, std::forward<Arguments>(arguments)...)));
}

}  // namespace varlen::cli
