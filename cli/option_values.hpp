// Values on the command line that could be read in two ways, or not at all.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string_view>

namespace varlen::cli {

/// A decimal number without leading zeros, which some read as octal, that fits 64 bits.
std::optional<std::int64_t> whole_number(std::string_view text);

/// Checks every value that an option of `app` or of its subcommands is given: none may be empty, and numbers are
/// spelled in one way. CLI11 alone takes 064 for 52, 0x10 for 16, 99999999999999999999 for the largest number it knows,
/// and nan for a number in any range.
void refuse_odd_values(CLI::App& app);

}  // namespace varlen::cli
