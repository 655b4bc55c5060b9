// Words of the command line: which known one an unknown one is probably meant to be.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace varlen::cli {

/// The fewest characters to insert, remove, replace or swap with their neighbour that turn one word into the other.
std::size_t edit_distance(std::string_view from, std::string_view to);
/// The same to the nearest piece of `whole`.
std::size_t distance_to_piece(std::string_view word, std::string_view whole);

/// " (did you mean 'cuda'?)", or nothing where no known word is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& known);

/// A validator for an option that has one of these values. Its description is the values with bars between them.
CLI::Validator one_of(const std::vector<std::string>& values);

}  // namespace varlen::cli
