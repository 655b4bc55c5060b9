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
  for (const char* barrier : {">query_full[0]<", ">key_full[0]<", ">value_empty[0]<", ">work_wanted<"}) {
    EXPECT_NE(page.find(barrier), std::string::npos) << barrier;
  }
  EXPECT_EQ(page.find("barrier at"), std::string::npos) << "every barrier has a name";
  expect_refused({"check", "--backend", "emulator", "--cases", "random", "--count", "1", "--trace-out",
                  path("no/such/folder.html")},
                 "cannot be written");
}

TEST_F(CheckCommand, EveryBarrierOfEveryKernelHasAName) {
  struct Kernel {
    const char* arch;
    const char* only;
    const char* barrier;
  };
  for (const Kernel& kernel : {Kernel{"sm_90a", "fp8_e4m3_scales/h100", ">key_landed[0]<"},
                               Kernel{"sm_100a", "tile_edges_causal/b200", ">score_full[0]<"},
                               Kernel{"sm_100a", "fp8_e4m3_scales/b200", ">wide_full[0]<"}}) {
    const Outcome outcome = varlen({"check", "--backend", "emulator", "--arch", kernel.arch, "--only", kernel.only,
                                    "--trace-out", path("trace.html")});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const std::string page = read_file(path("trace.html"));
    EXPECT_NE(page.find(kernel.barrier), std::string::npos) << kernel.only;
    EXPECT_EQ(page.find("barrier at"), std::string::npos) << kernel.only;
  }
}

TEST_F(CheckCommand, APageShowsOneRun) {
  expect_refused(
      {"check", "--backend", "emulator", "--cases", "random", "--count", "2", "--trace-out", path("none.html")},
      "--trace-out: shows one run, and 2 are chosen");
  expect_refused({"check", "--backend", "emulator", "--only", "zero_requests/h100", "--schedule", "all", "--trace-out",
                  path("none.html")},
                 "7 are chosen");
  const Outcome empty =
      varlen({"check", "--backend", "emulator", "--only", "zero_requests/h100", "--trace-out", path("none.html")});
  EXPECT_EQ(empty.status, 0);
  EXPECT_NE(empty.err.find("none.html is not written: the case has nothing to compute"), std::string::npos);
}

TEST_F(CheckCommand, AMissingDeviceIsOneLine) {
  const auto info = varlen_json({"info", "--json"});
  if (!info["devices"].empty()) GTEST_SKIP() << "there is a device";
  const std::string reason = "--backend cuda: " + info["no_device_reason"].get<std::string>();
  expect_refused({"check", "--backend", "cuda"}, reason);
  expect_refused({"check", "--backend", "cuda", "--cases", "long", "--json"}, reason);
  expect_refused({"bench", "--trace", source_path("bench/traces"), "--backend", "cuda"}, reason);
}

TEST_F(CheckCommand, OnlyNamesThatThereAre) {
  expect_refused({"check", "--only", "tile_egdes"}, "nearest are tile_edges");
  expect_refused({"check", "--only", "zero_requests/h1000"}, "zero_requests");
  expect_refused({"check", "--cases", "random", "--only", "tile_edges"}, "random batches have no names");
  // Without --cases only named cases run.
  const auto json = varlen_json({"check", "--only", "zero_requests/", "--json"});
  EXPECT_EQ(json["passed"], 10) << "five targets of two cases whose names contain it";
}

TEST_F(CheckCommand, ListsTheNames) {
  const Outcome all = varlen({"check", "--list"});
  EXPECT_EQ(all.status, 0);
  EXPECT_EQ(all.out.rfind("zero_requests/cpu\n", 0), 0U) << all.out.substr(0, 200);
  EXPECT_EQ(varlen({"check", "--list", "--only", "zero_requests/h"}).out,
            "zero_requests/h100\npaged_zero_requests/h100\n");
  EXPECT_EQ(varlen({"check", "--list", "--only", "zero_requests/h100"}).out, "zero_requests/h100\n") << "a whole name";
  EXPECT_NE(varlen({"check", "--list", "--cases", "long"}).out.find("whole/"), std::string::npos);
}

TEST_F(CheckCommand, OptionsWithoutMeaningAreRefused) {
  expect_refused({"check", "--arch", "sm_80"}, "--arch: needs --backend cuda or emulator");
  expect_refused({"check", "--backend", "cpu", "--arch", "sm_90a"}, "--arch: needs --backend cuda or emulator");
  expect_refused({"check", "--cases", "edge", "--count", "5"}, "--count");
  expect_refused({"check", "--only", "zero_requests", "--seed", "5"}, "--seed");
  expect_refused({"bench", "--trace", source_path("bench/traces"), "--arch", "sm_80"}, "--arch: needs --backend cuda");
}

}  // namespace
}  // namespace varlen::test
