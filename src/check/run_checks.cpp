#include <fmt/format.h>

#include <algorithm>
#include <utility>

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
  throw Error(ErrorCode::kInvalidArgument, "cases", Error::kNoIndex, name,
              fmt::format("cases = {} must be edge, random or all", name));
}

namespace {

std::string full_name(const check::EdgeCase& edge, const PlanTarget& target) {
  return edge.test.name + "/" + target.name;
}

/// Runs cases one after another and keeps the score.
class Checker {
 public:
  Checker(const CheckOptions& options, std::int64_t total)
      : options_(options), compute_(check::compute_with(options.backend, options.architecture)) {
    progress_.total = total;
  }

  void run(const check::Case& test, const check::Expectation& expected, bool random) {
    progress_.name = test.name;
    progress_.seed = random ? test.seed : 0;
    report();
    check::CaseResult result = check::run_case(test, expected, compute_, check::rounds_weights(options_.backend));
    summary_.worst_out = std::max(summary_.worst_out, result.comparison.worst_out);
    summary_.worst_lse = std::max(summary_.worst_lse, result.comparison.worst_lse);
    if (result.failure.empty()) {
      ++summary_.passed;
    } else {
      ++summary_.failed;
      summary_.failures.push_back({test.name, std::move(result.failure), random, progress_.seed});
    }
    ++progress_.done;
  }

  CheckSummary finish() {
    progress_.name.clear();
    report();
    return std::move(summary_);
  }

 private:
  void report() {
    progress_.failed = summary_.failed;
    if (options_.progress) options_.progress(progress_);
  }

  const CheckOptions& options_;
  const check::Compute compute_;
  CheckProgress progress_;
  CheckSummary summary_;
};

}  // namespace

CheckSummary run_checks(const CheckOptions& options) {
  if (options.count < 0) {
    throw Error(ErrorCode::kInvalidArgument, "count", Error::kNoIndex, fmt::to_string(options.count),
                fmt::format("count = {} must not be negative", options.count));
  }
  std::vector<check::EdgeCase> edges;
  if (options.cases != CheckCases::kRandom) edges = check::edge_cases();
  check::adapt_to(options.backend, edges);
  const std::int64_t random_cases = options.cases == CheckCases::kEdge ? 0 : options.count;
  std::int64_t total = random_cases;
  for (check::EdgeCase& edge : edges) {
    std::erase_if(edge.targets, [&](const PlanTarget& target) {
      return full_name(edge, target).find(options.only) == std::string::npos;
    });
    total += static_cast<std::int64_t>(edge.targets.size());
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
