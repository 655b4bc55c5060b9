// varlen help and varlen generate: what the program says about itself.

#include <fmt/format.h>

#include <array>
#include <memory>
#include <utility>

#include "cli/failure.hpp"
#include "cli/help.hpp"
#include "cli/options.hpp"
#include "cli/suggest.hpp"

namespace varlen::cli {
namespace {

using Generator = std::string (*)(const CLI::App& app);
constexpr std::array<std::pair<const char*, Generator>, 4> kGenerators = {
    {{"man", man_page}, {"bash", bash_completion}, {"zsh", zsh_completion}, {"fish", fish_completion}}};

int print_help(const CLI::App& app, const std::string& command) {
  if (command.empty()) {
    // Not app.help(), which is the chosen command's.
    fmt::print("{}", app.get_formatter()->make_help(&app, "", CLI::AppFormatMode::Normal));
    return kExitDone;
  }
  const std::vector<std::string> known = commands_of(app);
  for (const std::string& name : known) {
    if (name == command) {
      fmt::print("{}", app.get_subcommand_ptr(name)->help());
      return kExitDone;
    }
  }
  fail("help: {} is no command: there are {}{}", in_quotes(command), fmt::join(known, ", "),
       did_you_mean(command, known));
}

int generate(const CLI::App& app, const std::string& what) {
  for (const auto& [name, generator] : kGenerators) {
    if (what == name) fmt::print("{}", generator(app));
  }
  return kExitDone;
}

}  // namespace

void add_help(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("help", "Print the help of the program or of a command");
  const auto name = std::make_shared<std::string>();
  command->add_option("command", *name, "A command of varlen; without one: the program's own help")
      ->type_name("COMMAND");
  command->callback([&app, name, &action] { action = [&app, name] { return print_help(app, *name); }; });
}

void add_generate(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("generate", "Print the man page or the completion of a shell");
  const auto what = std::make_shared<std::string>();
  std::vector<std::string> names;
  names.reserve(kGenerators.size());
  for (const auto& [name, generator] : kGenerators) names.emplace_back(name);
  command->add_option("what", *what, "man for man(1); bash, zsh or fish: what these shells load to complete commands")
      ->required()
      ->check(one_of(names));
  command->callback([&app, what, &action] { action = [&app, what] { return generate(app, *what); }; });
}

}  // namespace varlen::cli
