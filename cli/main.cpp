// The program varlen. Results go to stdout, everything else to stderr; errors are one line.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "cli/help.hpp"
#include "cli/option_values.hpp"
#include "cli/options.hpp"
#include "cli/process.hpp"
#include "cli/suggest.hpp"
#include "cli/text.hpp"
#include "varlen/attention.hpp"
#include "varlen/error.hpp"

namespace {

using namespace varlen::cli;

int complain_and_return(std::string message, int status) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  complain(message);
  return status;
}

/// The command that the words were for: the program itself where none was recognised.
const CLI::App& chosen(const CLI::App& app) {
  const std::vector<CLI::App*> commands = app.get_subcommands();
  return commands.empty() ? app : *commands.front();
}

std::string how_to_get_help(const CLI::App& app) {
  const CLI::App& command = chosen(app);
  return &command == &app ? "'varlen --help' lists what there is"
                          : fmt::format("'varlen {} --help' explains its options", command.get_name());
}

/// A word that is no option and no command of the program.
std::string unknown_word(const CLI::App& app, const std::string& word) {
  const CLI::App& command = chosen(app);
  if (word.size() < 2 || word.front() != '-') {
    if (&command != &app) return in_quotes(word) + " is one argument too many";
    const std::vector<std::string> known = commands_of(app);
    return fmt::format("{} is no command{}; there are {}", in_quotes(word), did_you_mean(word, known),
                       fmt::join(known, ", "));
  }
  std::vector<std::string> known;
  for (const OptionText& option : options_of(command)) {
    known.insert(known.end(), option.names.begin(), option.names.end());
  }
  return fmt::format("{} is no option{}", in_quotes(word), did_you_mean(word, known));
}

/// CLI11's words, but for those of an option without its value.
std::string words_of(const CLI::ParseError& error) {
  const std::string message = error.what();
  const std::size_t missing = message.find(": 1 required ");
  return missing == std::string::npos ? message : message.substr(0, missing) + ": its value is missing";
}

/// What is wrong with the command line, as one line.
std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  // A word that nobody knows explains more than what is missing because of it.
  const std::vector<std::string> unknown = app.remaining(true);
  const CLI::App& command = chosen(app);
  const std::string where = &command == &app ? "" : command.get_name() + ": ";
  const std::string message = where + (unknown.empty() ? words_of(error) : unknown_word(app, unknown.front()));
  return fmt::format("{}; {}", message, how_to_get_help(app));
}

void add_commands(CLI::App& app, Action& action) {
  add_run(app, action);
  add_plan(app, action);
  add_check(app, action);
  add_bench(app, action);
  add_model(app, action);
  add_info(app, action);
  add_help(app, action);
  add_generate(app, action);
  refuse_odd_values(app);
}

/// An error of a command's options that parsing could not see says how to get help, too.
int act(const CLI::App& app, const Action& action) {
  try {
    return action();
  } catch (const varlen::Error& error) {
    const bool about_an_option = error.code() == varlen::ErrorCode::kInvalidArgument && error.field().empty() &&
                                 std::string_view(error.what()).substr(0, 2) == "--";
    if (!about_an_option) throw;
    return complain_and_return(fmt::format("{}: {}; {}", chosen(app).get_name(), error.what(), how_to_get_help(app)),
                               kExitBadInput);
  }
}

int parse_and_act(int argc, char** argv) {
  CLI::App app{"Fused attention over ragged batches: requests of different lengths, no padding.", "varlen"};
  app.set_version_flag("-V,--version", "varlen " + varlen::build_info().version);
  app.formatter(help_formatter());  // subcommands inherit it
  app.require_subcommand(0, 1);
  app.footer(
      "A file named - is standard input or standard output; what the program reports then goes to standard error.\n"
      "Exit status: 0 done, 1 a check failed, 2 bad usage or input, 3 a defect in varlen.");
  Action action;
  add_commands(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    return complain_and_return(usage_error(app, error), kExitBadInput);
  }
  if (!action) {
    return complain_and_return(
        fmt::format("a command is needed: {}; {}", fmt::join(commands_of(app), ", "), how_to_get_help(app)),
        kExitBadInput);
  }
  return act(app, action);
}

}  // namespace

int main(int argc, char** argv) {
  prepare_process(kExitBadInput);
  int status = kExitInternal;
  try {
    status = parse_and_act(argc, argv);
  } catch (const varlen::Error& error) {
    const bool internal =
        error.code() == varlen::ErrorCode::kInternal || error.code() == varlen::ErrorCode::kDeviceFailure;
    status = complain_and_return(error.what(), internal ? kExitInternal : kExitBadInput);
  } catch (const std::bad_alloc&) {
    status = complain_and_return("out of memory", kExitBadInput);
  } catch (const std::system_error& error) {
    const std::string what = std::ferror(stdout) == 0 ? "" : "standard output cannot be written: ";
    status = complain_and_return(what + error.code().message(), kExitBadInput);
  } catch (const std::exception& error) {
    status = complain_and_return(error.what(), kExitInternal);
  }
  // A full disk or a closed pipe must not look like a success.
  if (!flush_standard_output() && status == kExitDone) {
    status = complain_and_return("standard output cannot be written", kExitBadInput);
  }
  return status;
}
