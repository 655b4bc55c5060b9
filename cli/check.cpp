// varlen check: named edge cases, then random batches, against the float64 reference.

#include "varlen/check.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "cli/backend_choice.hpp"
#include "cli/failure.hpp"
#include "cli/format.hpp"
#include "cli/options.hpp"
#include "cli/output_file.hpp"
#include "cli/process.hpp"
#include "cli/suggest.hpp"

namespace varlen::cli {
namespace {

struct Options {
  std::string backend = "auto";
  std::string arch = "newest";
  std::string cases = "all";
  std::string only;
  std::int64_t count = 1000;
  std::uint64_t seed = 1;
  EmulatorSettings emulator;
  bool as_json = false;
  bool list = false;
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
  return fmt::format("{}{} {}", progress_bar(progress.done, progress.total),
                     progress.failed == 0 ? "" : fmt::format(", {} failed", progress.failed),
                     progress.name.substr(0, 50));
}

CheckOptions request_of(const Options& options) {
  CheckOptions request;
  request.backend = backend_named(options.backend);
  request.kernel = gpu_kernel_named(options.arch);
  request.cases = check_cases_named(options.cases);
  request.only = options.only;
  request.count = options.count;
  request.seed = options.seed;
  request.policies = schedule_policies_named(options.emulator.schedule);
  request.schedule_seed = options.emulator.schedule_seed;
  request.schedules = options.emulator.schedules;
  request.timeline = !options.emulator.trace_out.empty();
  return request;
}

/// Names of cases without their targets, those first that have a piece most like `only`.
std::vector<std::string> names_like(const std::string& only, const std::vector<std::string>& full_names) {
  std::vector<std::pair<std::size_t, std::string>> ranked;
  for (const std::string& name : full_names) {
    const std::string short_name = name.substr(0, name.rfind('/'));
    if (!ranked.empty() && ranked.back().second == short_name) continue;
    ranked.emplace_back(distance_to_piece(only, short_name), short_name);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  names.reserve(ranked.size());
  for (const auto& [distance, name] : ranked) names.push_back(name);
  return names;
}

/// Names of the named cases that will run. Throws Error if --only leaves none.
std::vector<std::string> chosen_names(const CheckOptions& request) {
  std::vector<std::string> chosen = check_case_names(request.cases, request.backend, request.only);
  if (!chosen.empty() || request.only.empty()) return chosen;
  std::vector<std::string> near = names_like(request.only, check_case_names(request.cases, request.backend));
  if (near.empty()) fail("--only {}: chooses among named cases, and random batches have no names", request.only);
  constexpr std::size_t kShown = 5;
  near.resize(std::min(near.size(), kShown));
  fail("--only {}: no named case's name contains it; nearest are {}", request.only, fmt::join(near, ", "));
}

/// What would be refused only after a long time, or once for every case.
void check_request(const CheckOptions& request) {
  require_device(request.backend);
  if (request.kernel != GpuKernel::kAuto && !runs_gpu_kernels(request.backend)) {
    fail("--kernel or --arch: needs --backend cuda or emulator, whose kernels it chooses");
  }
  const bool random = request.cases == CheckCases::kRandom || request.cases == CheckCases::kAll;
  const std::int64_t runs_of_each =
      request.schedules == 0 ? static_cast<std::int64_t>(request.policies.size()) : request.schedules;
  const std::int64_t cases = std::ssize(chosen_names(request)) + (random ? request.count : 0);
  if (request.timeline && cases * runs_of_each != 1) {
    fail(
        "--trace-out: shows one run, and {} are chosen: choose one with --only NAME/TARGET or --count 1 --cases random",
        cases * runs_of_each);
  }
}

CheckSummary run_with_progress(const Options& options) {
  CheckOptions request = request_of(options);
  check_request(request);
  ProgressLine line;
  request.progress = [&](const CheckProgress& progress) {
    prepare_last_words(options, progress);
    line.show_at_times([&] { return bar(progress); });
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
                                 {"schedule", options.emulator.schedule},
                                 {"schedule_seed", options.emulator.schedule_seed}};
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

int list(const CheckOptions& request) {
  for (const std::string& name : chosen_names(request)) fmt::print("{}\n", name);
  return kExitDone;
}

int check(const Options& options) {
  check_outputs({{"--trace-out", options.emulator.trace_out}}, {}, options.as_json);
  if (options.list) return list(request_of(options));
  const CheckSummary summary = run_with_progress(options);
  if (!summary.timeline.empty()) write_text_file(options.emulator.trace_out, summary.timeline);
  options.as_json ? print_json(options, summary) : print_text(options, summary);
  if (!options.emulator.trace_out.empty() && summary.timeline.empty()) {
    complain(
        fmt::format("{} is not written: the case has nothing to compute", output_name(options.emulator.trace_out)));
  }
  return summary.failed == 0 ? kExitDone : kExitCheckFailed;
}

}  // namespace

void add_check(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("check", "Compare a backend with the float64 reference on difficult batches");
  const auto options = std::make_shared<Options>();
  command->add_option("--backend", options->backend, "What is checked; auto means the CPU")
      ->check(one_of({"auto", "cpu", "reference", "cuda", "emulator"}))
      ->capture_default_str();
  add_kernel_option(*command, options->arch);
  CLI::Option* cases =
      command
          ->add_option("--cases", options->cases, "Named edge cases, random batches, both of them, or long named ones")
          ->check(one_of({"edge", "random", "all", "long"}))
          ->capture_default_str();
  CLI::Option* only =
      command
          ->add_option(
              "--only", options->only,
              "The named case NAME/TARGET, or else those whose name contains this; without --cases no random ones")
          ->type_name("TEXT");
  CLI::Option* count = command->add_option("--count", options->count, "Random batches")
                           ->check(CLI::NonNegativeNumber)
                           ->capture_default_str();
  CLI::Option* seed = command->add_option("--seed", options->seed, "Of the first random batch")
                          ->check(positive())
                          ->capture_default_str();
  const std::vector<CLI::Option*> emulators = add_emulator_options(*command, options->emulator, EmulatorRuns::kSeveral);
  command->add_flag("--json", options->as_json, "Print one JSON object");
  command->add_flag("--list", options->list, "Print the names of the named cases and run none");
  command->callback([options, emulators, cases, only, count, seed, &action] {
    require_emulator(emulators, options->backend);
    if (only->count() > 0 && cases->count() == 0) options->cases = "edge";
    for (const CLI::Option* option : {count, seed}) {
      if (option->count() > 0 && options->cases != "random" && options->cases != "all") {
        throw CLI::ValidationError(option->get_name(),
                                   "is for random batches, and cases = " + options->cases + " has none");
      }
    }
    action = [options] { return check(*options); };
  });
}

}  // namespace varlen::cli
