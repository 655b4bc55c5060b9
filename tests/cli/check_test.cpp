// varlen check.

#include "cli/process.hpp"

namespace varlen::test {
namespace {

class CheckCommand : public Program {};

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of('\n');
  const std::size_t begin = text.rfind('\n', end);
  return text.substr(begin + 1, end - begin);
}

TEST_F(CheckCommand, RandomCasesPassAndTheLastLineCountsThem) {
  const Outcome outcome = varlen({"check", "--cases", "random", "--count", "20", "--seed", "7"});
  EXPECT_EQ(outcome.status, 0) << outcome.out;
  EXPECT_EQ(last_line(outcome.out), "20 passed, 0 failed");
  EXPECT_EQ(outcome.err, "") << "no progress bar without a terminal";
}

TEST_F(CheckCommand, JsonCountsTheSame) {
  const auto json = varlen_json({"check", "--cases", "random", "--count", "5", "--json"});
  EXPECT_EQ(json["passed"], 5);
  EXPECT_EQ(json["failed"], 0);
  EXPECT_EQ(json["seed"], 1);
  EXPECT_TRUE(json["failures"].is_array());
  EXPECT_GT(json["worst_out"], 0);
  EXPECT_LE(json["worst_out"], 1);
}

TEST_F(CheckCommand, OfTheReference) {
  const auto json = varlen_json({"check", "--cases", "random", "--count", "3", "--backend", "reference", "--json"});
  EXPECT_EQ(json["backend"], "reference");
  EXPECT_EQ(json["passed"], 3);
}

}  // namespace
}  // namespace varlen::test
