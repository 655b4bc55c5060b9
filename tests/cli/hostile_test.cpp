// Inputs and surroundings that are meant to crash the program, or to cost more than their size.

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>

#include "cli/file.hpp"
#include "cli/process.hpp"

namespace varlen::test {
namespace {

std::string trace() { return source_path("bench/traces/issue1103_causal.json"); }

class Hostile : public Program {
 protected:
  // What JSON is read from: a command for the text in a file.
  void expect_json_refused(const std::string& text, const std::string& message) const {
    expect_refused({"run", write("in.safetensors", file_of(text, ""))}, message);
    const std::string json = write("in.json", text);
    for (const char* command : {"plan", "bench", "model"}) expect_refused({command, "--trace", json}, message);
    expect_refused({"model", "--trace", trace(), "--measured", json}, message);
  }
};

std::string repeated(const std::string& text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

// User time of all programs that have been run.
double seconds_of_children() {
  struct rusage usage {};
  getrusage(RUSAGE_CHILDREN, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec) + static_cast<double>(usage.ru_utime.tv_usec) * 1e-6;
}

TEST_F(Hostile, DeepNestingIsRefusedByEveryReader) {
  constexpr std::size_t kDeep = 100'000;
  for (const std::string& inside : {std::string(), std::string(kDeep, ']')}) {
    expect_json_refused(std::string(kDeep, '[') + inside, "nested more than");
  }
  expect_json_refused(repeated("{\"q\":", kDeep), "nested more than");
  expect_json_refused(repeated("{\"q\":", kDeep) + "1" + std::string(kDeep, '}'), "nested more than");
  expect_json_refused(fmt::format(R"({{"rows":{:[>{}}{:]>{}}}})", "", kDeep, "", kDeep), "nested more than");
  expect_json_refused(repeated("[{\"q\":", kDeep), "nested more than");
}

TEST_F(Hostile, EveryFieldRefusesAWrongKindOfValue) {
  // A message that shows the value must not be as long as the value, or nest as deep.
  const std::string nested = std::string(30, '[') + std::string(30, ']');
  const std::string longer = fmt::format("\"{:x>100000}\"", "");
  for (const std::string& value : {nested, longer}) {
    for (const char* key : {"name", "query_lengths", "kv_heads", "causal", "window", "soft_cap", "page_size"}) {
      nlohmann::json json = nlohmann::json::parse(read_file(trace()));
      json["soft_cap"] = 0;
      json["page_size"] = 0;
      json["window"] = {-1, 0};
      json[key] = nlohmann::json::parse(value);
      if (key == std::string("name") && value == longer) continue;  // a name may be long
      const std::string file = write("in.json", json.dump());
      const Outcome outcome = varlen({"plan", "--trace", file});
      expect_complaint(outcome, key);
      EXPECT_LT(outcome.err.size(), 400U) << key;
    }
    for (const char* key : {"dtype", "shape", "data_offsets"}) {
      nlohmann::json tensor = {{"dtype", "F32"}, {"shape", {2}}, {"data_offsets", {0, 8}}};
      tensor[key] = nlohmann::json::parse(value);
      const Outcome outcome =
          varlen({"run", write("in", file_of(nlohmann::json{{"q", tensor}}.dump(), std::string(8, 'x')))});
      expect_complaint(outcome, key);
      EXPECT_LT(outcome.err.size(), 400U) << key;
    }
  }
}

TEST_F(Hostile, TextFromFilesIsBoundedAndEscaped) {
  const std::string name = std::string(100'000, 'x') + "\x1b[31m\n\xc2\x9b";
  const std::string entry = R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
  const std::vector<std::vector<std::string>> commands = {
      {"run", write("a", file_of(nlohmann::json{{name, nlohmann::json::parse(entry)}}.dump(), ""))},
      {"run", write("b", file_of(nlohmann::json{{name, 1}}.dump(), ""))},
      {"plan", "--trace", write("c", nlohmann::json{{name, 1}}.dump())},
      {"plan", "--trace", write("d", fmt::format("{{{}:nan}}", nlohmann::json(name).dump()))},
      {"plan", "--trace", write("e", std::string(100'000, 'x'))}};
  for (const std::vector<std::string>& command : commands) {
    SCOPED_TRACE(command.back());
    const Outcome outcome = varlen(command);
    expect_complaint(outcome, "x");
    EXPECT_LT(outcome.err.size(), 500U);
    EXPECT_EQ(outcome.err.find_first_of("\x1b\x9b"), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.err.find("json.exception"), std::string::npos) << outcome.err;
  }
  nlohmann::json json = nlohmann::json::parse(read_file(trace()));
  json["name"] = name;
  const Outcome table = varlen({"plan", "--trace", write("long.json", json.dump())});
  EXPECT_EQ(table.status, 0) << table.err;
  EXPECT_LT(table.out.size(), 2000U);
  EXPECT_EQ(table.out.find('\x1b'), std::string::npos);
}

TEST_F(Hostile, ManyEmptyTensorsCostNoMoreThanTheirBytes) {
  const auto header_of = [](int tensors) {
    std::string header = "{";
    for (int i = 0; i < tensors; ++i) {
      header +=
          fmt::format("{}\"t{}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", i == 0 ? "" : ",", i);
    }
    return header + "}";
  };
  const auto seconds_of = [&](int tensors) {
    const std::string file = write("many", file_of(header_of(tensors), ""));
    const double before = seconds_of_children();
    expect_refused({"run", file}, "is unknown");
    return seconds_of_children() - before;
  };
  // When the time was quadratic, four times as many took sixteen times as long.
  EXPECT_LT(seconds_of(40'000), 8 * seconds_of(10'000));
}

TEST_F(Hostile, StreamsThatTakeNothing) {
  // More than the stream's buffer holds, so that printing fails and not only the last flush.
  expect_complaint(shell(R"("$varlen" run "$1" --repeat 1 --all-requests --json >/dev/full)", {example()}),
                   "standard output cannot be written: No space left on device");
  const std::vector<std::string> wrong = {"plan", "--trace", "nowhere"};
  for (const char* script : {R"("$varlen" "$@" 2>&-)", R"("$varlen" "$@" 2>/dev/full)", R"("$varlen" 2>&-)",
                             R"("$varlen" --no-such-option 2>/dev/full)", R"("$varlen" "$@" <&- >&- 2>&-)"}) {
    EXPECT_EQ(shell(script, wrong).status, 2) << script;
  }
  for (const char* arguments : {"info", "info --json", "--help", "run --help", "--version"}) {
    for (const char* to : {">&-", ">/dev/full"}) {
      const Outcome outcome = shell(fmt::format("\"$varlen\" {} {}", arguments, to));
      expect_complaint(outcome, "standard output cannot be written");
    }
    EXPECT_EQ(shell(fmt::format("\"$varlen\" {} >/dev/full 2>/dev/full", arguments)).status, 2);
    EXPECT_EQ(shell(fmt::format("\"$varlen\" {} 2>&-", arguments)).status, 0);
  }
}

TEST_F(Hostile, NoFileTakesThePlaceOfAClosedStream) {
  const std::string plain = path("plain.svg");
  EXPECT_EQ(varlen({"plan", "--trace", trace(), "--svg", plain}).status, 0);
  const Outcome outcome = shell(R"("$varlen" plan --trace "$1" --svg closed.svg <&- >&- 2>&-)", {trace()});
  EXPECT_EQ(outcome.status, 2) << "the report could not be written";
  EXPECT_EQ(read_file(path("closed.svg")).size(), read_file(plain).size());
}

TEST_F(Hostile, LittleMemoryIsAnErrorOfOneLine) {
  if (kAddressSanitizer) return;  // it needs terabytes of addresses
  nlohmann::json large = nlohmann::json::parse(read_file(trace()));
  large["query_lengths"] = std::vector<int>(1'000'000, 1);
  large["kv_lengths"] = large["query_lengths"];
  write("large.json", large.dump());
  int refused = 0;
  for (int mib = 16; mib <= 512; mib += mib / 4) {
    SCOPED_TRACE(mib);
    const std::string limit = fmt::format("ulimit -v {}; exec \"$varlen\" ", mib * 1024);
    for (const char* command : {"plan --trace large.json --json", "run \"$1\" --all-requests --json --threads 1",
                                "bench --trace \"$2\" --threads 1 --repeat 1 --scale-lengths 0.02"}) {
      const Outcome outcome = shell(limit + command, {example(), trace()});
      if (outcome.status == 127) continue;  // not even the loader has enough
      if (outcome.status == 0) continue;
      ++refused;
      expect_complaint(outcome, "varlen: out of memory");
    }
  }
  EXPECT_GT(refused, 10);
}

TEST_F(Hostile, LittleMemoryIsNoFailureOfTheBackend) {
  if (kAddressSanitizer) return;
  const Outcome outcome =
      shell(R"(ulimit -v 60000; exec "$varlen" check --backend emulator --cases random --count 1 --seed 5)");
  expect_complaint(outcome, "varlen: out of memory");
  EXPECT_EQ(outcome.out, "");
}

TEST_F(Hostile, ThreadsOfTheMachinesRatesThatCannotStart) {
  if (kAddressSanitizer) return;
  // Each thread's stack takes 64 MiB of the addresses.
  const Outcome outcome = shell(
      R"(ulimit -s 65536; ulimit -v 1500000; exec "$varlen" bench --trace "$1" --threads 64 --max-gflop 1)", {trace()});
  expect_complaint(outcome, "the machine's rates: not all of 64 threads can be started");
}

}  // namespace
}  // namespace varlen::test
