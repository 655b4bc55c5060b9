#include "cli/trace.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <limits>
#include <optional>

#include "cli/failure.hpp"
#include "cli/input_file.hpp"
#include "cli/json_value.hpp"
#include "cli/paths.hpp"
#include "cli/trace_keys.hpp"

namespace varlen::cli {
namespace {

constexpr std::uint64_t kMaxTraceBytes = std::uint64_t{1} << 28;  // some ten million requests
constexpr std::size_t kMaxNameBytes = 200;

const JsonValue& member(const JsonObject& trace, const char* key) {
  const JsonValue* found = trace.find(key);
  if (found == nullptr) fail("key '{}' is missing", key);
  return *found;
}

std::int64_t integer(const JsonValue& value, const std::string& key, std::int64_t least, std::int64_t most) {
  const auto number = value.integer();
  if (!number) fail("key {} has {} where an integer from {} to {} is needed", key, value.description(), least, most);
  if (*number < least || *number > most) fail("key {} = {} is not from {} to {}", key, *number, least, most);
  return *number;
}

std::int32_t count(const JsonObject& trace, const char* key) {
  return static_cast<std::int32_t>(
      integer(member(trace, key), fmt::format("'{}'", key), 1, std::numeric_limits<std::int32_t>::max()));
}

std::vector<std::int64_t> lengths(const JsonObject& trace, const char* key) {
  const JsonArray* values = member(trace, key).array();
  if (values == nullptr) fail("key '{}' has {}, not an array of lengths", key, member(trace, key).description());
  std::vector<std::int64_t> result;
  result.reserve(values->size());
  for (const JsonValue& value : *values) {
    const auto number = value.integer();
    if (!number || *number < 0) {
      fail("key '{}' has {} at index {} where a length is needed", key, value.description(), result.size());
    }
    result.push_back(*number);
  }
  return result;
}

std::optional<std::pair<std::int64_t, std::int64_t>> window(const JsonObject& trace) {
  const JsonValue* found = trace.find("window");
  if (found == nullptr) return std::nullopt;
  const JsonArray* sides = found->array();
  if (sides == nullptr || sides->size() != 2) {
    fail("key 'window' has {}, not a pair [left, right]",
         sides == nullptr ? found->description() : fmt::format("{} elements", sides->size()));
  }
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  return std::pair(integer((*sides)[0], "'window'[0]", Mask::kUnlimited, kMost),
                   integer((*sides)[1], "'window'[1]", Mask::kUnlimited, kMost));
}

float soft_cap(const JsonValue& value) {
  const auto number = value.number();
  if (!number || !(std::abs(*number) <= std::numeric_limits<float>::max())) {
    fail("key 'soft_cap' has {} where a number is needed that fp32 can hold", value.description());
  }
  return static_cast<float>(*number);
}

}  // namespace

Workload parse_trace(std::string_view json) {
  const JsonValue root = parse_json(json);
  if (root.object() == nullptr) fail("it is {}, not a JSON object", root.description());
  const JsonObject& trace = *root.object();
  for (const auto& [key, value] : trace.members) {
    if (!is_trace_key(key)) fail("key {} is unknown", in_quotes(key));
  }

  Workload workload;
  const JsonValue& name = member(trace, "name");
  if (name.string() == nullptr) fail("key 'name' has {}, not a string", name.description());
  workload.name = shortened(printable(*name.string()), kMaxNameBytes);
  workload.query_lengths = lengths(trace, "query_lengths");
  workload.key_lengths = lengths(trace, "kv_lengths");
  if (workload.query_lengths.size() != workload.key_lengths.size()) {
    fail("query_lengths has {} requests and kv_lengths {}", workload.query_lengths.size(), workload.key_lengths.size());
  }
  workload.query_heads = count(trace, "query_heads");
  workload.kv_heads = count(trace, "kv_heads");
  workload.head_dim_qk = count(trace, "head_dim_qk");
  workload.head_dim_vo = count(trace, "head_dim_vo");
  const auto causal = member(trace, "causal").boolean();
  if (!causal) fail("key 'causal' has {}, not true or false", member(trace, "causal").description());
  workload.mask = make_mask(*causal, window(trace));
  if (const JsonValue* cap = trace.find("soft_cap")) workload.soft_cap = soft_cap(*cap);
  if (const JsonValue* page_size = trace.find("page_size")) {
    workload.page_size = integer(*page_size, "'page_size'", 0, std::numeric_limits<std::int32_t>::max());
  }
  return workload;
}

Workload read_trace(const std::string& path) {
  const std::string text = read_text(path, kMaxTraceBytes);
  try {
    return parse_trace(text);
  } catch (const Error& error) {
    fail_file("{}: {}", input_name(path), error.what());
  }
}

std::vector<std::string> trace_paths(const std::string& file_or_folder) {
  std::error_code status;
  if (!std::filesystem::is_directory(file_or_folder, status)) return {file_or_folder};
  std::vector<std::string> paths;
  std::filesystem::directory_iterator entries(file_or_folder, status);
  for (; !status && entries != std::filesystem::directory_iterator(); entries.increment(status)) {
    if (entries->path().extension() == ".json") paths.push_back(entries->path().string());
  }
  if (status) fail_file("{}: cannot be read: {}", file_or_folder, status.message());
  if (paths.empty()) fail_file("{}: no .json file in this folder", file_or_folder);
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace varlen::cli
