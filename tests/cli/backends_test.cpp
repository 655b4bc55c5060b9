// Which backend `varlen run` computes on, and what it says of it.

#include <gtest/gtest.h>

#include "cli/file.hpp"
#include "cli/process.hpp"

namespace varlen::test {
namespace {

class Backends : public Program {
 protected:
  // Two requests of 5 and 40 tokens, 4 query heads on 2 KV heads of 16 dims, fp16: what every GPU kernel computes.
  std::string half_file() const { return write("half.safetensors", file("F16", 2).bytes()); }
  std::string fp32_file() const { return write("fp32.safetensors", file("F32", 4).bytes()); }

  static bool has_device(const nlohmann::json& info) { return !info["devices"].empty(); }

 private:
  static FileMaker file(const char* dtype, std::size_t bytes) {
    // Small numbers of both signs: bytes repeated in every element.
    const auto numbers = [&](std::size_t count) {
      std::string data(count * bytes, '\0');
      for (std::size_t i = 0; i < count; ++i) {
        data[i * bytes + bytes - 1] = static_cast<char>((i * 7 % 2 == 0 ? 0x38 : 0xB8) + static_cast<int>(i % 4));
      }
      return data;
    };
    FileMaker maker;
    maker.add("q", dtype, {45, 4, 16}, numbers(45 * 4 * 16))
        .add("k", dtype, {45, 2, 16}, numbers(45 * 2 * 16))
        .add("v", dtype, {45, 2, 16}, numbers(45 * 2 * 16))
        .add("query_indptr", "I32", {3}, std::vector<std::int32_t>{0, 5, 45})
        .add("key_indptr", "I32", {3}, std::vector<std::int32_t>{0, 5, 45});
    return maker;
  }
};

TEST_F(Backends, TheEmulatorComputesWhatTheCpuDoes) {
  const std::string input = half_file();
  ASSERT_EQ(varlen({"run", input, "--causal", "--backend", "cpu", "--output", path("cpu.safetensors")}).status, 0);
  const ReadBack cpu(read_file(path("cpu.safetensors")));
  const std::pair<const char*, const char*> kernels[] = {
      {"sm_80", "forward_mma"}, {"sm_90a", "forward_wgmma"}, {"sm_100a", "forward_tcgen05"}};
  for (const auto& [arch, kernel] : kernels) {
    SCOPED_TRACE(arch);
    const auto json = varlen_json({"run", input, "--causal", "--backend", "emulator", "--arch", arch, "--check",
                                   "--json", "--output", path("out.safetensors")});
    EXPECT_EQ(json["backend"], "emulator");
    EXPECT_EQ(json["kernel"], kernel);
    EXPECT_FALSE(json["kernel_reason"].get<std::string>().empty());
    EXPECT_EQ(json["check"]["passed"], true) << json["check"];
    EXPECT_FALSE(json.contains("simd_target"));
    const std::vector<float> expected = cpu.values<float>("lse");
    const std::vector<float> computed = ReadBack(read_file(path("out.safetensors"))).values<float>("lse");
    ASSERT_EQ(computed.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(computed[i], expected[i], 1e-3) << i;
  }
}

TEST_F(Backends, TheEmulatorsPageAndSchedule) {
  const Outcome outcome = varlen({"run", half_file(), "--backend", "emulator", "--arch", "sm_90a", "--schedule",
                                  "unordered", "--schedule-seed", "3", "--trace-out", path("page.html")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(read_file(path("page.html")).find("forward_wgmma under schedule unordered, seed 3"), std::string::npos);
  expect_refused({"run", half_file(), "--schedule", "random"}, "--schedule: needs --backend emulator");
  expect_refused({"run", half_file(), "--trace-out", path("t.html")}, "--trace-out: needs --backend emulator");
}

TEST_F(Backends, CudaComputesOrSaysWhyNot) {
  const auto info = varlen_json({"info", "--json"});
  const std::vector<std::string> command = {"run", half_file(), "--backend", "cuda", "--check", "--json"};
  if (!has_device(info)) {
    expect_refused(command, "--backend cuda: " + info["no_device_reason"].get<std::string>());
    return;
  }
  const auto json = varlen_json(command);
  EXPECT_EQ(json["backend"], "cuda");
  EXPECT_EQ(json["machine"], info["devices"][0]["name"]);
  EXPECT_EQ(json["kernel"].get<std::string>().rfind("forward_", 0), 0U);
  EXPECT_EQ(json["check"]["passed"], true);
}

TEST_F(Backends, TheDefaultIsTheGpuWhereThereIsOneAndItSaysSo) {
  const bool device = has_device(varlen_json({"info", "--json"}));
  EXPECT_EQ(varlen_json({"run", half_file(), "--json"})["backend"], device ? "cuda" : "cpu");
  const Outcome table = varlen({"run", half_file()});
  EXPECT_NE(table.out.find(device ? "backend    cuda: forward_" : "backend    cpu: "), std::string::npos) << table.out;
  // No GPU kernel computes fp32; where there is a GPU, that is worth a line.
  const auto json = varlen_json({"run", fp32_file(), "--json"});
  EXPECT_EQ(json["backend"], "cpu");
  EXPECT_EQ(json.contains("not_the_gpu"), device);
  EXPECT_EQ(json["kernel"], json["simd_target"]);
}

TEST_F(Backends, OptionsOfAnotherBackendAreRefused) {
  expect_refused({"run", fp32_file(), "--backend", "emulator"}, "fp32");
  expect_refused({"run", half_file(), "--backend", "emulator", "--threads", "2"}, "--threads");
  expect_refused({"run", half_file(), "--backend", "reference", "--arch", "sm_80"}, "--arch");
  expect_refused({"run", half_file(), "--backend", "cpu", "--arch", "sm_80"}, "--arch");
  EXPECT_EQ(varlen_json({"run", half_file(), "--threads", "1", "--json"})["backend"], "cpu");
}

TEST_F(Backends, ComputesOnceUnlessAskedForMore) {
  const auto once = varlen_json({"run", half_file(), "--backend", "cpu", "--json"});
  EXPECT_EQ(once["repeat"], 1);
  EXPECT_EQ(once["run_min_ms"], once["run_ms"]);
  EXPECT_EQ(once["run_deviation_ms"], 0);
  const auto often = varlen_json({"run", half_file(), "--backend", "cpu", "--repeat", "4", "--json"});
  EXPECT_EQ(often["repeat"], 4);
  EXPECT_LE(often["run_min_ms"], often["run_ms"]);
  EXPECT_GT(often["run_deviation_ms"], 0);
  const Outcome table = varlen({"run", half_file(), "--backend", "cpu", "--repeat", "4"});
  for (const char* word : {"median of 4", "minimum", "standard deviation"}) {
    EXPECT_NE(table.out.find(word), std::string::npos) << table.out;
  }
}

}  // namespace
}  // namespace varlen::test
