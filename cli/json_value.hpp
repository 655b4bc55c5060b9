// JSON from files that may be hostile: nesting is bounded, a key stands once, and destruction allocates nothing, so
// that running out of memory is an exception like any other.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace varlen::cli {

class JsonValue;
using JsonArray = std::vector<JsonValue>;
struct JsonObject;

/// A value in 16 bytes: traces hold millions of lengths.
class JsonValue {
 public:
  /// An integer that 64 bits cannot hold is one, too.
  struct Real {
    double value = 0;
    std::string text;  ///< as the file has it
  };
  using Variant = std::variant<std::nullptr_t, bool, std::int64_t, std::unique_ptr<Real>, std::unique_ptr<std::string>,
                               std::unique_ptr<JsonArray>, std::unique_ptr<JsonObject>>;

  JsonValue();
  explicit JsonValue(Variant value);
  JsonValue(JsonValue&&) noexcept;
  JsonValue& operator=(JsonValue&&) noexcept;
  JsonValue(const JsonValue&) = delete;
  JsonValue& operator=(const JsonValue&) = delete;
  ~JsonValue();

  bool is_null() const;
  std::optional<bool> boolean() const;
  std::optional<std::int64_t> integer() const;
  /// Of integers and reals.
  std::optional<double> number() const;
  // Null if the value is something else.
  const std::string* string() const;
  const JsonArray* array() const;
  const JsonObject* object() const;

  /// For a message: the number as the file has it, the quoted string, "an array", "an object".
  std::string description() const;

 private:
  Variant value_;
};

struct JsonObject {
  std::map<std::string, JsonValue, std::less<>> members;

  /// Null if there is no such key.
  const JsonValue* find(std::string_view key) const;
};

/// Throws Error that says what is wrong in which line, column and key.
JsonValue parse_json(std::string_view text);

}  // namespace varlen::cli
