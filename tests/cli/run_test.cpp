// varlen run.

#include <algorithm>
#include <cmath>
#include <limits>

#include "cli/file.hpp"
#include "cli/process.hpp"

namespace varlen::test {
namespace {

class Run : public Program {
 protected:
  // One head of dim 8. Every value row is its token number; the scores of a row are all equal, so that an output row is
  // the mean of the token numbers it sees. Token 6 belongs to no request.
  static FileMaker countable() {
    std::vector<float> values;
    for (int token = 0; token < 7; ++token) values.insert(values.end(), 8, static_cast<float>(token));
    FileMaker file;
    file.add("q", "F32", {7, 1, 8}, std::vector<float>(7 * 8, 1.0F))
        .add("k", "F32", {7, 1, 8}, std::vector<float>(7 * 8, 1.0F))
        .add("v", "F32", {7, 1, 8}, values)
        .add("query_indptr", "I64", {4}, std::vector<std::int64_t>{0, 4, 4, 6})
        .add("key_indptr", "I64", {4}, std::vector<std::int64_t>{0, 4, 4, 6});
    return file;
  }
  // The first output element of each token, and the LSE.
  struct Rows {
    std::vector<float> out;
    std::vector<float> lse;
  };
  Rows compute(const FileMaker& file, std::vector<std::string> options) {
    options.insert(options.begin(), {"run", write("in.safetensors", file.bytes())});
    options.insert(options.end(), {"--output", path("out.safetensors")});
    const Outcome outcome = varlen(options);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    const ReadBack result(read_file(path("out.safetensors")));
    EXPECT_EQ(result.header.size(), 2U);
    EXPECT_EQ(result.header["out"]["shape"], (nlohmann::json{7, 1, 8}));
    EXPECT_EQ(result.header["lse"]["shape"], (nlohmann::json{7, 1}));
    EXPECT_EQ(result.header["out"]["dtype"], "F32");
    const std::vector<float> elements = result.values<float>("out");
    Rows rows;
    for (std::size_t i = 0; i < elements.size(); i += 8) rows.out.push_back(elements[i]);
    rows.lse = result.values<float>("lse");
    return rows;
  }
  static void expect_near(const std::vector<float>& actual, const std::vector<double>& expected) {
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-5) << i;
  }
};

TEST_F(Run, FullCausalAndWindow) {
  for (const char* backend : {"cpu", "reference"}) {
    SCOPED_TRACE(backend);
    expect_near(compute(countable(), {"--backend", backend}).out, {1.5, 1.5, 1.5, 1.5, 4.5, 4.5, 0});
    expect_near(compute(countable(), {"--backend", backend, "--causal"}).out, {0, 0.5, 1, 1.5, 4, 4.5, 0});
    expect_near(compute(countable(), {"--backend", backend, "--window", "1,0"}).out, {0, 0.5, 1.5, 2.5, 4, 4.5, 0});
    expect_near(compute(countable(), {"--backend", backend, "--window", "-1,1"}).out, {0.5, 1, 1.5, 1.5, 4.5, 4.5, 0});
    expect_near(compute(countable(), {"--backend", backend, "--window", "0,inf"}).out, {1.5, 2, 2.5, 3, 4.5, 5, 0});
    expect_near(compute(countable(), {"--backend", backend, "--window", "1,inf", "--causal"}).out,
                {0, 0.5, 1.5, 2.5, 4, 4.5, 0});
  }
}

TEST_F(Run, LseShowsScaleSoftCapAndSinks) {
  const double n4 = std::log(4.0);
  const double n2 = std::log(2.0);
  const double score = 8 / std::sqrt(8.0);
  const auto expected = [&](double s) {
    return std::vector<double>{s + n4, s + n4, s + n4, s + n4, s + n2, s + n2, 0};
  };
  expect_near(compute(countable(), {}).lse, expected(score));
  expect_near(compute(countable(), {"--scale", "-0.5"}).lse, expected(-4));
  expect_near(compute(countable(), {"--soft-cap", "2"}).lse, expected(2 * std::tanh(score / 2)));
  FileMaker with_sink = countable();
  with_sink.add("sinks", "F32", {1}, std::vector<float>{3.0F});
  const double four = std::log(4 * std::exp(score) + std::exp(3.0));
  const double two = std::log(2 * std::exp(score) + std::exp(3.0));
  expect_near(compute(with_sink, {}).lse, {four, four, four, four, two, two, 0});
}

TEST_F(Run, RequestWithoutKeys) {
  FileMaker file;
  file.add("q", "F32", {7, 1, 8}, std::vector<float>(7 * 8, 1.0F))
      .add("k", "F32", {0, 1, 8}, std::vector<float>{})
      .add("v", "F32", {0, 1, 8}, std::vector<float>{})
      .add("query_indptr", "I32", {2}, std::vector<std::int32_t>{0, 7})
      .add("key_indptr", "I32", {2}, std::vector<std::int32_t>{0, 0});
  const Rows rows = compute(file, {"--check"});
  EXPECT_EQ(rows.out, std::vector<float>(7, 0.0F));
  EXPECT_EQ(rows.lse, std::vector<float>(7, -std::numeric_limits<float>::infinity()));
}

TEST_F(Run, PagedKeys) {
  // Tokens 0 … 3 of request 0 lie in pages 2 and 0, tokens 4, 5 of request 2 in page 1; page size 3.
  std::vector<float> pool(3 * 3 * 8, std::numeric_limits<float>::quiet_NaN());
  const auto put = [&](std::size_t page, std::size_t slot, float value) {
    std::fill_n(pool.begin() + static_cast<std::ptrdiff_t>((page * 3 + slot) * 8), 8, value);
  };
  for (std::size_t slot = 0; slot < 3; ++slot) put(2, slot, static_cast<float>(slot));
  put(0, 0, 3);
  put(1, 0, 4);
  put(1, 1, 5);
  FileMaker file;
  file.add("q", "F32", {7, 1, 8}, std::vector<float>(7 * 8, 1.0F))
      .add("k", "F32", {3, 3, 1, 8}, std::vector<float>(3 * 3 * 8, 1.0F))
      .add("v", "F32", {3, 3, 1, 8}, pool)
      .add("query_indptr", "I32", {4}, std::vector<std::int32_t>{0, 4, 4, 6})
      .add("key_lengths", "I32", {3}, std::vector<std::int32_t>{4, 0, 2})
      .add("block_table", "I32", {3, 2}, std::vector<std::int32_t>{2, 0, 0, 0, 1, 0});
  expect_near(compute(file, {"--causal", "--check"}).out, {0, 0.5, 1, 1.5, 4, 4.5, 0});
}

TEST_F(Run, PagesByRowsOfATableOrByIndices) {
  // Requests of 3 and 2 keys in pages of 2, whose values are 1, 2, 3 (pages 2, 0) and 4, 5 (page 1).
  std::vector<float> pool(3 * 2 * 8, std::numeric_limits<float>::quiet_NaN());
  const int slots[] = {4, 5, 0, 2, 3};
  for (int i = 0; i < 5; ++i) std::fill_n(pool.begin() + slots[i] * 8, 8, static_cast<float>(i + 1));
  FileMaker file;
  file.add("q", "F32", {7, 1, 8}, std::vector<float>(7 * 8, 0.0F))
      .add("k", "F32", {3, 2, 1, 8}, std::vector<float>(3 * 2 * 8, 1.0F))
      .add("v", "F32", {3, 2, 1, 8}, pool)
      .add("query_indptr", "I32", {3}, std::vector<std::int32_t>{0, 1, 2})
      .add("key_lengths", "I32", {2}, std::vector<std::int32_t>{3, 2});
  FileMaker rows = file;
  rows.add("block_table", "I32", {4, 2}, std::vector<std::int32_t>{1, 9, 9, 9, 9, 9, 2, 0})
      .add("block_table_rows", "I64", {2}, std::vector<std::int64_t>{3, 0});
  expect_near(compute(rows, {"--check"}).out, {2, 4.5, 0, 0, 0, 0, 0});
  file.add("page_indptr", "I64", {3}, std::vector<std::int64_t>{1, 3, 4})
      .add("page_indices", "I32", {5}, std::vector<std::int32_t>{9, 2, 0, 1, 9});
  expect_near(compute(file, {"--check"}).out, {2, 4.5, 0, 0, 0, 0, 0});
}

TEST_F(Run, PagedKeysOf64BitsOfWhichAWindowHidesSome) {
  // One query on 7 keys in pages of 2, of which it sees the last two: key 5 in page 1 and key 6 in page 0.
  FileMaker file;
  std::vector<float> pool(2 * 2 * 8, std::numeric_limits<float>::quiet_NaN());
  std::fill_n(pool.begin() + 3 * 8, 8, 5.0F);
  std::fill_n(pool.begin(), 8, 6.0F);
  file.add("q", "F32", {7, 1, 8}, std::vector<float>(7 * 8, 1.0F))
      .add("k", "F32", {2, 2, 1, 8}, std::vector<float>(2 * 2 * 8, 1.0F))
      .add("v", "F32", {2, 2, 1, 8}, pool)
      .add("query_indptr", "I32", {2}, std::vector<std::int32_t>{0, 1})
      .add("key_lengths", "I32", {1}, std::vector<std::int32_t>{7})
      .add("block_table", "I64", {1, 4}, std::vector<std::int64_t>{-1, std::int64_t{1} << 40, 1, 0});
  expect_near(compute(file, {"--window", "1,0", "--check"}).out, {5.5, 0, 0, 0, 0, 0, 0});
}

TEST_F(Run, OneScaleForAllRequests) {
  FileMaker file;
  file.add("q", "F8_E5M2", {7, 1, 8}, std::string(56, '\0'))
      .add("k", "F8_E5M2", {2, 1, 8}, std::string(16, '\0'))
      .add("v", "F8_E5M2", {2, 1, 8}, std::string(16, '\x3C'))  // ones
      .add("query_indptr", "I32", {3}, std::vector<std::int32_t>{0, 1, 2})
      .add("key_indptr", "I32", {3}, std::vector<std::int32_t>{0, 1, 2})
      .add("value_scale", "F32", {1}, std::vector<float>{3});
  expect_near(compute(file, {"--check", "--output-dtype", "fp32"}).out, {3, 3, 0, 0, 0, 0, 0});
}

TEST_F(Run, ExamplePassesItsCheck) {
  const Outcome outcome = varlen({"run", example(), "--check", "--repeat", "1"});
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  EXPECT_NE(outcome.out.find("60 requests, 1716 query and 1716 key tokens"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("passed"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("x as much"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("(51 requests more: --all-requests)"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.err, "");
}

TEST_F(Run, JsonOfTheExample) {
  const auto json = varlen_json({"run", example(), "--check", "--causal", "--repeat", "3", "--threads", "1",
                                 "--all-requests", "--json", "--output-dtype", "fp32"});
  EXPECT_EQ(json["requests"], 60);
  EXPECT_EQ(json["query_tokens"], 1716);
  EXPECT_EQ(json["query_heads"], 12);
  EXPECT_EQ(json["head_dim_vo"], 32);
  EXPECT_EQ(json["input_dtype"], "fp16");
  EXPECT_EQ(json["output_dtype"], "fp32");
  EXPECT_EQ(json["mask"]["right"], 0);
  EXPECT_EQ(json["repeat"], 3);
  EXPECT_EQ(json["plan"]["workers"], 1);
  EXPECT_EQ(json["plan"]["empty_tiles"], 0);
  EXPECT_GT(json["run_ms"], 0);
  EXPECT_GT(json["padded_flop"], json["flop"]);
  EXPECT_EQ(json["check"]["passed"], true);
  EXPECT_EQ(json["check"]["rows"], 1716 * 12);
  EXPECT_LE(json["check"]["worst_out"], 1);
  std::int64_t tiles = 0;
  double work = 0;
  for (const auto& request : json["per_request"]) {
    tiles += request["tiles"].get<std::int64_t>();
    work += request["flop"].get<double>();
  }
  EXPECT_EQ(tiles, json["plan"]["tiles"]);
  EXPECT_DOUBLE_EQ(work, json["flop"]);
}

TEST_F(Run, EveryInputTypeAndItsDefaultOutput) {
  struct Type {
    const char* file;
    std::size_t bytes;
    const char* output;
  };
  for (const Type& type : {Type{"F32", 4, "F32"}, Type{"F16", 2, "F16"}, Type{"BF16", 2, "BF16"},
                           Type{"F8_E4M3", 1, "BF16"}, Type{"F8_E5M2", 1, "BF16"}}) {
    SCOPED_TRACE(type.file);
    const auto zeros = [&](std::size_t count) { return std::string(count * type.bytes, '\0'); };
    FileMaker file;
    file.add("q", type.file, {3, 2, 16}, zeros(96))
        .add("k", type.file, {3, 1, 16}, zeros(48))
        .add("v", type.file, {3, 1, 8}, zeros(24))
        .add("query_indptr", "I32", {2}, std::vector<std::int32_t>{0, 3})
        .add("key_indptr", "I32", {2}, std::vector<std::int32_t>{0, 3});
    const Outcome outcome =
        varlen({"run", write("in.safetensors", file.bytes()), "--check", "--output", path("out.safetensors")});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const ReadBack result(read_file(path("out.safetensors")));
    EXPECT_EQ(result.header["out"]["dtype"], type.output);
    EXPECT_EQ(result.header["out"]["shape"], (nlohmann::json{3, 2, 8}));
    for (const float lse : result.values<float>("lse")) EXPECT_NEAR(lse, std::log(3.0), 1e-5);
  }
}

TEST_F(Run, OutputThatCannotBeWritten) {
  expect_refused({"run", example(), "--repeat", "1", "--output", path("no/folder/out.safetensors")},
                 "cannot be written");
}

}  // namespace
}  // namespace varlen::test
