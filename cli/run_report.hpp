// What `varlen run` prints.
#pragma once

#include "cli/run_compute.hpp"
#include "cli/run_input.hpp"

namespace varlen::cli {

void print_run_table(const RunInput& input, const RunResult& result, bool all_requests);
void print_run_json(const RunInput& input, const RunResult& result, bool all_requests);

}  // namespace varlen::cli
