// Numbers and keys that could be read in two ways: refused, with the field and the value.

#include <fmt/format.h>

#include "cli/file.hpp"
#include "cli/process.hpp"

namespace varlen::test {
namespace {

std::string trace() { return source_path("bench/traces/issue1103_causal.json"); }

class Numbers : public Program {
 protected:
  static std::vector<std::string> with(const std::string& option, const std::string& value) {
    std::vector<std::string> arguments = {"plan", "--lengths",  "4",  "--query-heads", "8", "--kv-heads",
                                          "2",    "--head-dim", "64", "--workers",     "4"};
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      if (arguments[i] == option) arguments[i + 1] = value;
    }
    return arguments;
  }
  // A trace in which the value of `key` is the text `value`.
  std::string trace_with(const std::string& key, const std::string& value) const {
    std::string text = R"({"name": "n", "query_lengths": [1, 2], "kv_lengths": [1, 2], "query_heads": 4, "kv_heads": 2,
        "head_dim_qk": 64, "head_dim_vo": 64, "causal": true, "window": [-1, 0], "page_size": 0, "soft_cap": 0})";
    const std::size_t begin = text.find(fmt::format("\"{}\": ", key)) + key.size() + 4;
    const std::size_t end = text.find_first_of(text[begin] == '[' ? "]" : ",}", begin) + (text[begin] == '[' ? 1 : 0);
    return write("trace.json", text.replace(begin, end - begin, value));
  }
};

TEST_F(Numbers, IntegersOfOptions) {
  for (const char* option : {"--query-heads", "--kv-heads", "--head-dim", "--workers"}) {
    for (const char* value : {"064", "0x40", "1e3", "1e30", "64.0", "nan", "inf", "99999999999999999999",
                              "9223372036854775808", "+64", "64k", ""}) {
      expect_refused(with(option, value), option);
      expect_refused(with(option, value), value);
    }
  }
  for (const char* value : {"064", "4,064", "0x4", "1e3", "nan", "+4", " 4"}) {
    expect_refused(with("--lengths", value), "--lengths");
  }
  EXPECT_EQ(varlen(with("--lengths", "0,4")).status, 0);
  expect_refused({"run", example(), "--window", "010,0"}, "'010'");
  expect_refused({"check", "--cases", "random", "--seed", "18446744073709551616"}, "--seed: '18446744073709551616'");
  expect_refused(with("--head-dim", "1e30"), "--head-dim: '1e30' is not a whole number");
  expect_refused({"check", "--cases", "random", "--count", "010"}, "--count: '010' has a leading zero");
}

TEST_F(Numbers, RealsOfOptions) {
  for (const char* value : {"nan", "inf", "-inf", "0x1p3", "1e999", "1,5", ""}) {
    expect_refused({"run", example(), "--scale", value}, fmt::format("--scale: '{}'", value));
    expect_refused({"run", example(), "--soft-cap", value}, fmt::format("--soft-cap: '{}'", value));
    expect_refused({"bench", "--trace", trace(), "--scale-lengths", value}, "--scale-lengths");
    expect_refused({"bench", "--trace", trace(), "--max-gflop", value}, "--max-gflop");
    expect_refused({"model", "--trace", trace(), "--clock-ghz", value}, "--clock-ghz");
  }
  expect_refused({"bench", "--trace", trace(), "--scale-lengths", "1e30"}, "--scale-lengths 1e+30: a length of 1274");
  EXPECT_EQ(varlen({"run", example(), "--repeat", "1", "--scale", "1e-1"}).status, 0);
}

TEST_F(Numbers, NumbersOfTraces) {
  EXPECT_EQ(varlen({"plan", "--trace", trace_with("kv_heads", "2")}).status, 0);
  for (const char* key : {"query_heads", "kv_heads", "head_dim_qk", "head_dim_vo", "page_size"}) {
    for (const char* value : {"064", "nan", "NaN", "0x40", "+4", "4.", ".5", "Infinity"}) {
      const std::string message = fmt::format("(key '{}'): '{}' is wrong there", key, value);
      expect_refused({"plan", "--trace", trace_with(key, value)}, "not JSON: line ");
      expect_refused({"plan", "--trace", trace_with(key, value)}, message);
    }
    for (const char* value : {"1e30", "4.0", "1e2", "99999999999999999999", "-99999999999999999999"}) {
      expect_refused({"plan", "--trace", trace_with(key, value)}, fmt::format("key '{}' has {} where", key, value));
    }
  }
  expect_refused({"plan", "--trace", trace_with("query_lengths", "[1, 064]")}, "(key 'query_lengths'): '064'");
  expect_refused({"plan", "--trace", trace_with("query_lengths", "[1, 1e30]")},
                 "key 'query_lengths' has 1e30 at index 1 where a length is needed");
  expect_refused({"plan", "--trace", trace_with("kv_lengths", "[-1, 1]")}, "key 'kv_lengths' has -1 at index 0");
  expect_refused({"plan", "--trace", trace_with("window", "[1e30, 0]")}, "key 'window'[0] has 1e30");
  expect_refused({"plan", "--trace", trace_with("soft_cap", "1e30000")}, "(key 'soft_cap'): '1e30000'");
  expect_refused({"plan", "--trace", trace_with("soft_cap", "1e300")}, "key 'soft_cap' has 1e300");
}

TEST_F(Numbers, NumbersOfHeadersAndMeasuredTimes) {
  const auto header = [&](const std::string& shape, const std::string& end) {
    return write("in", file_of(R"({"q":{"dtype":"F32","shape":[)" + shape + R"(],"data_offsets":[0,)" + end + "]}}",
                               std::string(8, 'x')));
  };
  expect_refused({"run", header("1e30", "8")}, "tensor 'q': shape[0] = 1e30");
  expect_refused({"run", header("2,02", "8")}, "(key 'q.shape'): '02'");
  expect_refused({"run", header("nan", "8")}, "(key 'q.shape'): 'nan'");
  expect_refused({"run", header("2", "8.0")}, "tensor 'q': data_offsets[1] = 8.0");
  expect_refused({"run", header("2", "010")}, "(key 'q.data_offsets'): '010'");
  const auto measured = [&](const std::string& text) {
    return std::vector<std::string>{"model", "--trace", trace(), "--measured", write("measured.json", text)};
  };
  expect_refused(measured(R"({"rows":[{"trace":"a","ms":nan}]})"), "(key 'rows.ms'): 'nan'");
  expect_refused(measured(R"({"rows":[{"trace":"a","ms":01}]})"), "(key 'rows.ms'): '01'");
  expect_refused(measured(R"({"rows":[{"trace":"a","ms":-1e30}]})"), "key 'ms' has -1e30");
  expect_refused(measured(R"({"rows":[{"trace":"a","ms":1},{"trace":"a","ms":2}]})"), "trace 'a' has two rows");
}

TEST_F(Numbers, DuplicateKeys) {
  expect_refused({"plan", "--trace", trace_with("kv_heads", R"(2, "kv_heads": 4)")}, "key 'kv_heads' is there twice");
  expect_refused({"plan", "--trace", trace_with("kv_heads", R"(2, "kv\u005fheads": 4)")},
                 "key 'kv_heads' is there twice");
  const auto run = [&](const std::string& text) {
    return std::vector<std::string>{"run", write("in", file_of(text, ""))};
  };
  const std::string entry = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  expect_refused(run(R"({"q":)" + entry + R"(,"q":)" + entry + "}"), "key 'q' is there twice");
  expect_refused(run(R"({"q":{"dtype":"F32","dtype":"F16"}})"), "key 'dtype' is there twice in 'q'");
  expect_refused({"model", "--trace", trace(), "--measured", write("m", R"({"rows":[],"clock_hz":1,"clock_hz":2})")},
                 "key 'clock_hz' is there twice");
}

}  // namespace
}  // namespace varlen::test
