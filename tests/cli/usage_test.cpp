// Help, version, and options that make no sense.

#include <unistd.h>

#include "cli/process.hpp"

namespace varlen::test {
namespace {

class Usage : public Program {};

TEST_F(Usage, HelpOfEverySubcommandNamesItsOptions) {
  const std::pair<std::string, std::vector<std::string>> cases[] = {
      {"run", {"--output", "--causal", "--window", "--soft-cap", "--scale", "--backend", "--check", "--json"}},
      {"plan", {"--trace", "--lengths", "--kv-lengths", "--query-heads", "--target", "--workers", "--svg", "--html"}},
      {"check", {"--backend", "--cases", "--count", "--seed", "--json"}},
      {"bench", {"--trace", "--repeat", "--dtype", "--max-gflop", "--scale-lengths", "--json"}},
      {"model",
       {"--trace", "--target", "--measured", "--clock-ghz", "--matmul-tflops", "--copy-tbps", "--launch-us", "--json"}},
      {"info", {"--json"}}};
  for (const auto& [name, options] : cases) {
    const Outcome outcome = varlen({name, "--help"});
    EXPECT_EQ(outcome.status, 0) << name;
    EXPECT_EQ(outcome.err, "") << name;
    for (const std::string& option : options) {
      EXPECT_NE(outcome.out.find(option), std::string::npos) << name << " " << option;
    }
    EXPECT_NE(varlen({"--help"}).out.find(name), std::string::npos);
  }
}

TEST_F(Usage, Version) {
  const Outcome outcome = varlen({"--version"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out.rfind("varlen ", 0), 0U);
}

TEST_F(Usage, InfoTellsBuildAndBackends) {
  const auto json = varlen_json({"info", "--json"});
  EXPECT_GE(json["threads"].get<int>(), 1);
  EXPECT_FALSE(json["threads_source"].get<std::string>().empty());
  EXPECT_FALSE(json["simd_target"].get<std::string>().empty());
  EXPECT_EQ(json["version"].get<std::string>(), varlen({"--version"}).out.substr(7, json["version"].size() + 4));
  std::vector<std::string> backends;
  for (const auto& row : json["backends"]) backends.push_back(row["backend"]);
  EXPECT_EQ(backends, (std::vector<std::string>{"cpu", "reference", "cuda", "emulator"}));
  for (const auto& row : json["backends"]) {
    const bool needs_device = row["backend"] == "cuda";
    EXPECT_EQ(row["available"], !needs_device || !json["devices"].empty()) << row;
    EXPECT_EQ(row["available"].get<bool>(), row["not_here"].get<std::string>().empty()) << row;
    const bool has_kernels = row["backend"] == "emulator" || (needs_device && row["available"]);
    EXPECT_EQ(row["kernels"].empty(), !has_kernels) << row;
    EXPECT_EQ(row["kernel"].get<std::string>().empty(), !row["available"].get<bool>()) << row;
    EXPECT_FALSE(row["kernel_reason"].get<std::string>().empty()) << row;
  }
  EXPECT_EQ(json["backends"][0]["kernel"], json["simd_target"]);
  EXPECT_EQ(json["backends"][3]["kernel"], "forward_wgmma");
  const auto& emulated = json["backends"][3]["kernels"];
  ASSERT_EQ(emulated.size(), 3U);
  EXPECT_EQ(emulated[1]["name"], "forward_wgmma");
  EXPECT_EQ(emulated[1]["head_dims"], "256 / 256, fp8 192 / 128");
  // Either there are devices or there is a reason why not.
  EXPECT_EQ(json["devices"].empty(), !json.value("no_device_reason", "").empty());
  EXPECT_NE(varlen({"info"}).out.find(json["simd_target"].get<std::string>()), std::string::npos);
}

TEST_F(Usage, InfoTellsWhereThreadsComeFrom) {
  const char* const given = std::getenv("OMP_NUM_THREADS");
  const std::string before = given == nullptr ? "" : given;
  const auto info_with = [this](const char* setting) {
    setenv("OMP_NUM_THREADS", setting, 1);
    return varlen_json({"info", "--json"});
  };
  for (const char* setting : {"3", " 3 ", "3,2,1"}) {
    EXPECT_EQ(info_with(setting)["threads"], 3) << setting;
    EXPECT_EQ(info_with(setting)["threads_source"], "OMP_NUM_THREADS");
  }
  for (const char* setting : {"", "0", "-2", "3x", "99999999999"}) {
    const auto json = info_with(setting);
    EXPECT_GE(json["threads"].get<int>(), 1);
    EXPECT_NE(json["threads_source"].get<std::string>().find(std::string("OMP_NUM_THREADS = ") + setting),
              std::string::npos);
  }
  given == nullptr ? unsetenv("OMP_NUM_THREADS") : setenv("OMP_NUM_THREADS", before.c_str(), 1);
}

TEST_F(Usage, BadOptionsAreOneLine) {
  expect_refused({}, "a command is needed");
  expect_refused({"fly"}, "fly");
  expect_refused({"run"}, "INPUT.safetensors");
  expect_refused({"run", example(), "--no-such-option"}, "--no-such-option");
  expect_refused({"run", example(), "--repeat", "0"}, "--repeat");
  expect_refused({"run", example(), "--repeat", "many"}, "--repeat");
  for (const char* threads : {"-1", "0", "100000", "65537", "1.5", "many"}) {
    const std::string message = std::string(threads) + " is not a number from 1 to 65536";
    expect_refused({"run", example(), "--threads", threads}, "--threads: " + message);
    expect_refused({"bench", "--trace", source_path("bench/traces"), "--threads", threads}, "--threads: " + message);
    expect_refused({"plan", "--lengths", "5", "--workers", threads}, "--workers: " + message);
  }
  expect_refused({"run", example(), "--repeat", "0"}, "--repeat: 0 is not a number above 0");
  expect_refused({"run", example(), "--backend", "reference", "--threads", "2"}, "--threads");
  expect_refused({"run", example(), "--output-dtype", "bfloat16"}, "'bfloat16' is not one of fp32, fp16, bf16");
  expect_refused({"run", example(), "--output-dtype", "fp8_e4m3"}, "--output-dtype");
  expect_refused({"run", example(), "--window", "1"}, "two sides");
  expect_refused({"run", example(), "--window", "1,x"}, "'x'");
  expect_refused({"run", example(), "--window", "-2,0"}, "window");
  expect_refused({"run", example(), "--causal", "--window", "4,4"}, "causal");
  expect_refused({"run", example(), "--scale", "0"}, "--scale: scale = 0");
  expect_refused({"run", example(), "--scale", "nan"}, "scale");
  expect_refused({"run", example(), "--soft-cap", "-1"}, "soft_cap");
  expect_refused({"check", "--cases", "some"}, "some");
  expect_refused({"check", "--count", "-1"}, "--count");
  expect_refused({"bench"}, "--trace");
  expect_refused({"run", ""}, "INPUT.safetensors: the value is empty");
  for (const char* option : {"--svg", "--html"}) {
    expect_refused({"plan", "--trace", "t.json", option, ""}, "the value is empty");
  }
  expect_refused({"run", example(), "--output", ""}, "--output: the value is empty");
  expect_refused({"info", "extra"}, "extra");
}

TEST_F(Usage, FullDiskIsNoSuccess) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  const std::vector<std::string> plan = {"plan", "--trace", source_path("bench/traces/issue1103_full.json")};
  for (const char* format : {"--svg", "--html"}) {
    std::vector<std::string> arguments = plan;
    arguments.insert(arguments.end(), {format, "/dev/full"});
    expect_refused(arguments, "/dev/full: cannot be written");
  }
  for (const std::vector<std::string>& arguments : {plan, {"info"}, {"run", example(), "--all-requests"}}) {
    const Outcome outcome = varlen(arguments, "/dev/full");
    EXPECT_EQ(outcome.status, 2) << arguments[0];
    EXPECT_EQ(outcome.err.rfind("varlen: ", 0), 0U) << outcome.err;
  }
}

}  // namespace
}  // namespace varlen::test
