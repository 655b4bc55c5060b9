// Running the built program as a user does: another process, its exit status, stdout and stderr.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace varlen::test {

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
  /// Expects exit status 0 and an empty stderr, and parses stdout.
  nlohmann::json varlen_json(const std::vector<std::string>& arguments) const;
  /// Expects exit status 2, nothing on stdout and one line `varlen: …` on stderr that contains `message`.
  void expect_refused(const std::vector<std::string>& arguments, const std::string& message) const;

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::string write(const std::string& name, const std::string& bytes) const;

 private:
  std::string folder_;
};

std::string read_file(const std::string& path);
inline std::string source_path(const std::string& name) { return std::string(VARLEN_SOURCE_DIR) + "/" + name; }
inline std::string example() { return source_path("examples/sentences.safetensors"); }

}  // namespace varlen::test
