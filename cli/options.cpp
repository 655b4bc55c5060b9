#include "cli/options.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

#include "cli/failure.hpp"
#include "cli/option_values.hpp"
#include "cli/workload.hpp"

namespace varlen::cli {
namespace {

constexpr std::int64_t kMostWorkers = 65536;  // of a plan

std::int64_t window_side(const std::string& window, const std::string& side) {
  if (side == "inf") return Mask::kUnlimited;
  const auto value = whole_number(side);
  if (!value) fail("--window {}: '{}' is not a number of keys, -1 or inf", window, side);
  return *value;
}

}  // namespace

Mask MaskOptions::mask() const {
  if (window.empty()) return make_mask(causal, std::nullopt);
  const std::vector<std::string> sides = split(window);
  if (sides.size() != 2) fail("--window {}: needs two sides, L,R", window);
  return make_mask(causal, std::pair(window_side(window, sides[0]), window_side(window, sides[1])));
}

CLI::Validator positive() {
  return {[](const std::string& text) {
            double value = 0;
            const char* end = text.data() + text.size();
            const bool is_number = std::from_chars(text.data(), end, value).ptr == end;
            return is_number && value > 0 ? std::string() : text + " is not a number above 0";
          },
          "POSITIVE"};
}

CLI::Validator thread_count() {
  return {[](const std::string& text) {
            const auto value = whole_number(text);
            return value && *value >= 1 && *value <= kMostWorkers
                       ? std::string()
                       : fmt::format("{} is not a number from 1 to {}", text, kMostWorkers);
          },
          "1 to 65536"};
}

void add_arch_option(CLI::App& command, std::string& arch) {
  command.add_option("--arch", arch, "Newest GPU architecture whose kernels run (cuda, emulator)")
      ->check(CLI::IsMember({"newest", "sm_80", "sm_90a", "sm_100a"}))
      ->capture_default_str();
}

void add_mask_options(CLI::App& command, MaskOptions& options) {
  command.add_flag("--causal", options.causal, "Hide keys after a row's own position (aligned at the last key)");
  command.add_option("--window", options.window, "Keys seen before and after a row's own position; -1 or inf: all")
      ->type_name("L,R");
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t comma = text.find(','); comma != std::string::npos; comma = text.find(',', begin)) {
    parts.push_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::int64_t> parse_lengths(const std::string& option, const std::string& text) {
  std::vector<std::int64_t> lengths;
  for (const std::string& part : split(text)) {
    const auto value = whole_number(part);
    if (!value || *value < 0) fail("{}: {} is not a length", option, in_quotes(part));
    lengths.push_back(*value);
  }
  return lengths;
}

Dtype parse_dtype(const std::string& text) {
  for (const Dtype dtype :
       {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3, Dtype::kFloat8E5M2}) {
    if (text == dtype_name(dtype)) return dtype;
  }
  fail("dtype '{}' is not one of fp32, fp16, bf16, fp8_e4m3, fp8_e5m2", text);
}

}  // namespace varlen::cli
