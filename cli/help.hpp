// The options of the program as one table, which help, man page and shell completion are made from.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace varlen::cli {

/// One option or argument as a reader sees it.
struct OptionText {
  std::vector<std::string> names;    ///< "-h", "--help"; none of an argument
  std::string value;                 ///< "FILE", "auto|cpu|cuda"; empty of a flag
  std::vector<std::string> choices;  ///< if there is a fixed list of values
  bool takes_file = false;
  bool required = false;
  std::string group;  ///< "Options", "Emulator"; empty of an argument
  std::string description;
};
/// Arguments first, then options in the order in which they were added.
std::vector<OptionText> options_of(const CLI::App& command);
/// Names of the subcommands in order.
std::vector<std::string> commands_of(const CLI::App& app);

/// "varlen run [OPTIONS] INPUT.safetensors".
std::string usage_of(const CLI::App& command);

/// Columns of the terminal: COLUMNS, what the terminal says, or 80 where stdout is none.
std::size_t terminal_width();

/// Help that wraps at the terminal's width.
std::shared_ptr<CLI::FormatterBase> help_formatter();

/// The text in lines of at most `width` characters, each but the first after `indent` spaces. Words are not cut. A
/// line of the text that begins with a space keeps its first column, and hangs behind it.
std::string wrapped(const std::string& text, std::size_t indent, std::size_t width);

// Written for `cmake --install`.
std::string man_page(const CLI::App& app);
std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string fish_completion(const CLI::App& app);

}  // namespace varlen::cli
