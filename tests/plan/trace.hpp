// The traces of bench/traces as batches.
#pragma once

#include <string>
#include <vector>

#include "plan_case.hpp"

namespace varlen::plan_test {

struct Trace {
  std::string name;
  BatchCase batch;
};

/// All of them, by name. Throws if there are none or one cannot be read.
std::vector<Trace> load_traces();

}  // namespace varlen::plan_test
