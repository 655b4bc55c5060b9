#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "check/adapt.hpp"
#include "check/cases.hpp"
#include "check/random_bits.hpp"
#include "check/run_case.hpp"
#include "varlen/check.hpp"

namespace varlen {

CheckCases check_cases_named(const std::string& name) {
  if (name == "edge") return CheckCases::kEdge;
  if (name == "random") return CheckCases::kRandom;
  if (name == "all") return CheckCases::kAll;
  if (name == "long") return CheckCases::kLong;
  throw Error(ErrorCode::kInvalidArgument, "cases", Error::kNoIndex, name,
              fmt::format("cases = {} must be edge, random, all or long", name));
}

std::vector<SchedulePolicy> schedule_policies_named(const std::string& name) {
  if (name != "all") return {schedule_policy_named(name)};
  std::vector<SchedulePolicy> all;
  all.reserve(kSchedulePolicies);
  for (std::int32_t policy = 0; policy < kSchedulePolicies; ++policy)
    all.push_back(static_cast<SchedulePolicy>(policy));
  return all;
}

namespace {

std::vector<check::EdgeCase> named_cases(CheckCases cases) {
  switch (cases) {
    case CheckCases::kRandom:
      return {};
    case CheckCases::kLong:
      return check::long_cases();
    default:
      return check::edge_cases();
  }
}

std::string full_name(const check::EdgeCase& edge, const PlanTarget& target) {
  return edge.test.name + "/" + target.name;
}

/// The named cases with those targets that `only` leaves.
std::vector<check::EdgeCase> chosen_cases(CheckCases cases, Backend backend, const std::string& only) {
  std::vector<check::EdgeCase> edges = named_cases(cases);
  check::adapt_to(backend, edges);
  const auto is_named = [&](const check::EdgeCase& edge) {
    return std::any_of(edge.targets.begin(), edge.targets.end(),
                       [&](const PlanTarget& target) { return full_name(edge, target) == only; });
  };
  const bool whole = std::any_of(edges.begin(), edges.end(), is_named);  // a command to reproduce names one case
  for (check::EdgeCase& edge : edges) {
    std::erase_if(edge.targets, [&](const PlanTarget& target) {
      const std::string name = full_name(edge, target);
      return whole ? name != only : name.find(only) == std::string::npos;
    });
  }
  return edges;
}

std::int64_t schedules_of(const CheckOptions& options) {
  return options.schedules == 0 ? static_cast<std::int64_t>(options.policies.size()) : options.schedules;
}

[[noreturn]] void refuse(const char* field, const std::string& value, const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, field, Error::kNoIndex, value, message);
}

void check_options(const CheckOptions& options) {
  if (options.count < 0) {
    const std::string count = fmt::to_string(options.count);
    refuse("count", count, fmt::format("count = {} must not be negative", count));
  }
  if (options.schedules < 0) {
    const std::string schedules = fmt::to_string(options.schedules);
    refuse("schedules", schedules, fmt::format("schedules = {} must not be negative", schedules));
  }
  if (options.policies.empty()) refuse("policies", "", "policies has no policy: one is needed");
  if (!options.only.empty() && options.cases == CheckCases::kRandom) {
    refuse("only", options.only,
           fmt::format("only = {} chooses among named cases, of which random has none", options.only));
  }
  if (options.backend == Backend::kEmulator) return;
  const char* const backend = backend_name(options.backend);
  const CheckOptions defaults;
  if (options.policies != defaults.policies || options.schedule_seed != defaults.schedule_seed ||
      options.schedules != defaults.schedules) {
    const std::string policy = schedule_policy_name(options.policies.front());
    refuse("policies", policy, fmt::format("schedules are for backend emulator, not {}", backend));
  }
  if (options.timeline) refuse("timeline", "true", fmt::format("a timeline is for backend emulator, not {}", backend));
}

/// Runs cases one after another, each under its schedules, and keeps the score.
class Checker {
 public:
  Checker(const CheckOptions& options, std::int64_t cases) : options_(options) {
    progress_.total = cases * schedules_of(options);
  }

  void run(const check::Case& test, const check::Expectation& expected, bool random) {
    progress_.name = test.name;
    progress_.seed = random ? test.seed : 0;
    for (std::int64_t i = 0; i < schedules_of(options_); ++i) {
      progress_.schedule = {options_.policies[static_cast<std::size_t>(i) % options_.policies.size()],
                            options_.schedule_seed + static_cast<std::uint64_t>(i)};
      report();
      run(test, expected);
      ++progress_.done;
    }
  }

  CheckSummary finish() {
    progress_.name.clear();
    report();
    return std::move(summary_);
  }

 private:
  void run(const check::Case& test, const check::Expectation& expected) {
    check::CaseResult result = run_with(test, expected, nullptr);
    summary_.worst_out = std::max(summary_.worst_out, result.comparison.worst_out);
    summary_.worst_lse = std::max(summary_.worst_lse, result.comparison.worst_lse);
    // The same once more, or every run would be slow.
    if (options_.timeline && summary_.timeline.empty() && (!result.failure.empty() || progress_.total == 1)) {
      run_with(test, expected, &summary_.timeline);
    }
    if (result.failure.empty()) {
      ++summary_.passed;
      return;
    }
    ++summary_.failed;
    summary_.failures.push_back({test.name, std::move(result.failure), progress_.seed != 0, progress_.seed,
                                 progress_.schedule, std::move(result.events)});
  }

  check::CaseResult run_with(const check::Case& test, const check::Expectation& expected, std::string* timeline) const {
    const check::Compute compute =
        check::compute_with(options_.backend, options_.kernel, {progress_.schedule, timeline});
    return check::run_case(test, expected, compute, check::rounds_weights(options_.backend));
  }

  void report() {
    progress_.failed = summary_.failed;
    if (options_.progress) options_.progress(progress_);
  }

  const CheckOptions& options_;
  CheckProgress progress_;
  CheckSummary summary_;
};

}  // namespace

std::vector<std::string> check_case_names(CheckCases cases, Backend backend, const std::string& only) {
  std::vector<std::string> names;
  for (const check::EdgeCase& edge : chosen_cases(cases, backend, only)) {
    for (const PlanTarget& target : edge.targets) names.push_back(full_name(edge, target));
  }
  return names;
}

CheckSummary run_checks(const CheckOptions& options) {
  check_options(options);
  const std::vector<check::EdgeCase> edges = chosen_cases(options.cases, options.backend, options.only);
  const bool any_random = options.cases == CheckCases::kRandom || options.cases == CheckCases::kAll;
  const std::int64_t random_cases = any_random ? options.count : 0;
  std::int64_t total = random_cases;
  for (const check::EdgeCase& edge : edges) total += static_cast<std::int64_t>(edge.targets.size());
  if (!options.only.empty() && total == random_cases) {
    refuse("only", options.only, fmt::format("only = {} is in no name of a case", options.only));
  }

  Checker checker(options, total);
  for (const check::EdgeCase& edge : edges) {
    if (edge.targets.empty()) continue;
    const check::Expectation expected = check::expect(check::adapted(edge.test, options.backend));
    for (const PlanTarget& target : edge.targets) {
      check::Case test = check::adapted(edge.test, options.backend);
      test.name = full_name(edge, target);
      test.target = target;
      checker.run(test, expected, false);
    }
  }
  std::uint64_t seed = options.seed;  // of the first case as it is, so that it can be run alone
  for (std::int64_t i = 0; i < random_cases; ++i) {
    const check::Case test = check::random_case_for(options.backend, seed);
    checker.run(test, check::expect(test), true);
    seed = check::RandomBits(seed).next();
  }
  return checker.finish();
}

}  // namespace varlen
