// varlen check: named edge cases, then random batches, against the float64 reference.

#include "varlen/check.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/format.hpp"
#include "cli/measure.hpp"
#include "cli/options.hpp"
#include "cli/output_file.hpp"
#include "cli/process.hpp"

namespace varlen::cli {
namespace {

struct Options {
  std::string backend = "auto";
  std::string arch = "newest";
  std::string cases = "all";
  std::string only;
  std::int64_t count = 1000;
  std::uint64_t seed = 1;
  std::string schedule = "fixed";
  std::uint64_t schedule_seed = 1;
  std::int64_t schedules = 0;
  std::string trace_out;
  bool as_json = false;
};

std::string reproducing_command(const Options& options, const std::string& name, bool random, std::uint64_t seed,
                                const Schedule& schedule) {
  const std::string which = random ? fmt::format("random --count 1 --seed {}", seed)
                                   : fmt::format("{} --only {}", options.cases == "long" ? "long" : "edge", name);
  const std::string arch = options.arch == "newest" ? "" : " --arch " + options.arch;
  const std::string order = schedule == Schedule{} ? ""
                                                   : fmt::format(" --schedule {} --schedule-seed {}",
                                                                 schedule_policy_name(schedule.policy), schedule.seed);
  return fmt::format("varlen check --backend {}{}{} --cases {}", options.backend, arch, order, which);
}

// Tensors lie between inaccessible pages, so a stray access ends the process. This text, prepared before each case,
// is then the last thing written: a signal handler may do little more than that.
std::array<char, 400> last_words{};

extern "C" void say_last_words(int signal) {
  if (write(STDERR_FILENO, last_words.data(), std::strlen(last_words.data())) < 0) _exit(kExitInternal);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void prepare_last_words(const Options& options, const CheckProgress& progress) {
  const bool random = progress.seed != 0;
  const auto end = fmt::format_to_n(
      last_words.data(), last_words.size() - 1, "\nvarlen: crashed in case {}; to reproduce: {}\n", progress.name,
      reproducing_command(options, progress.name, random, progress.seed, progress.schedule));
  *end.out = '\0';
}

std::string bar(const CheckProgress& progress) {
  constexpr std::int64_t kWidth = 30;
  const std::int64_t filled = progress.total == 0 ? kWidth : kWidth * progress.done / progress.total;
  return fmt::format("[{:<{}}] {}/{}{} {}", std::string(static_cast<std::size_t>(filled), '='), kWidth, progress.done,
                     progress.total, progress.failed == 0 ? "" : fmt::format(", {} failed", progress.failed),
                     progress.name.substr(0, 50));
}

CheckSummary run_with_progress(const Options& options) {
  ProgressLine line;
  double shown = 0;
  CheckOptions request;
  request.backend = backend_named(options.backend);
  request.architecture = gpu_architecture_named(options.arch);
  request.cases = check_cases_named(options.cases);
  request.only = options.only;
  request.count = options.count;
  request.seed = options.seed;
  request.policies = schedule_policies_named(options.schedule);
  request.schedule_seed = options.schedule_seed;
  request.schedules = options.schedules;
  request.timeline = !options.trace_out.empty();
  request.progress = [&](const CheckProgress& progress) {
    prepare_last_words(options, progress);
    const double now = seconds_now();
    if (now - shown < 0.1) return;
    shown = now;
    line.show(bar(progress));
  };
  constexpr int kFatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
  for (const int signal : kFatal) std::signal(signal, say_last_words);
  CheckSummary summary = run_checks(request);
  for (const int signal : kFatal) std::signal(signal, SIG_DFL);
  return summary;
}

void print_text(const Options& options, const CheckSummary& summary) {
  for (const CheckFailure& failure : summary.failures) {
    fmt::print("FAILED {}: {}\n", failure.name, failure.message);
    for (const std::string& event : failure.events) fmt::print("    {}\n", event);
    fmt::print("  {}\n", reproducing_command(options, failure.name, failure.random, failure.seed, failure.schedule));
  }
  fmt::print("worst output error {:.3g} of the bound, worst LSE {:.3g}\n", summary.worst_out, summary.worst_lse);
  fmt::print("{} passed, {} failed\n", summary.passed, summary.failed);
}

void print_json(const Options& options, const CheckSummary& summary) {
  nlohmann::ordered_json json = {{"backend", options.backend},
                                 {"arch", options.arch},
                                 {"cases", options.cases},
                                 {"count", options.count},
                                 {"seed", options.seed},
                                 {"passed", summary.passed},
                                 {"failed", summary.failed},
                                 {"worst_out", summary.worst_out},
                                 {"worst_lse", summary.worst_lse},
                                 {"schedule", options.schedule},
                                 {"schedule_seed", options.schedule_seed}};
  json["failures"] = nlohmann::ordered_json::array();
  for (const CheckFailure& failure : summary.failures) {
    json["failures"].push_back(
        {{"name", failure.name},
         {"message", failure.message},
         {"schedule", schedule_policy_name(failure.schedule.policy)},
         {"schedule_seed", failure.schedule.seed},
         {"events", failure.events},
         {"reproduce", reproducing_command(options, failure.name, failure.random, failure.seed, failure.schedule)}});
  }
  fmt::print("{}\n", json.dump(2));
}

int check(const Options& options) {
  check_outputs({{"--trace-out", options.trace_out}}, {}, options.as_json);
  const CheckSummary summary = run_with_progress(options);
  if (!summary.timeline.empty()) write_text_file(options.trace_out, summary.timeline);
  options.as_json ? print_json(options, summary) : print_text(options, summary);
  if (!options.trace_out.empty() && summary.timeline.empty()) {
    complain(fmt::format(
        "{} is not written: {}", output_name(options.trace_out),
        summary.passed == 1 ? "the case has nothing to compute" : "nothing failed, and there is more than one run"));
  }
  return summary.failed == 0 ? kExitDone : kExitCheckFailed;
}

/// Returns those that are for the emulator only.
std::vector<CLI::Option*> add_emulator_options(CLI::App& command, Options& options) {
  const std::string emulator = "Emulator";
  return {command
              .add_option("--schedule", options.schedule,
                          "In which order warps go on and copies land: fixed, random, priority, starve, early, late, "
                          "unordered, or all of them in turn")
              ->check(CLI::IsMember({"fixed", "random", "priority", "starve", "early", "late", "unordered", "all"}))
              ->capture_default_str()
              ->group(emulator),
          command.add_option("--schedule-seed", options.schedule_seed, "Of each case's first schedule; then the next")
              ->check(positive())
              ->capture_default_str()
              ->group(emulator),
          command.add_option("--schedules", options.schedules, "Runs of each case; default: one under each policy")
              ->check(positive())
              ->group(emulator),
          command
              .add_option("--trace-out", options.trace_out,
                          "Write what happens when as a page: of the first case that fails, or of the only one")
              ->type_name("FILE")
              ->group(emulator)};
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("check", "Compare a backend with the float64 reference on difficult batches");
  const auto options = std::make_shared<Options>();
  command->add_option("--backend", options->backend, "auto, cpu, reference, cuda or emulator")
      ->check(CLI::IsMember({"auto", "cpu", "reference", "cuda", "emulator"}))
      ->capture_default_str();
  add_arch_option(*command, options->arch);
  command->add_option("--cases", options->cases, "edge, random, all (both) or long")
      ->check(CLI::IsMember({"edge", "random", "all", "long"}))
      ->capture_default_str();
  command->add_option("--only", options->only, "Of the named cases those whose name contains this")->type_name("TEXT");
  command->add_option("--count", options->count, "Random batches")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Of the first random batch")->check(positive())->capture_default_str();
  const std::vector<CLI::Option*> emulators = add_emulator_options(*command, *options);
  command->add_flag("--json", options->as_json, "Print one JSON object");
  command->callback([options, emulators, &action] {
    for (const CLI::Option* option : emulators) {
      if (option->count() > 0 && options->backend != "emulator") {
        throw CLI::ValidationError(option->get_name(), "needs --backend emulator");
      }
    }
    action = [options] { return check(*options); };
  });
}

}  // namespace varlen::cli
