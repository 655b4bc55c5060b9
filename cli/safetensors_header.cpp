#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "cli/failure.hpp"
#include "cli/safetensors.hpp"

namespace varlen::cli {
namespace {

using Json = nlohmann::json;

constexpr std::pair<const char*, std::uint64_t> kElementSizes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U16", 2}, {"I16", 2}, {"F16", 2},
    {"BF16", 2}, {"U32", 4}, {"I32", 4}, {"F32", 4},     {"U64", 8},     {"I64", 8}, {"F64", 8},
};

std::uint64_t element_size(const std::string& name, const std::string& dtype) {
  for (const auto& [known, size] : kElementSizes) {
    if (dtype == known) return size;
  }
  fail("tensor '{}': dtype = '{}' is unknown", name, dtype);
}

// JSON keeps the last of two equal keys; a file that says two things about one tensor is refused instead.
Json parse_without_duplicates(std::string_view text) {
  std::vector<std::set<std::string>> keys;
  std::string duplicate;
  const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      duplicate = parsed.get<std::string>();
    }
    return true;
  };
  Json json;
  try {
    json = Json::parse(text.begin(), text.end(), watch);
  } catch (const Json::exception& error) {
    fail("the header is not JSON: {}", error.what());
  }
  if (!duplicate.empty()) fail("the header has '{}' twice", duplicate);
  if (!json.is_object()) fail("the header is not a JSON object");
  return json;
}

const Json& member(const std::string& tensor, const Json& fields, const char* key) {
  const auto found = fields.find(key);
  if (found == fields.end()) fail("tensor '{}' has no {}", tensor, key);
  return *found;
}

TensorEntry parse_entry(const std::string& name, const Json& fields, std::uint64_t data_bytes) {
  if (!fields.is_object()) fail("tensor '{}' is not described by an object", name);
  for (const auto& [key, value] : fields.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") fail("tensor '{}': unknown key '{}'", name, key);
  }
  TensorEntry entry;
  entry.name = name;

  const Json& dtype = member(name, fields, "dtype");
  if (!dtype.is_string()) fail("tensor '{}': dtype is not a string", name);
  entry.dtype = dtype.get<std::string>();
  std::uint64_t bytes = element_size(name, entry.dtype);

  const Json& shape = member(name, fields, "shape");
  if (!shape.is_array()) fail("tensor '{}': shape is not an array", name);
  bool empty = false;
  for (const Json& extent : shape) {
    if (!extent.is_number_unsigned()) fail("tensor '{}': shape has {}, not a count", name, extent.dump());
    const auto value = extent.get<std::uint64_t>();
    constexpr auto kMaxBytes = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (value > kMaxBytes || (value != 0 && bytes > kMaxBytes / value)) {
      fail("tensor '{}': its shape overflows 64 bits", name);
    }
    empty = empty || value == 0;
    bytes *= std::max<std::uint64_t>(value, 1);
    entry.shape.push_back(static_cast<std::int64_t>(value));
  }
  if (empty) bytes = 0;

  const Json& offsets = member(name, fields, "data_offsets");
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    fail("tensor '{}': data_offsets is not a pair of counts", name);
  }
  entry.begin = offsets[0].get<std::uint64_t>();
  entry.end = offsets[1].get<std::uint64_t>();
  if (entry.begin > entry.end) fail("tensor '{}': data_offsets = [{}, {}] decrease", name, entry.begin, entry.end);
  if (entry.end > data_bytes) {
    fail("tensor '{}': data_offsets end at {}, but the file has {} bytes of data", name, entry.end, data_bytes);
  }
  if (entry.end - entry.begin != bytes) {
    fail("tensor '{}': data_offsets hold {} bytes, but its shape and dtype need {}", name, entry.end - entry.begin,
         bytes);
  }
  return entry;
}

}  // namespace

std::vector<TensorEntry> parse_safetensors_header(std::string_view header, std::uint64_t data_bytes) {
  const Json json = parse_without_duplicates(header);
  std::vector<TensorEntry> entries;
  for (const auto& [name, fields] : json.items()) {
    if (name != "__metadata__") entries.push_back(parse_entry(name, fields, data_bytes));
  }
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t covered = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin < covered) fail("tensor '{}' overlaps the one before it", entry.name);
    if (entry.begin > covered)
      fail("{} bytes before tensor '{}' belong to no tensor", entry.begin - covered, entry.name);
    covered = entry.end;
  }
  if (covered != data_bytes) fail("the last {} bytes belong to no tensor", data_bytes - covered);
  return entries;
}

}  // namespace varlen::cli
