// Running the built program as a user does: another process, its exit status, stdout and stderr.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace varlen::test {

// Under AddressSanitizer the program cannot be given less memory.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#else
inline constexpr bool kAddressSanitizer = false;
#endif

struct Outcome {
  int status = -1;  ///< exit status; 128 + signal if a signal ended it
  std::string out;
  std::string err;
};

/// A test with a temporary folder of its own.
class Program : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// With `stdout_path`, stdout goes there and is not in the outcome.
  Outcome varlen(const std::vector<std::string>& arguments, const std::string& stdout_path = "") const;
  /// A shell script in the test's folder, with the program as "$varlen" and its arguments as "$1", "$2", ...
  Outcome shell(const std::string& script, const std::vector<std::string>& arguments = {}) const;
  /// Expects exit status 0 and an empty stderr, and parses stdout.
  nlohmann::json varlen_json(const std::vector<std::string>& arguments) const;
  /// Expects exit status 2, nothing on stdout and one line `varlen: …` on stderr that contains `message`.
  void expect_refused(const std::vector<std::string>& arguments, const std::string& message) const;

  /// The same of an outcome, whatever is on stdout.
  static void expect_complaint(const Outcome& outcome, const std::string& message);

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& name, const std::string& bytes) const;
  /// Names in the test's folder, sorted, without what shell() and varlen() put there.
  std::vector<std::string> names() const;

 private:
  Outcome spawn(std::vector<std::string> words, const std::string& stdout_path) const;

  std::string folder_;
};

std::string read_file(const std::string& path);
inline std::string source_path(const std::string& name) { return std::string(VARLEN_SOURCE_DIR) + "/" + name; }
inline std::string example() { return source_path("examples/sentences.safetensors"); }

}  // namespace varlen::test
