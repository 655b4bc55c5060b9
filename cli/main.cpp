// The program varlen. Results go to stdout, everything else to stderr; errors are one line.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "cli/option_values.hpp"
#include "cli/options.hpp"
#include "cli/process.hpp"
#include "varlen/attention.hpp"
#include "varlen/error.hpp"

namespace {

using namespace varlen::cli;

int complain_and_return(std::string message, int status) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  complain(message);
  return status;
}

int parse_and_act(int argc, char** argv) {
  CLI::App app{"Fused attention over ragged batches: requests of different lengths, no padding.", "varlen"};
  app.set_version_flag("--version", "varlen " + varlen::build_info().version);
  app.require_subcommand(0, 1);
  app.footer(
      "A file named - is standard input or standard output; what the program reports then goes to standard error.\n"
      "Exit status: 0 done, 1 a check failed, 2 bad usage or input, 3 a defect in varlen.");
  Action action;
  add_run(app, action);
  add_plan(app, action);
  add_check(app, action);
  add_bench(app, action);
  add_model(app, action);
  add_info(app, action);
  refuse_odd_values(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    return complain_and_return(error.what(), kExitBadInput);
  }
  if (!action)
    return complain_and_return("a subcommand is needed: run, plan, check, bench, model or info; see --help",
                               kExitBadInput);
  return action();
}

}  // namespace

int main(int argc, char** argv) {
  prepare_process(kExitBadInput);
  int status = kExitInternal;
  try {
    status = parse_and_act(argc, argv);
  } catch (const varlen::Error& error) {
    const bool internal = error.code() == varlen::ErrorCode::kInternal;
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
