#include "cli/measured.hpp"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/failure.hpp"

namespace varlen::cli {
namespace {

double positive(const nlohmann::json& value, const std::string& path, const char* key) {
  if (!value.is_number() || !(value.get<double>() > 0)) {
    fail_file("{}: key '{}' has {} where a positive number is needed", path, key, value.dump());
  }
  return value.get<double>();
}

}  // namespace

Measured read_measured(const std::string& path) {
  std::error_code status;
  if (!std::filesystem::is_regular_file(path, status)) fail_file("{}: no such file", path);
  std::ifstream file(path, std::ios::binary);
  nlohmann::json json;
  try {
    json = nlohmann::json::parse(file);
  } catch (const nlohmann::json::exception& error) {
    fail_file("{}: not JSON: {}", path, error.what());
  }
  if (!json.is_object() || !json.contains("rows") || !json["rows"].is_array()) {
    fail_file("{}: key 'rows' is missing or no array", path);
  }
  Measured measured;
  if (json.contains("rates") && !json["rates"].is_null()) {
    const nlohmann::json& rates = json["rates"];
    if (!rates.is_array() || rates.size() != 2) fail_file("{}: key 'rates' is not a pair [FLOP/s, bytes/s]", path);
    measured.matmul_flops = positive(rates[0], path, "rates");
    measured.copy_bytes = positive(rates[1], path, "rates");
  }
  if (json.contains("clock_hz")) measured.clock = positive(json["clock_hz"], path, "clock_hz");
  for (const nlohmann::json& row : json["rows"]) {
    if (!row.is_object() || !row.contains("trace") || !row["trace"].is_string()) {
      fail_file("{}: a row has no key 'trace'", path);
    }
    if (row.contains("ms")) measured.seconds[row["trace"]] = positive(row["ms"], path, "ms") * 1e-3;
  }
  return measured;
}

}  // namespace varlen::cli
