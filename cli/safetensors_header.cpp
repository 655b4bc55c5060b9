#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "cli/failure.hpp"
#include "cli/json_value.hpp"
#include "cli/safetensors.hpp"

namespace varlen::cli {
namespace {

constexpr std::size_t kMaxRank = 64;  // what NumPy allows; no tensor read here has more than four

constexpr std::pair<const char*, std::uint64_t> kElementSizes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U16", 2}, {"I16", 2}, {"F16", 2},
    {"BF16", 2}, {"U32", 4}, {"I32", 4}, {"F32", 4},     {"U64", 8},     {"I64", 8}, {"F64", 8},
};

std::uint64_t element_size(const std::string& name, const std::string& dtype) {
  for (const auto& [known, size] : kElementSizes) {
    if (dtype == known) return size;
  }
  fail("tensor {}: dtype = {} is unknown", in_quotes(name), in_quotes(dtype));
}

const JsonValue& member(const std::string& tensor, const JsonObject& fields, const char* key) {
  const JsonValue* found = fields.find(key);
  if (found == nullptr) fail("tensor {} has no {}", in_quotes(tensor), key);
  return *found;
}

std::vector<std::int64_t> parse_shape(const std::string& tensor, const JsonValue& shape) {
  if (shape.array() == nullptr) fail("tensor {}: shape is {}, not an array", in_quotes(tensor), shape.description());
  if (shape.array()->size() > kMaxRank) {
    fail("tensor {}: shape has {} dimensions, more than {}", in_quotes(tensor), shape.array()->size(), kMaxRank);
  }
  std::vector<std::int64_t> extents;
  for (const JsonValue& extent : *shape.array()) {
    const auto value = extent.integer();
    if (!value || *value < 0) {
      fail("tensor {}: shape[{}] = {} is not a count", in_quotes(tensor), extents.size(), extent.description());
    }
    extents.push_back(*value);
  }
  return extents;
}

// The bytes that the shape and the element type need.
std::uint64_t bytes_of(const TensorEntry& entry) {
  constexpr auto kMaxBytes = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t bytes = element_size(entry.name, entry.dtype);
  bool empty = false;
  for (const std::int64_t extent : entry.shape) {
    const auto value = static_cast<std::uint64_t>(extent);
    if (value != 0 && bytes > kMaxBytes / value) fail("tensor {}: its shape overflows 64 bits", in_quotes(entry.name));
    empty = empty || value == 0;
    bytes *= std::max<std::uint64_t>(value, 1);
  }
  return empty ? 0 : bytes;
}

std::uint64_t parse_offset(const std::string& tensor, const JsonValue& offset, std::size_t index) {
  const auto value = offset.integer();
  if (!value || *value < 0) {
    fail("tensor {}: data_offsets[{}] = {} is not a count of bytes", in_quotes(tensor), index, offset.description());
  }
  return static_cast<std::uint64_t>(*value);
}

TensorEntry parse_entry(const std::string& name, const JsonValue& value) {
  if (value.object() == nullptr) fail("tensor {} is {}, not an object", in_quotes(name), value.description());
  const JsonObject& fields = *value.object();
  for (const auto& [key, field] : fields.members) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      fail("tensor {}: key {} is unknown", in_quotes(name), in_quotes(key));
    }
  }
  TensorEntry entry;
  entry.name = name;
  const JsonValue& dtype = member(name, fields, "dtype");
  if (dtype.string() == nullptr) fail("tensor {}: dtype is {}, not a string", in_quotes(name), dtype.description());
  entry.dtype = *dtype.string();
  entry.shape = parse_shape(name, member(name, fields, "shape"));
  const std::uint64_t bytes = bytes_of(entry);

  const JsonArray* offsets = member(name, fields, "data_offsets").array();
  if (offsets == nullptr || offsets->size() != 2) fail("tensor {}: data_offsets is not a pair", in_quotes(name));
  entry.begin = parse_offset(name, offsets->front(), 0);
  entry.end = parse_offset(name, offsets->back(), 1);
  if (entry.begin > entry.end) {
    fail("tensor {}: data_offsets = [{}, {}] decrease", in_quotes(name), entry.begin, entry.end);
  }
  if (entry.end - entry.begin != bytes) {
    fail("tensor {}: data_offsets hold {} bytes, but its shape and dtype need {}", in_quotes(name),
         entry.end - entry.begin, bytes);
  }
  return entry;
}

JsonValue parse_header(std::string_view text) {
  try {
    JsonValue header = parse_json(text);
    if (header.object() == nullptr) fail("it is {}, not a JSON object", header.description());
    return header;
  } catch (const Error& error) {
    fail("the header: {}", error.what());
  }
}

}  // namespace

std::vector<TensorEntry> parse_safetensors_header(std::string_view header, std::optional<std::uint64_t> data_bytes) {
  const JsonValue json = parse_header(header);
  std::vector<TensorEntry> entries;
  for (const auto& [name, value] : json.object()->members) {
    if (name == "__metadata__") continue;
    entries.push_back(parse_entry(name, value));
    if (data_bytes && entries.back().end > *data_bytes) {
      fail("tensor {}: data_offsets end at {}, but the file has {} bytes of data", in_quotes(name), entries.back().end,
           *data_bytes);
    }
  }
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t covered = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin < covered) fail("tensor {} overlaps the one before it", in_quotes(entry.name));
    if (entry.begin > covered) {
      fail("{} bytes before tensor {} belong to no tensor", entry.begin - covered, in_quotes(entry.name));
    }
    covered = entry.end;
  }
  if (data_bytes && covered != *data_bytes) fail("the last {} bytes belong to no tensor", *data_bytes - covered);
  return entries;
}

}  // namespace varlen::cli
