#include "cli/help.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>

namespace varlen::cli {
namespace {

constexpr std::size_t kNarrowest = 40;
constexpr std::size_t kDescriptionColumn = 26;

std::string full_name(const CLI::App& command) {
  const CLI::App* const parent = command.get_parent();
  return parent == nullptr ? command.get_name() : full_name(*parent) + " " + command.get_name();
}

std::vector<std::string> pieces(const std::string& text, char separator) {
  std::vector<std::string> result(1);
  for (const char character : text) {
    if (character == separator) {
      result.emplace_back();
    } else {
      result.back() += character;
    }
  }
  return result;
}

OptionText text_of(const CLI::Option& option) {
  OptionText text;
  for (const std::string& name : option.get_snames()) text.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) text.names.push_back("--" + name);
  text.required = option.get_required();
  text.description = option.get_description();
  if (!option.get_positional()) text.group = option.get_group();
  if (option.get_type_size() == 0) return text;
  // CLI11's name of a type is followed by the descriptions of its validators, and that of one_of() is its values.
  const std::vector<std::string> parts = pieces(option.get_type_name(), ':');
  text.value = parts.front();
  for (const std::string& part : parts) {
    if (part.find('|') == std::string::npos) continue;
    text.value = part;
    text.choices = pieces(part, '|');
  }
  if (text.value == "TEXT") text.value = "NAME";
  if (text.value == "INT" || text.value == "UINT" || text.value == "FLOAT") text.value = "N";
  text.takes_file = text.value.find("FILE") != std::string::npos || text.value.find("safetensors") != std::string::npos;
  if (!option.get_default_str().empty() && option.get_default_str() != "\"\"") {
    text.description += fmt::format(" [{}]", option.get_default_str());
  }
  return text;
}

std::string left_column(const OptionText& option) {
  if (option.names.empty()) return option.value;
  std::string left = fmt::format("{}", fmt::join(option.names, ", "));
  if (option.value.empty()) return left;
  // Words are not cut, so a long list of values becomes several.
  constexpr std::size_t kOneWord = 54;
  const bool one_word = option.value.size() <= kOneWord || option.choices.empty();
  return left + " " + (one_word ? option.value : fmt::format("{}", fmt::join(option.choices, " | ")));
}

/// "  left      description", the description wrapped beside the left column or, if that is too wide, below it.
std::string entry(const std::string& left, const std::string& description, std::size_t width) {
  const std::size_t column = std::min(kDescriptionColumn, width / 3);
  std::string line = "  " + wrapped(left, 4, width - 2);
  const std::size_t last = line.size() - (line.rfind('\n') + 1);
  if (last + 2 > column || line.find('\n') != std::string::npos) {
    line += "\n" + std::string(column, ' ');
  } else {
    line.append(column - last, ' ');
  }
  return line + wrapped(description, column, width - column) + "\n";
}

class Help : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string /*name*/, CLI::AppFormatMode /*mode*/) const override {
    const std::size_t width = terminal_width();
    std::string text = wrapped(app->get_description(), 0, width) + "\n\n";
    text += "Usage: " + wrapped(usage_of(*app), 7, width - 7) + "\n";
    std::string group = "none";
    for (const OptionText& option : options_of(*app)) {
      if (option.group != group) {
        group = option.group;
        text += fmt::format("\n{}:\n", group.empty() ? "Arguments" : group);
      }
      text += entry(left_column(option), option.description, width);
    }
    const std::vector<std::string> commands = commands_of(*app);
    if (!commands.empty()) text += "\nCommands:\n";
    for (const std::string& command : commands) {
      text += entry(command, app->get_subcommand_ptr(command)->get_description(), width);
    }
    if (!app->get_footer().empty()) text += "\n" + wrapped(app->get_footer(), 0, width) + "\n";
    return text;
  }
};

/// One line of words, wrapped.
std::string wrapped_line(std::string_view line, std::size_t indent, std::size_t width) {
  std::string text;
  std::size_t column = 0;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    if (column > 0 && column + 1 + word.size() > width) {
      text += "\n" + std::string(indent, ' ');
      column = 0;
    } else if (column > 0) {
      text += ' ';
      ++column;
    }
    text += word;
    column += word.size();
  }
  return text;
}

/// Where the text of a line begins that is indented: behind its first column, if two spaces end that.
std::size_t hanging_indent(const std::string& line) {
  const std::size_t begin = line.find_first_not_of(' ');
  if (begin == 0 || begin == std::string::npos) return 0;
  const std::size_t text = line.find_first_not_of(' ', line.find("  ", begin));
  return text == std::string::npos ? begin : text;
}

}  // namespace

std::vector<OptionText> options_of(const CLI::App& command) {
  std::vector<OptionText> texts;
  for (const CLI::Option* option : command.get_options()) texts.push_back(text_of(*option));
  // Arguments, then options, then those of other groups; in each the order in which they were added, but help last.
  const auto rank = [](const OptionText& text) {
    if (text.group.empty()) return 0;
    const bool help = std::find(text.names.begin(), text.names.end(), "--help") != text.names.end();
    return text.group == "Options" ? (help ? 2 : 1) : 3;
  };
  std::stable_sort(texts.begin(), texts.end(),
                   [&](const OptionText& a, const OptionText& b) { return rank(a) < rank(b); });
  return texts;
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

std::string usage_of(const CLI::App& command) {
  std::string usage = full_name(command);
  if (command.get_parent() == nullptr) return usage + " COMMAND [OPTIONS]";
  usage += " [OPTIONS]";
  for (const OptionText& option : options_of(command)) {
    if (!option.names.empty() && option.required) usage += " " + left_column(option);
    if (option.names.empty()) usage += option.required ? " " + option.value : " [" + option.value + "]";
  }
  return usage;
}

std::size_t terminal_width() {
  constexpr std::size_t kDefault = 80;
  if (const char* const columns = std::getenv("COLUMNS"); columns != nullptr) {
    std::size_t width = 0;
    const std::string_view text = columns;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), width);
    if (error == std::errc() && stop == text.data() + text.size() && width > 0) return std::max(width, kNarrowest);
  }
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefault;
  return std::max<std::size_t>(size.ws_col, kNarrowest);
}

std::shared_ptr<CLI::FormatterBase> help_formatter() { return std::make_shared<Help>(); }

std::string wrapped(const std::string& text, std::size_t indent, std::size_t width) {
  std::string result;
  const std::vector<std::string> lines = pieces(text, '\n');
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    if (i > 0) result += line.empty() ? "\n" : "\n" + std::string(indent, ' ');
    const std::size_t kept = hanging_indent(line);
    result += line.substr(0, kept);
    result += wrapped_line(std::string_view(line).substr(kept), indent + kept, width - kept);
  }
  return result;
}

}  // namespace varlen::cli
