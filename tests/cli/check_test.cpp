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

TEST_F(CheckCommand, SchedulesOfTheEmulator) {
  const std::vector<std::string> command = {"check",   "--backend",  "emulator", "--arch", "sm_90a",
                                            "--cases", "random",     "--count",  "2",      "--seed",
                                            "5",       "--schedule", "all",      "--json"};
  const auto json = varlen_json(command);
  EXPECT_EQ(json["passed"], 14) << "two cases under seven policies";
  EXPECT_EQ(json["schedule"], "all");
  EXPECT_EQ(json["schedule_seed"], 1);
  const Outcome outcome = varlen({"check", "--backend", "emulator", "--cases", "random", "--count", "1", "--schedule",
                                  "starve", "--schedules", "3", "--schedule-seed", "9"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(last_line(outcome.out), "3 passed, 0 failed");
}

TEST_F(CheckCommand, SchedulesAreForTheEmulatorOnly) {
  expect_refused({"check", "--schedule", "random"}, "--schedule: needs --backend emulator");
  expect_refused({"check", "--backend", "cpu", "--schedule-seed", "1"}, "--schedule-seed: needs --backend emulator");
  expect_refused({"check", "--backend", "reference", "--schedules", "2"}, "--schedules: needs --backend emulator");
  expect_refused({"check", "--trace-out", path("t.html")}, "--trace-out: needs --backend emulator");
  expect_refused({"check", "--backend", "emulator", "--schedule", "some"}, "--schedule");
  expect_refused({"check", "--backend", "emulator", "--schedules", "0"}, "--schedules");
}

TEST_F(CheckCommand, TraceOfTheOnlyRun) {
  const std::string file = path("trace.html");
  const Outcome one = varlen({"check", "--backend", "emulator", "--arch", "sm_90a", "--cases", "random", "--count", "1",
                              "--seed", "5", "--schedule", "unordered", "--schedule-seed", "4", "--trace-out", file});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(one.err, "");
  const std::string page = read_file(file);
  EXPECT_NE(page.find("forward_wgmma under schedule unordered, seed 4"), std::string::npos);
  EXPECT_NE(page.find("loads boxes"), std::string::npos);
  EXPECT_NE(page.find("products in flight"), std::string::npos);
  EXPECT_NE(page.find("landed after step"), std::string::npos);
  const Outcome several =
      varlen({"check", "--backend", "emulator", "--cases", "random", "--count", "2", "--trace-out", path("none.html")});
  EXPECT_EQ(several.status, 0);
  EXPECT_NE(several.err.find("none.html is not written: nothing failed, and there is more than one run"),
            std::string::npos);
  expect_refused({"check", "--backend", "emulator", "--cases", "random", "--count", "1", "--trace-out",
                  path("no/such/folder.html")},
                 "cannot be written");
}

}  // namespace
}  // namespace varlen::test
