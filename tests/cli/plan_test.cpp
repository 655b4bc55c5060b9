// varlen plan.

#include <fmt/format.h>

#include "cli/process.hpp"

namespace varlen::test {
namespace {

class PlanCommand : public Program {
 protected:
  static std::vector<std::string> issue1103(const std::string& target) {
    return {"plan", "--trace", source_path("bench/traces/issue1103_causal.json"), "--target", target, "--json"};
  }
  static nlohmann::json small_trace() {
    return {{"name", "small"},
            {"query_lengths", {3, 0, 200}},
            {"kv_lengths", {5, 7, 200}},
            {"query_heads", 4},
            {"kv_heads", 2},
            {"head_dim_qk", 64},
            {"head_dim_vo", 128},
            {"causal", true}};
  }
  void expect_trace_refused(const nlohmann::json& trace, const std::string& message) {
    expect_refused({"plan", "--trace", write("trace.json", trace.dump())}, message);
  }
};

TEST_F(PlanCommand, JsonHasEveryPromisedKey) {
  const auto json = varlen_json(issue1103("h100"));
  for (const char* key : {"requests", "tiles", "empty_tiles", "items", "splits", "partial_slots", "workers",
                          "padded_tiles", "plan_bytes"}) {
    EXPECT_TRUE(json[key].is_number_integer()) << key;
  }
  EXPECT_TRUE(json["makespan_over_mean"].is_number());
  EXPECT_TRUE(json["plan_us"].is_number());
  EXPECT_EQ(json["requests"], 7);
  EXPECT_EQ(json["workers"], 132);
  EXPECT_EQ(json["empty_tiles"], 0);
  EXPECT_GT(json["tiles"], 0);
  EXPECT_GE(json["items"], json["tiles"]);
  EXPECT_LT(json["tiles"], json["padded_tiles"]);
}

TEST_F(PlanCommand, OptionsSayTheSameAsTheTrace) {
  auto from_trace = varlen_json(issue1103("b200"));
  auto from_options = varlen_json({"plan", "--lengths", "1274,1294,1347,1279,1304,1341,353", "--query-heads", "32",
                                   "--kv-heads", "8", "--head-dim", "128", "--causal", "--target", "b200", "--json"});
  for (auto* json : {&from_trace, &from_options}) {
    json->erase("plan_us");
    json->erase("name");
  }
  EXPECT_EQ(from_trace, from_options);
}

TEST_F(PlanCommand, EveryOptionChangesThePlan) {
  const std::vector<std::string> base = {"plan", "--lengths",  "100,3000", "--query-heads", "8",    "--kv-heads",
                                         "2",    "--head-dim", "64",       "--target",      "h100", "--json"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = base;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return varlen_json(arguments);
  };
  const auto plain = with({});
  EXPECT_LT(with({"--causal"})["flop"], plain["flop"]);
  EXPECT_LT(with({"--window", "-1,100"})["flop"], plain["flop"]);
  EXPECT_EQ(with({"--window", "inf,inf"})["flop"], plain["flop"]);
  EXPECT_EQ(with({"--workers", "7"})["workers"], 7);
  EXPECT_EQ(with({"--head-dim-vo", "128"})["flop"].get<double>(), 1.5 * plain["flop"].get<double>());
  EXPECT_GT(with({"--kv-lengths", "100,90000"})["flop"], plain["flop"]);
  EXPECT_EQ(with({"--batch-invariant"})["tiles"], plain["tiles"]);
}

TEST_F(PlanCommand, NoRequests) {
  auto trace = small_trace();
  trace["query_lengths"] = nlohmann::json::array();
  trace["kv_lengths"] = nlohmann::json::array();
  const auto json = varlen_json({"plan", "--trace", write("trace.json", trace.dump()), "--json"});
  EXPECT_EQ(json["items"], 0);
  EXPECT_EQ(json["makespan_over_mean"], 1);
}

TEST_F(PlanCommand, TableAndPictures) {
  const Outcome outcome = varlen(
      {"plan", "--trace", write("trace.json", small_trace().dump()), "--svg", path("t.svg"), "--html", path("t.html")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("3 requests"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("makespan / mean"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find(path("t.svg")), std::string::npos) << outcome.out;
  EXPECT_NE(read_file(path("t.svg")).find("<svg"), std::string::npos);
  EXPECT_NE(read_file(path("t.html")).find("<html"), std::string::npos);
}

TEST_F(PlanCommand, TracesWithErrorsNameTheKey) {
  const nlohmann::json whole = small_trace();
  for (const auto& [key, value] : whole.items()) {
    auto trace = small_trace();
    trace.erase(key);
    expect_trace_refused(trace, fmt::format("'{}' is missing", key));
    trace[key] = nlohmann::json{{"an", "object"}};
    expect_trace_refused(trace, fmt::format("'{}'", key));
  }
  const std::pair<const char*, nlohmann::json> wrong[] = {{"query_lengths", {1, 2, -3}},
                                                          {"kv_lengths", {1, 2, 1.5}},
                                                          {"query_heads", 0},
                                                          {"kv_heads", "2"},
                                                          {"head_dim_qk", 1ULL << 40},
                                                          {"head_dim_vo", 18446744073709551615ULL},
                                                          {"causal", 1},
                                                          {"window", 5},
                                                          {"window", {1, 2, 3}},
                                                          {"window", {-5, 0}},
                                                          {"soft_cap", "high"},
                                                          {"page_size", -1},
                                                          {"extra", true}};
  for (const auto& [key, value] : wrong) {
    auto trace = small_trace();
    trace[key] = value;
    expect_trace_refused(trace, fmt::format("'{}'", key));
  }
  auto trace = small_trace();
  trace["kv_lengths"] = {1, 2};
  expect_trace_refused(trace, "query_lengths has 3 requests and kv_lengths 2");
  trace = small_trace();
  trace["kv_heads"] = 3;
  expect_trace_refused(trace, "query_heads");
  expect_refused({"plan", "--trace", write("trace.json", "[1, 2")}, "not JSON");
  expect_refused({"plan", "--trace", write("trace.json", "[]")}, "not a JSON object");
  expect_refused({"plan", "--trace", path("absent.json")}, "absent.json: no such file");
}

TEST_F(PlanCommand, NamesFromAFileAreQuotedOnOneLine) {
  expect_refused({"plan", "--trace", write("trace.json", R"({"a\nb\u001b[31m\u007f": 1})")}, R"('a\x0ab\x1b[31m\x7f')");
}

TEST_F(PlanCommand, OptionsThatContradictAreRefused) {
  const std::string trace = write("trace.json", small_trace().dump());
  const std::vector<std::string> shape = {"--query-heads", "4", "--kv-heads", "2", "--head-dim", "64"};
  const auto lengths = [&](const std::string& values, const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"plan", "--lengths", values};
    arguments.insert(arguments.end(), shape.begin(), shape.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  expect_refused({"plan"}, "--trace or --lengths");
  expect_refused({"plan", "--trace", trace, "--lengths", "4"}, "--lengths");
  expect_refused({"plan", "--trace", trace, "--causal"}, "--causal");
  expect_refused({"plan", "--trace", trace, "--window", "1,1"}, "--window");
  expect_refused({"plan", "--trace", trace, "--head-dim-vo", "64"}, "--head-dim-vo");
  expect_refused({"plan", "--lengths", "4"}, "--lengths");
  expect_refused(lengths("4,,5", {}), "''");
  expect_refused(lengths("4,-5", {}), "'-5'");
  expect_refused(lengths("4,99999999999999999999", {}), "is not a length");
  expect_refused(lengths("4,5", {"--kv-lengths", "4"}), "--kv-lengths");
  expect_refused(lengths("4", {"--target", "h200"}), "h200");
  expect_refused(lengths("4", {"--workers", "0"}), "--workers");
  expect_refused(lengths("4", {"--workers", "100000"}), "workers");
  expect_refused(lengths("4", {"--dtype", "int8"}), "int8");
  expect_refused(lengths("4", {"--svg", path("no/such/folder.svg")}), "cannot be written");
}

}  // namespace
}  // namespace varlen::test
