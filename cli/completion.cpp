// The man page and the completion of shells, from the program's table of options.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/help.hpp"
#include "varlen/attention.hpp"

namespace varlen::cli {
namespace {

/// The text as roff shows it: minus signs that can be copied, no requests at the beginning of a line.
std::string roff(const std::string& text) {
  std::string result;
  bool line_begins = true;
  for (const char character : text) {
    if (line_begins && (character == '.' || character == '\'')) result += "\\&";
    if (character == '\\') {
      result += "\\e";
    } else if (character == '-') {
      result += "\\-";
    } else {
      result += character;
    }
    line_begins = character == '\n';
  }
  return result;
}

std::string roff_option(const OptionText& option) {
  std::string names;
  for (const std::string& name : option.names) {
    names += (names.empty() ? "\\fB" : ", \\fB") + roff(name) + "\\fR";
  }
  if (!option.value.empty()) names += (names.empty() ? "\\fI" : " \\fI") + roff(option.value) + "\\fR";
  return fmt::format(".TP\n{}\n{}\n", names, roff(option.description));
}

std::string roff_command(const CLI::App& command) {
  std::string text = fmt::format(".SS \"{}\"\n{}\n", roff(usage_of(command)), roff(command.get_description()));
  for (const OptionText& option : options_of(command)) text += roff_option(option);
  // A footer's lines that begin with a space are to be kept as they are.
  if (!command.get_footer().empty()) text += ".PP\n.nf\n" + roff(command.get_footer()) + "\n.fi\n";
  return text;
}

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char character : text) {
    if (character == '\'') {
      result += "'\\''";
    } else {
      result += character;
    }
  }
  return result + "'";
}

template <typename Visit>
void for_each_command(const CLI::App& app, const Visit& visit) {
  for (const std::string& name : commands_of(app)) visit(name, *app.get_subcommand_ptr(name));
}

std::vector<std::string> names_of(const std::vector<OptionText>& options) {
  std::vector<std::string> names;
  for (const OptionText& option : options) names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

/// What may stand where an argument is expected: the values of the first argument that has some, or commands.
std::string words_of_arguments(const CLI::App& app, const CLI::App& command) {
  for (const OptionText& option : options_of(command)) {
    if (option.names.empty() && !option.choices.empty()) return fmt::format("{}", fmt::join(option.choices, " "));
    if (option.names.empty() && option.value == "COMMAND") return fmt::format("{}", fmt::join(commands_of(app), " "));
  }
  return "";
}

/// `_arguments` of zsh ends a description at "]" and a specification's parts at ":".
std::string zsh_text(const std::string& text) {
  std::string result;
  for (const char character : text) {
    if (character == ':' || character == '[' || character == ']' || character == '\\') result += '\\';
    result += character;
  }
  return result;
}

std::string zsh_values(const CLI::App& app, const OptionText& option) {
  if (!option.choices.empty()) return fmt::format("({})", fmt::join(option.choices, " "));
  if (option.value == "COMMAND") return fmt::format("({})", fmt::join(commands_of(app), " "));
  return option.takes_file ? "_files" : " ";
}

std::string zsh_option(const CLI::App& app, const OptionText& option) {
  const std::string value =
      option.value.empty() ? "" : fmt::format(":{}:{}", zsh_text(option.value), zsh_values(app, option));
  if (option.names.empty()) return " \\\n        " + quoted("*" + value);
  std::string lines;
  for (const std::string& name : option.names) {
    lines += " \\\n        " + quoted(fmt::format("{}[{}]{}", name, zsh_text(option.description), value));
  }
  return lines;
}

std::string fish_option(const std::string& condition, const OptionText& option) {
  std::string line = fmt::format("complete -c varlen -n {}", quoted(condition));
  for (const std::string& name : option.names) {
    line += name[1] == '-' ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  if (!option.value.empty()) line += option.names.empty() ? "" : " -r";
  if (!option.choices.empty())
    line += fmt::format(" -f -a {}", quoted(fmt::format("{}", fmt::join(option.choices, " "))));
  if (option.takes_file) line += " -F";
  return line + fmt::format(" -d {}\n", quoted(option.description));
}

}  // namespace

std::string man_page(const CLI::App& app) {
  std::string text = fmt::format(".TH VARLEN 1 \"\" \"varlen {}\"\n", build_info().version);
  text += fmt::format(".SH NAME\nvarlen \\- {}\n", roff("fused attention over ragged batches"));
  text += ".SH SYNOPSIS\n";
  for_each_command(app, [&](const std::string& /*name*/, const CLI::App& command) {
    text += fmt::format("{}\n.br\n", roff(usage_of(command)));
  });
  text += fmt::format(".SH DESCRIPTION\n{}\n", roff(app.get_description()));
  text += ".SH OPTIONS\n";
  for (const OptionText& option : options_of(app)) text += roff_option(option);
  text += ".SH COMMANDS\n";
  for_each_command(app, [&](const std::string& /*name*/, const CLI::App& command) { text += roff_command(command); });
  return text + fmt::format(".SH NOTES\n{}\n", roff(app.get_footer()));
}

std::string bash_completion(const CLI::App& app) {
  std::string options;
  std::string values;
  for_each_command(app, [&](const std::string& name, const CLI::App& command) {
    const std::vector<OptionText> texts = options_of(command);
    options += fmt::format("    {}) options={} arguments={} ;;\n", name,
                           quoted(fmt::format("{}", fmt::join(names_of(texts), " "))),
                           quoted(words_of_arguments(app, command)));
    for (const OptionText& option : texts) {
      if (option.names.empty() || option.value.empty()) continue;
      for (const std::string& option_name : option.names) {
        const std::string words = option.takes_file ? "files" : fmt::format("{}", fmt::join(option.choices, " "));
        values += fmt::format("    {}:{}) values={} ;;\n", name, option_name, quoted(words));
      }
    }
  });
  return fmt::format(R"(# Completion of varlen for bash, printed by `varlen generate bash`.
_varlen() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
  local options='' arguments='' values='none'
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W '{} {}' -- "$word"))
    return
  fi
  case $command in
{}  esac
  case $command:$before in
{}  esac
  if [[ $values == files ]]; then
    COMPREPLY=($(compgen -f -- "$word"))
  elif [[ $values != none ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$word"))
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif [[ -n $arguments ]]; then
    COMPREPLY=($(compgen -W "$arguments" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _varlen varlen
)",
                     fmt::join(commands_of(app), " "), fmt::join(names_of(options_of(app)), " "), options, values);
}

std::string zsh_completion(const CLI::App& app) {
  std::string commands;
  std::string cases;
  for_each_command(app, [&](const std::string& name, const CLI::App& command) {
    commands += fmt::format("    {}\n", quoted(name + ":" + zsh_text(command.get_description())));
    cases += fmt::format("    {})\n      _arguments", name);
    for (const OptionText& option : options_of(command)) cases += zsh_option(app, option);
    cases += "\n      ;;\n";
  });
  std::string own;
  for (const OptionText& option : options_of(app)) own += zsh_option(app, option);
  return fmt::format(R"(#compdef varlen
# Completion of varlen for zsh, printed by `varlen generate zsh`.
_varlen() {{
  local -a commands
  commands=(
{}  )
  if (( CURRENT == 2 )); then
    _describe command commands
    _arguments{}
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{}  esac
}}
_varlen "$@"
)",
                     commands, own, cases);
}

std::string fish_completion(const CLI::App& app) {
  std::string text = "# Completion of varlen for fish, printed by `varlen generate fish`.\ncomplete -c varlen -f\n";
  for (const OptionText& option : options_of(app)) text += fish_option("__fish_use_subcommand", option);
  for_each_command(app, [&](const std::string& name, const CLI::App& command) {
    text += fmt::format("complete -c varlen -n __fish_use_subcommand -a {} -d {}\n", name,
                        quoted(command.get_description()));
  });
  for_each_command(app, [&](const std::string& name, const CLI::App& command) {
    const std::string condition = "__fish_seen_subcommand_from " + name;
    for (const OptionText& option : options_of(command)) {
      OptionText shown = option;
      if (shown.value == "COMMAND") shown.choices = commands_of(app);
      text += fish_option(condition, shown);
    }
  });
  return text;
}

}  // namespace varlen::cli
