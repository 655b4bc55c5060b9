// fail(): how the program says that its input is wrong. main() prints the message as one line and exits with 2.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "varlen/error.hpp"

namespace varlen::cli {

/// Control characters as \xNN: names quoted from a file may hold any, and a message is one line for a terminal.
inline std::string printable(const std::string& text) {
  std::string result;
  for (const char character : text) {
    const auto code = static_cast<unsigned char>(character);
    if (code < 0x20 || code == 0x7F) {
      result += fmt::format("\\x{:02x}", code);
    } else {
      result += character;
    }
  }
  return result;
}

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
