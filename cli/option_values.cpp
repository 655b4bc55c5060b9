#include "cli/option_values.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>

#include "cli/text.hpp"

namespace varlen::cli {
namespace {

// The type names that CLI11 gives to options of these types.
constexpr std::string_view kSigned = "INT";
constexpr std::string_view kUnsigned = "UINT";
constexpr std::string_view kReal = "FLOAT";

template <typename Number>
std::optional<Number> parse_whole(std::string_view text) {
  std::string_view digits = text;
  if (!digits.empty() && digits.front() == '-') digits.remove_prefix(1);
  if (digits.size() > 1 && digits.front() == '0') return std::nullopt;
  Number value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_finite_decimal(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789+-.eE") != std::string::npos) return false;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return end == text.c_str() + text.size() && std::isfinite(value);
}

// Empty if the text is in order.
template <typename Number>
std::string complaint_about_whole(const std::string& text) {
  if (parse_whole<Number>(text)) return "";
  const bool leading_zero = text.size() > 1 && text.find_first_not_of("0123456789") == std::string::npos;
  return in_quotes(text) +
         (leading_zero && text.front() == '0' ? " has a leading zero" : " is not a whole number in range");
}

std::string complaint_about_real(const std::string& text) {
  return is_finite_decimal(text) ? "" : in_quotes(text) + " is not a finite decimal number";
}

bool begins_with(std::string_view text, std::string_view beginning) {
  return text.substr(0, beginning.size()) == beginning;
}

}  // namespace

std::optional<std::int64_t> whole_number(std::string_view text) { return parse_whole<std::int64_t>(text); }

void refuse_odd_values(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    const std::string type = option->get_type_name();
    if (begins_with(type, kSigned)) {
      option->check(complaint_about_whole<std::int64_t>);
    } else if (begins_with(type, kUnsigned)) {
      option->check(complaint_about_whole<std::uint64_t>);
    } else if (begins_with(type, kReal)) {
      option->check(complaint_about_real);
    } else if (option->get_type_size() != 0) {  // no flag
      option->check([](const std::string& text) { return std::string(text.empty() ? "the value is empty" : ""); });
    }
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) refuse_odd_values(*command);
}

}  // namespace varlen::cli
