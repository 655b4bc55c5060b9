// A trace: one call's lengths and shape as JSON, as in bench/traces.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/workload.hpp"

namespace varlen::cli {

/// Throws Error naming the key that is missing, unknown, of the wrong type or out of range.
Workload parse_trace(std::string_view json);
Workload read_trace(const std::string& path);
/// The file, or every .json file of the folder in the order of their names.
std::vector<std::string> trace_paths(const std::string& file_or_folder);

}  // namespace varlen::cli
