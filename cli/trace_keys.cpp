#include "cli/trace_keys.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace varlen::cli {

const std::vector<TraceKey>& trace_keys() {
  static const std::vector<TraceKey> kKeys = {
      {"name", "string", true, "what reports call it"},
      {"query_lengths", "[integer, ...]", true, "query tokens of each request; 0 is allowed"},
      {"kv_lengths", "[integer, ...]", true, "key tokens of each request, as many as query_lengths"},
      {"query_heads", "integer", true, "a multiple of kv_heads"},
      {"kv_heads", "integer", true, "heads of keys and values"},
      {"head_dim_qk", "integer", true, "head dim of queries and keys, a multiple of 8"},
      {"head_dim_vo", "integer", true, "head dim of values and outputs, a multiple of 8"},
      {"causal", "true or false", true, "hide keys after a row's own position"},
      {"window", "[left, right]", false, "keys seen before and after a row's own position; -1: all"},
      {"soft_cap", "number", false, "scores become c tanh(score / c); 0: none"},
      {"page_size", "integer", false, "tokens in a page of the keys; 0: not paged"}};
  return kKeys;
}

bool is_trace_key(std::string_view name) {
  const std::vector<TraceKey>& keys = trace_keys();
  return std::any_of(keys.begin(), keys.end(), [&](const TraceKey& key) { return key.name == name; });
}

std::string trace_key_table() {
  std::string table;
  for (const TraceKey& key : trace_keys()) {
    table += fmt::format("  {:<15}{}{}: {}\n", key.name, key.type, key.required ? "" : ", optional", key.meaning);
  }
  return table;
}

}  // namespace varlen::cli
