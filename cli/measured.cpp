#include "cli/measured.hpp"

#include "cli/failure.hpp"
#include "cli/input_file.hpp"
#include "cli/json_value.hpp"
#include "cli/paths.hpp"

namespace varlen::cli {
namespace {

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 28;

double positive(const JsonValue& value, const char* key) {
  const auto number = value.number();
  if (!number || !(*number > 0)) fail("key '{}' has {} where a positive number is needed", key, value.description());
  return *number;
}

Measured parse_measured(const std::string& text) {
  const JsonValue root = parse_json(text);
  const JsonValue* rows = root.object() == nullptr ? nullptr : root.object()->find("rows");
  if (rows == nullptr || rows->array() == nullptr) fail("key 'rows' is missing or no array");
  Measured measured;
  const JsonValue* rates = root.object()->find("rates");
  if (rates != nullptr && !rates->is_null()) {
    const JsonArray* pair = rates->array();
    if (pair == nullptr || pair->size() != 2) fail("key 'rates' is not a pair [FLOP/s, bytes/s]");
    measured.matmul_flops = positive(pair->front(), "rates");
    measured.copy_bytes = positive(pair->back(), "rates");
  }
  if (const JsonValue* clock = root.object()->find("clock_hz")) measured.clock = positive(*clock, "clock_hz");
  for (const JsonValue& row : *rows->array()) {
    const JsonValue* trace = row.object() == nullptr ? nullptr : row.object()->find("trace");
    if (trace == nullptr || trace->string() == nullptr) fail("a row has no key 'trace'");
    const JsonValue* milliseconds = row.object()->find("ms");
    if (milliseconds == nullptr) continue;
    const double seconds = positive(*milliseconds, "ms") * 1e-3;
    if (!measured.seconds.emplace(*trace->string(), seconds).second) {
      fail("trace {} has two rows", in_quotes(*trace->string()));
    }
  }
  return measured;
}

}  // namespace

Measured read_measured(const std::string& path) {
  const std::string text = read_text(path, kMaxBytes);
  try {
    return parse_measured(text);
  } catch (const Error& error) {
    fail_file("{}: {}", input_name(path), error.what());
  }
}

}  // namespace varlen::cli
