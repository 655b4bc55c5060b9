#include "cli/trace.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/failure.hpp"
#include "cli/trace_keys.hpp"

namespace varlen::cli {
namespace {

using Json = nlohmann::json;

const Json& member(const Json& trace, const char* key) {
  const auto found = trace.find(key);
  if (found == trace.end()) fail("key '{}' is missing", key);
  return *found;
}

std::int64_t integer(const Json& value, const char* key, std::int64_t least, std::int64_t most) {
  if (!value.is_number_integer()) fail("key '{}' has {} where an integer is needed", key, value.dump());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(most)) {
    fail("key '{}' = {} is greater than {}", key, value.dump(), most);
  }
  const auto number = value.get<std::int64_t>();
  if (number < least || number > most) fail("key '{}' = {} is not from {} to {}", key, number, least, most);
  return number;
}

std::int32_t count(const Json& trace, const char* key) {
  return static_cast<std::int32_t>(integer(member(trace, key), key, 1, std::numeric_limits<std::int32_t>::max()));
}

std::vector<std::int64_t> lengths(const Json& trace, const char* key) {
  const Json& values = member(trace, key);
  if (!values.is_array()) fail("key '{}' is not an array of lengths", key);
  std::vector<std::int64_t> result;
  result.reserve(values.size());
  for (const Json& value : values) {
    result.push_back(integer(value, key, 0, std::numeric_limits<std::int64_t>::max()));
  }
  return result;
}

std::optional<std::pair<std::int64_t, std::int64_t>> window(const Json& trace) {
  const auto found = trace.find("window");
  if (found == trace.end()) return std::nullopt;
  if (!found->is_array() || found->size() != 2) fail("key 'window' is not a pair [left, right]");
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  return std::pair(integer((*found)[0], "window", Mask::kUnlimited, kMost),
                   integer((*found)[1], "window", Mask::kUnlimited, kMost));
}

}  // namespace

Workload parse_trace(std::string_view json) {
  Json trace;
  try {
    trace = Json::parse(json.begin(), json.end());
  } catch (const Json::exception& error) {
    fail("not JSON: {}", error.what());
  }
  if (!trace.is_object()) fail("not a JSON object");
  for (const auto& [key, value] : trace.items()) {
    if (!is_trace_key(key)) fail("key '{}' is unknown", key);
  }

  Workload workload;
  const Json& name = member(trace, "name");
  if (!name.is_string()) fail("key 'name' is not a string");
  workload.name = name.get<std::string>();
  workload.query_lengths = lengths(trace, "query_lengths");
  workload.key_lengths = lengths(trace, "kv_lengths");
  if (workload.query_lengths.size() != workload.key_lengths.size()) {
    fail("query_lengths has {} requests and kv_lengths {}", workload.query_lengths.size(), workload.key_lengths.size());
  }
  workload.query_heads = count(trace, "query_heads");
  workload.kv_heads = count(trace, "kv_heads");
  workload.head_dim_qk = count(trace, "head_dim_qk");
  workload.head_dim_vo = count(trace, "head_dim_vo");
  const Json& causal = member(trace, "causal");
  if (!causal.is_boolean()) fail("key 'causal' is not true or false");
  workload.mask = make_mask(causal.get<bool>(), window(trace));
  if (const auto cap = trace.find("soft_cap"); cap != trace.end()) {
    if (!cap->is_number()) fail("key 'soft_cap' is not a number");
    workload.soft_cap = cap->get<float>();
  }
  if (trace.contains("page_size")) {
    workload.page_size = integer(trace["page_size"], "page_size", 0, std::numeric_limits<std::int32_t>::max());
  }
  return workload;
}

Workload read_trace(const std::string& path) {
  std::error_code status;
  if (!std::filesystem::is_regular_file(path, status)) fail_file("{}: no such file", path);
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) fail_file("{}: cannot be read", path);
  try {
    return parse_trace(text);
  } catch (const Error& error) {
    fail_file("{}: {}", path, error.what());
  }
}

std::vector<std::string> trace_paths(const std::string& file_or_folder) {
  std::error_code status;
  if (!std::filesystem::is_directory(file_or_folder, status)) return {file_or_folder};
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(file_or_folder)) {
    if (entry.path().extension() == ".json") paths.push_back(entry.path().string());
  }
  if (paths.empty()) fail_file("{}: no .json file in this folder", file_or_folder);
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace varlen::cli
