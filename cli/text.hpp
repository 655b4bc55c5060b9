// Text from files and from the command line, made fit to be shown: one line, valid UTF-8, no control sequences,
// bounded.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace varlen::cli {

/// Shows control characters, characters that reorder text and bytes that are not UTF-8 as \xNN, byte by byte.
std::string printable(std::string_view text);

/// Keeps at most about `limit` bytes: of longer text the beginning, "...", and the end.
std::string shortened(std::string_view text, std::size_t limit);

/// A name or value from a file, in single quotes: printable, and at most about 80 bytes.
std::string in_quotes(std::string_view text);

}  // namespace varlen::cli
