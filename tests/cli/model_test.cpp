// varlen model.

#include "cli/process.hpp"

namespace varlen::test {
namespace {

class ModelCommand : public Program {
 protected:
  static std::string trace(const std::string& name) { return source_path("bench/traces/" + name + ".json"); }
};

TEST_F(ModelCommand, JsonHasEveryPromisedKey) {
  const auto json = varlen_json({"model", "--trace", trace("issue1103_causal"), "--json"});
  EXPECT_EQ(json["about"], "predicted, not measured");
  EXPECT_EQ(json["target"], "h100");
  EXPECT_EQ(json["multiprocessors"], 132);
  for (const char* key : {"clock_hz", "matmul_flop_per_s", "copy_bytes_per_s", "launch_us"}) {
    EXPECT_GT(json[key].get<double>(), 0) << key;
  }
  ASSERT_EQ(json["traces"].size(), 1U);
  const auto& entry = json["traces"][0];
  EXPECT_EQ(entry["name"], "issue1103_causal");
  EXPECT_EQ(entry["bound"], "tensor cores");
  for (const char* key : {"predicted_ms", "flop", "flop_per_s", "bytes", "items", "workers", "launches", "launch_ms",
                          "start_ms", "items_ms", "merge_ms", "mean_busy_ms", "memory_bound_ms"}) {
    EXPECT_TRUE(entry[key].is_number()) << key;
  }
  for (const char* of : {"tensor cores", "exp", "other arithmetic", "shared memory", "L2", "bandwidth", "latency",
                         "launch", "idle workers"}) {
    EXPECT_TRUE(entry["gains"][of].is_number()) << of;
  }
  EXPECT_FALSE(entry.contains("measured_ms"));
}

TEST_F(ModelCommand, TextSaysThatNothingIsMeasured) {
  for (const char* target : {"h100", "b200"}) {
    const Outcome outcome = varlen({"model", "--target", target, "--trace", trace("decode_128")});
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.err, "");
    EXPECT_NE(outcome.out.find("predicted, not measured"), std::string::npos);
    EXPECT_NE(outcome.out.find("bound by"), std::string::npos);
  }
}

TEST_F(ModelCommand, TakesSeveralTracesAndFolders) {
  const auto json =
      varlen_json({"model", "--trace", trace("decode_128"), "--trace", source_path("bench/traces"), "--json"});
  EXPECT_EQ(json["traces"].size(), 24U);
}

TEST_F(ModelCommand, RatesCanBeGiven) {
  const auto json =
      varlen_json({"model", "--trace", trace("decode_128"), "--clock-ghz", "1.5", "--matmul-tflops", "700",
                   "--copy-tbps", "2.5", "--launch-us", "0", "--multiprocessors", "100", "--json"});
  EXPECT_EQ(json["multiprocessors"], 100);
  EXPECT_EQ(json["traces"][0]["workers"], 100);
  EXPECT_NEAR(json["clock_hz"].get<double>(), 1.5e9, 1);
  EXPECT_NEAR(json["matmul_flop_per_s"].get<double>(), 7e14, 1);
  EXPECT_NEAR(json["copy_bytes_per_s"].get<double>(), 2.5e12, 1);
  EXPECT_EQ(json["traces"][0]["launch_ms"], 0);
}

TEST_F(ModelCommand, HoldsPredictionsAgainstMeasuredTimes) {
  // The model's promise: docs/model.md.
  const std::pair<const char*, double> cases[] = {
      {"h100_sustained", 0.10}, {"h100_gpu_pass", 0.12}, {"h200_steady", 0.10}};
  for (const auto& [name, most] : cases) {
    const auto json = varlen_json({"model", "--trace", source_path("bench/traces"), "--measured",
                                   source_path(std::string("bench/measured/") + name + ".json"), "--json"});
    EXPECT_LE(json["median_error"].get<double>(), most) << name;
    EXPECT_LE(json["worst_error"].get<double>(), 0.20) << name;
    for (const auto& entry : json["traces"]) {
      EXPECT_NEAR(entry["error"].get<double>(),
                  entry["predicted_ms"].get<double>() / entry["measured_ms"].get<double>() - 1, 1e-9);
    }
  }
  const Outcome markdown = varlen({"model", "--trace", trace("decode_128"), "--measured",
                                   source_path("bench/measured/h100_sustained.json"), "--markdown"});
  EXPECT_NE(markdown.out.find("| decode_128 | 1024 |"), std::string::npos);
}

TEST_F(ModelCommand, SkipsWhatTheKernelDoesNotCompute) {
  const auto json = varlen_json({"model", "--target", "b200", "--trace", trace("uniform_8192_causal_d256"), "--json"});
  EXPECT_EQ(json["traces"][0]["skipped"],
            "head_dim_qk = 256 is more than 192, the largest of forward_tcgen05 for bf16, and no other is modelled");
}

TEST_F(ModelCommand, RefusesWhatIsWrong) {
  expect_refused({"model"}, "--trace");
  expect_refused({"model", "--trace", path("missing.json")}, "missing.json: no such file");
  expect_refused({"model", "--trace", write("bad.json", "{")}, "bad.json: not JSON");
  expect_refused({"model", "--trace", write("empty.json", "{}")}, "key 'name' is missing");
  expect_refused({"model", "--trace", trace("decode_128"), "--target", "cpu"}, "--target");
  expect_refused({"model", "--trace", trace("decode_128"), "--clock-ghz", "0"}, "--clock-ghz");
  expect_refused({"model", "--trace", trace("decode_128"), "--polynomial-share", "0.2"}, "--polynomial-share 0.2");
  expect_refused({"model", "--trace", trace("decode_128"), "--target", "b200", "--polynomial-share", "2"},
                 "--polynomial-share");
  const auto with = [&](const std::string& measured) {
    return std::vector<std::string>{"model", "--trace", trace("decode_128"), "--measured", write("m.json", measured)};
  };
  expect_refused(with("["), "m.json: not JSON");
  expect_refused(with("{}"), "m.json: key 'rows' is missing or no array");
  expect_refused(with(R"({"rows": [{}]})"), "a row has no key 'trace'");
  expect_refused(with(R"({"rows": [{"trace": "a", "ms": -1}]})"), "key 'ms' has -1");
  expect_refused(with(R"({"rates": [1], "rows": []})"), "key 'rates' is not a pair");
  expect_refused(with(R"({"clock_hz": "fast", "rows": []})"), "key 'clock_hz'");
}

}  // namespace
}  // namespace varlen::test
