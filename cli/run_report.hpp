// What `varlen run` prints.
#pragma once

#include <optional>
#include <string>

#include "cli/measure.hpp"
#include "cli/run_input.hpp"
#include "varlen/attention.hpp"
#include "varlen/check.hpp"

namespace varlen::cli {

struct RunResult {
  Backend backend = Backend::kCpu;
  std::optional<Plan> plan;  ///< none for the reference
  Timing timing;
  std::optional<Comparison> comparison;
};

void print_run_table(const RunInput& input, const RunResult& result, bool all_requests);
void print_run_json(const RunInput& input, const RunResult& result, bool all_requests);

}  // namespace varlen::cli
