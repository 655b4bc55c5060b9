#include "cli/json_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/failure.hpp"

namespace varlen::cli {
namespace {

constexpr std::size_t kMaxDepth = 32;  // no format read here needs more than four levels

// What the parser calls, element by element. Open containers stay where they are: their parents do not grow meanwhile.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(std::string_view text) : text_(text) {}
  JsonValue take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(static_cast<std::int64_t>(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return add(static_cast<std::int64_t>(value));
    }
    return add(std::make_unique<JsonValue::Real>(JsonValue::Real{static_cast<double>(value), fmt::to_string(value)}));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    return add(std::make_unique<JsonValue::Real>(JsonValue::Real{value, text}));
  }
  bool string(string_t& value) override { return add(std::make_unique<std::string>(std::move(value))); }
  bool binary(binary_t& /*value*/) override { return false; }  // not in JSON text

  bool start_object(std::size_t /*size*/) override {
    auto object = std::make_unique<JsonObject>();
    Level level;
    level.object = object.get();
    add(std::move(object));
    return open(std::move(level));
  }
  bool start_array(std::size_t /*size*/) override {
    auto array = std::make_unique<JsonArray>();
    Level level;
    level.array = array.get();
    add(std::move(array));
    return open(std::move(level));
  }
  bool key(string_t& key) override {
    Level& level = levels_.back();
    if (level.object->find(key) != nullptr) {
      level.key.clear();
      const std::string parent = path();
      fail("key {} is there twice{}", in_quotes(key), parent.empty() ? "" : " in " + parent);
    }
    level.key = std::move(key);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    const std::string key = path();
    const std::string under = key.empty() ? "" : fmt::format(" (key {})", key);
    if (position > text_.size()) fail("not JSON: the text ends too early{}", under);
    // `position` counts the bytes read, and the last one of them is at fault or ends what is.
    const std::size_t at = position == 0 ? 0 : position - 1;
    const std::string_view before = text_.substr(0, at);
    const auto lines = std::count(before.begin(), before.end(), '\n');
    const std::size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
    fail("not JSON: line {}, column {}{}: {} is wrong there", lines + 1, at - line_begin + 1, under,
         in_quotes(word(at)));
  }

 private:
  struct Level {
    JsonArray* array = nullptr;
    JsonObject* object = nullptr;
    std::string key;  ///< of the member that is being read
  };

  bool add(JsonValue::Variant variant) {
    JsonValue value(std::move(variant));
    if (levels_.empty()) {
      root_ = std::move(value);
    } else if (levels_.back().array != nullptr) {
      levels_.back().array->push_back(std::move(value));
    } else {
      levels_.back().object->members.emplace(levels_.back().key, std::move(value));
    }
    return true;
  }
  bool open(Level level) {
    if (levels_.size() == kMaxDepth) fail("nested more than {} levels deep", kMaxDepth);
    levels_.push_back(std::move(level));
    return true;
  }
  bool close() {
    levels_.pop_back();
    return true;
  }

  // The keys that lead to the value that is being read: 'q.shape'; empty at the top.
  std::string path() const {
    std::string keys;
    for (const Level& level : levels_) {
      if (!level.key.empty()) keys += (keys.empty() ? "" : ".") + level.key;
    }
    return keys.empty() ? "" : in_quotes(keys);
  }
  // The literal around a byte, such as 064 or nan, or the byte alone.
  std::string_view word(std::size_t at) const {
    const auto belongs = [&](std::size_t i) {
      const auto byte = static_cast<unsigned char>(text_[i]);
      return std::isalnum(byte) != 0 || byte == '.' || byte == '+' || byte == '-' || byte == '_';
    };
    std::size_t begin = std::min(at, text_.size());
    while (begin > 0 && belongs(begin - 1)) --begin;
    std::size_t end = at;
    while (end < text_.size() && belongs(end)) ++end;
    return begin < end ? text_.substr(begin, end - begin) : text_.substr(begin, 1);
  }

  std::string_view text_;
  JsonValue root_;
  std::vector<Level> levels_;
};

template <typename Held>
const Held* pointer(const JsonValue::Variant& value) {
  const auto* held = std::get_if<std::unique_ptr<Held>>(&value);
  return held == nullptr ? nullptr : held->get();
}

}  // namespace

JsonValue::JsonValue() = default;
JsonValue::JsonValue(Variant value) : value_(std::move(value)) {}
JsonValue::JsonValue(JsonValue&&) noexcept = default;
JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;
JsonValue::~JsonValue() = default;

bool JsonValue::is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }

std::optional<bool> JsonValue::boolean() const {
  const bool* value = std::get_if<bool>(&value_);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<std::int64_t> JsonValue::integer() const {
  const std::int64_t* value = std::get_if<std::int64_t>(&value_);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<double> JsonValue::number() const {
  if (const auto whole = integer()) return static_cast<double>(*whole);
  const Real* real = pointer<Real>(value_);
  return real == nullptr ? std::nullopt : std::optional(real->value);
}

const std::string* JsonValue::string() const { return pointer<std::string>(value_); }
const JsonArray* JsonValue::array() const { return pointer<JsonArray>(value_); }
const JsonObject* JsonValue::object() const { return pointer<JsonObject>(value_); }

std::string JsonValue::description() const {
  if (is_null()) return "null";
  if (const auto value = boolean()) return *value ? "true" : "false";
  if (const auto value = integer()) return fmt::to_string(*value);
  if (const Real* real = pointer<Real>(value_)) return shortened(real->text, 40);
  if (const std::string* text = string()) return in_quotes(*text);
  return array() != nullptr ? "an array" : "an object";
}

const JsonValue* JsonObject::find(std::string_view key) const {
  const auto found = members.find(key);
  return found == members.end() ? nullptr : &found->second;
}

JsonValue parse_json(std::string_view text) {
  Builder builder(text);
  nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

}  // namespace varlen::cli
