// varlen bench.

#include "cli/process.hpp"

namespace varlen::test {
namespace {

class Bench : public Program {
 protected:
  std::string trace(const std::string& name, int length, int page_size) const {
    return write(name + ".json", nlohmann::json{{"name", name},
                                                {"query_lengths", {length, 0, 1}},
                                                {"kv_lengths", {length, 5, 40}},
                                                {"query_heads", 4},
                                                {"kv_heads", 2},
                                                {"head_dim_qk", 64},
                                                {"head_dim_vo", 64},
                                                {"causal", true},
                                                {"page_size", page_size}}
                                     .dump());
  }
};

TEST_F(Bench, JsonOfAFolder) {
  trace("a_ragged", 100, 0);
  trace("b_paged", 100, 16);
  trace("c_large", 100000, 0);
  const auto json = varlen_json(
      {"bench", "--trace", path(""), "--dtype", "fp32,bf16,fp8_e4m3", "--repeat", "2", "--max-gflop", "1", "--json"});
  EXPECT_GT(json["peak_flop_per_s"], 1e9);
  EXPECT_GT(json["copy_bytes_per_s"], 1e8);
  ASSERT_EQ(json["traces"].size(), 9U);
  EXPECT_EQ(json["traces"][0]["name"], "a_ragged");
  EXPECT_EQ(json["traces"][5]["dtype"], "fp8_e4m3");
  for (std::size_t i = 0; i < 6; ++i) {
    const auto& row = json["traces"][i];
    for (const char* key : {"run_ms", "plan_run_ms", "flop_per_s", "bytes_per_s", "floor_ms", "floor_fraction",
                            "simulated_makespan_over_mean", "measured_makespan_over_mean"}) {
      EXPECT_GT(row[key], 0) << key;
    }
    EXPECT_EQ(row["requests"], 3);
    EXPECT_EQ(row["kernel"], json["simd_target"]);
    EXPECT_FALSE(row.contains("skipped"));
  }
  for (std::size_t i = 6; i < 9; ++i) {
    EXPECT_NE(json["traces"][i]["skipped"].get<std::string>().find("--max-gflop"), std::string::npos);
    EXPECT_FALSE(json["traces"][i].contains("run_ms"));
  }
}

TEST_F(Bench, TableOfOneTraceScaled) {
  const std::string large = trace("large", 100000, 0);
  const Outcome outcome =
      varlen({"bench", "--trace", large, "--repeat", "1", "--max-gflop", "1", "--scale-lengths", "0.001"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_NE(outcome.out.find("large"), std::string::npos);
  EXPECT_EQ(outcome.out.find("skipped"), std::string::npos) << outcome.out;
}

TEST_F(Bench, BadInput) {
  expect_refused({"bench", "--trace", path("absent.json")}, "no such file");
  expect_refused({"bench", "--trace", path("")}, "no .json file");
  expect_refused({"bench", "--trace", trace("t", 8, 0), "--dtype", "fp64"}, "fp64");
  expect_refused({"bench", "--trace", trace("t", 8, 0), "--scale-lengths", "-1"}, "--scale-lengths");
  expect_refused({"bench", "--trace", trace("t", 8, 0), "--backend", "reference"}, "reference");
  expect_refused({"bench", "--trace", trace("t", 8, 0), "--backend", "cuda", "--arch", "newest,sm_70"}, "sm_70");
}

}  // namespace
}  // namespace varlen::test
