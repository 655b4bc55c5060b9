// The keys of a trace: the one table of their types and meaning.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace varlen::cli {

struct TraceKey {
  const char* name;
  const char* type;
  bool required;
  const char* meaning;
};
const std::vector<TraceKey>& trace_keys();
bool is_trace_key(std::string_view name);

/// The table as lines of text, for help.
std::string trace_key_table();

}  // namespace varlen::cli
