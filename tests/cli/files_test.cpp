// Files that are broken or hold the wrong things.

#include <fmt/format.h>

#include "cli/file.hpp"
#include "cli/process.hpp"

namespace varlen::test {
namespace {

constexpr const char* kShape = "\"shape\":[2],";

class Files : public Program {
 protected:
  // Two requests of 3 and 1 tokens, 4 query heads, 2 key/value heads, head dim 8.
  static FileMaker valid() {
    FileMaker file;
    file.add("q", "F32", {4, 4, 8}, std::vector<float>(4 * 4 * 8, 0.5F))
        .add("k", "F32", {4, 2, 8}, std::vector<float>(4 * 2 * 8, 0.25F))
        .add("v", "F32", {4, 2, 8}, std::vector<float>(4 * 2 * 8, 2.0F))
        .add("query_indptr", "I32", {3}, std::vector<std::int32_t>{0, 3, 4})
        .add("key_indptr", "I64", {3}, std::vector<std::int64_t>{0, 3, 4});
    return file;
  }
  void expect_file_refused(const std::string& bytes, const std::string& message) {
    expect_refused({"run", write("in.safetensors", bytes)}, message);
  }
  void expect_header_refused(const std::string& header, const std::string& message) {
    expect_file_refused(file_of(header, std::string(8, 'x')), message);
  }
};

TEST_F(Files, TheValidOneIsValid) {
  EXPECT_EQ(varlen({"run", write("in.safetensors", valid().bytes()), "--check"}).status, 0);
}

TEST_F(Files, TruncatedAnywhere) {
  const std::string bytes = valid().bytes();
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{8}, std::size_t{9}, std::size_t{60},
                                 bytes.size() / 2, bytes.size() - 1}) {
    expect_file_refused(bytes.substr(0, size), "in.safetensors: ");
  }
  expect_file_refused(bytes + "x", "the last 1 bytes belong to no tensor");
}

TEST_F(Files, HeaderLengths) {
  for (const std::uint64_t length :
       {std::uint64_t{1} << 20, std::uint64_t{1} << 62, ~std::uint64_t{0}, std::uint64_t{11}}) {
    expect_file_refused(file_of("{}", "12345678", length), "the header's length");
  }
  expect_file_refused(file_of("{}", "", 0), "not JSON");
}

TEST_F(Files, HeadersThatLie) {
  const auto tensor = [](const std::string& fields) { return "{\"q\":{" + fields + "}}"; };
  expect_header_refused("{\"q\":", "not JSON");
  expect_header_refused("[]", "not a JSON object");
  expect_header_refused("{\"q\":3}", "'q'");
  expect_header_refused(std::string("{\"q\":\xff}"), "not JSON");
  expect_header_refused(tensor("\"dtype\":\"F32\",\"data_offsets\":[0,8]"), "no shape");
  expect_header_refused(tensor("\"dtype\":\"F32\",\"shape\":[2]"), "no data_offsets");
  expect_header_refused(tensor("\"shape\":[2],\"data_offsets\":[0,8]"), "no dtype");
  expect_header_refused(tensor("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1"), "'more'");
  expect_header_refused(tensor("\"dtype\":\"F12\",\"shape\":[2],\"data_offsets\":[0,8]"), "'F12' is unknown");
  expect_header_refused(tensor("\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]"), "dtype");
  expect_header_refused(tensor("\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]"), "shape");
  expect_header_refused(tensor("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), "-2");
  expect_header_refused(tensor("\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]"), "2.0");
  const std::string typed = "\"dtype\":\"F32\",";
  expect_header_refused(tensor(typed + kShape + "\"data_offsets\":[0]"), "pair");
  expect_header_refused(tensor(typed + kShape + "\"data_offsets\":[0,8,9]"), "pair");
  expect_header_refused(tensor(typed + kShape + "\"data_offsets\":[-1,7]"), "data_offsets[0] = -1");
  expect_header_refused(tensor(typed + kShape + "\"data_offsets\":[8,0]"), "decrease");
  expect_header_refused(tensor(typed + "\"shape\":[4],\"data_offsets\":[0,16]"), "the file has 8 bytes");
  expect_header_refused(tensor(typed + kShape + "\"data_offsets\":[0,18446744073709551615]"), "18446744073709551615");
  expect_header_refused(tensor(typed + kShape + "\"data_offsets\":[0,4]"), "need 8");
  expect_header_refused(tensor(typed + kShape + "\"data_offsets\":[0,8]") + " x", "not JSON");
  // 2³² · 2³² elements wrap to 0 bytes, 2⁶² + 1 of them to 4.
  expect_header_refused(tensor(typed + "\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"), "overflows");
  expect_header_refused(tensor(typed + "\"shape\":[4611686018427387905],\"data_offsets\":[0,4]"), "overflows");
}

TEST_F(Files, TensorsThatOverlapOrLeaveHoles) {
  const auto entry = [](int begin, int end) {
    return nlohmann::json{{"dtype", "U8"}, {"shape", {end - begin}}, {"data_offsets", {begin, end}}};
  };
  expect_header_refused(nlohmann::json{{"a", entry(0, 5)}, {"b", entry(4, 8)}}.dump(), "overlaps");
  expect_header_refused(nlohmann::json{{"a", entry(0, 8)}, {"b", entry(0, 8)}}.dump(), "overlaps");
  expect_header_refused(nlohmann::json{{"a", entry(0, 3)}, {"b", entry(4, 8)}}.dump(), "1 bytes before tensor 'b'");
  expect_header_refused("{\"a\":" + entry(0, 8).dump() + ",\"a\":" + entry(0, 8).dump() + "}", "twice");
}

TEST_F(Files, MissingUnknownAndMistypedTensors) {
  for (const char* name : {"q", "k", "v", "query_indptr", "key_indptr"}) {
    FileMaker file;
    const FileMaker whole = valid();
    const ReadBack parts(whole.bytes());
    for (const auto& [key, fields] : parts.header.items()) {
      if (key == name) continue;
      const std::size_t begin = fields["data_offsets"][0];
      const std::size_t end = fields["data_offsets"][1];
      file.add(key, fields["dtype"], fields["shape"], parts.data.substr(begin, end - begin));
    }
    expect_file_refused(file.bytes(), fmt::format("tensor '{}' is missing", name));
  }
  expect_file_refused(valid().add("bias", "F32", {1}, std::vector<float>{0}).bytes(), "tensor 'bias' is unknown");
  FileMaker file = valid();
  file.header()["q"]["shape"] = {16, 8};
  expect_file_refused(
      file.bytes(), "tensor 'q' has the shape [16, 8], but needs 3 dimensions: [query tokens, query heads, head dim]");
  file = valid();
  file.header()["key_indptr"]["dtype"] = "F64";
  expect_file_refused(file.bytes(), "tensor 'key_indptr' is F64, but offsets");
  file = valid();
  file.header()["q"]["dtype"] = "U32";
  expect_file_refused(file.bytes(), "tensor 'q' is U32, but may be F32 F16 BF16 F8_E4M3 F8_E5M2");
  file = valid();
  file.header()["k"]["dtype"] = "I32";
  expect_file_refused(file.bytes(), "in.safetensors: tensor 'k': dtype = int32 must be fp32");
  file = valid();
  file.header()["v"]["shape"] = {8, 1, 8};
  expect_file_refused(file.bytes(),
                      "tensor 'v': shape[1] = 1 must be equal to kv_heads = 2; 'v' has the shape [8, 1, 8], "
                      "its axes are [key tokens, KV heads, head dim]");
}

TEST_F(Files, MessagesNameTensorsAndAxes) {
  // [heads, tokens, head dim], as some frameworks have it.
  FileMaker swapped;
  swapped.add("q", "F32", {2, 4, 8}, std::vector<float>(64, 0.5F))
      .add("k", "F32", {2, 4, 8}, std::vector<float>(64, 0.5F))
      .add("v", "F32", {2, 4, 8}, std::vector<float>(64, 0.5F))
      .add("query_indptr", "I32", {2}, std::vector<std::int32_t>{0, 4})
      .add("key_indptr", "I32", {2}, std::vector<std::int32_t>{0, 4});
  expect_file_refused(swapped.bytes(),
                      "in.safetensors: tensor 'q': shape[0] = 2 must be at least the last query offset = 4; "
                      "'q' has the shape [2, 4, 8], its axes are [query tokens, query heads, head dim]: "
                      "are heads and tokens swapped?");
  FileMaker file = valid();
  file.header()["k"]["shape"] = {2, 2, 2, 8};
  expect_file_refused(file.bytes(),
                      "tensor 'k' has the shape [2, 2, 2, 8], but needs 3 dimensions: [key tokens, KV heads, "
                      "head dim]; pages, [pages, page size, KV heads, head dim], need a tensor 'block_table', or "
                      "'page_indptr' and 'page_indices'");
  expect_file_refused(
      valid().add("block_table", "I32", {2, 1}, std::vector<std::int32_t>{0, 0}).bytes(),
      "tensor 'k' has the shape [4, 2, 8], but needs 4 dimensions: [pages, page size, KV heads, head dim], "
      "because there are page numbers");
  expect_file_refused(valid().add("key_scale", "F32", {2, 2}, std::vector<float>(4, 1.0F)).bytes(),
                      "tensor 'key_scale' is a scale of fp8, but 'q' is fp32");
  expect_file_refused(valid().add("sink", "F32", {4}, std::vector<float>(4, 1.0F)).bytes(), "(did you mean 'sinks'?)");
  file = valid();
  file.header()["q"]["shape"] = {4, 1, 32};
  expect_file_refused(file.bytes(), "query_heads = 1 is not a multiple of kv_heads = 2, which is axis 1 of tensor 'q'");
}

TEST_F(Files, PageNumbersOf64Bits) {
  const auto paged = [](const std::vector<std::int64_t>& pages) {
    FileMaker file;
    file.add("q", "F32", {4, 4, 8}, std::vector<float>(128, 0.5F))
        .add("k", "F32", {3, 2, 2, 8}, std::vector<float>(96, 0.25F))
        .add("v", "F32", {3, 2, 2, 8}, std::vector<float>(96, 2.0F))
        .add("query_indptr", "I32", {3}, std::vector<std::int32_t>{0, 3, 4})
        .add("key_lengths", "I64", {2}, std::vector<std::int64_t>{3, 1})
        .add("block_table", "I64", {2, 2}, pages);
    return file.bytes();
  };
  EXPECT_EQ(varlen({"run", write("in.safetensors", paged({2, 0, 1, 1})), "--check"}).status, 0);
  expect_file_refused(paged({2, 0, std::int64_t{1} << 32, 1}), "tensor 'block_table': block_table[2] = 4294967296");
  expect_file_refused(paged({2, 3, 1, 1}), "tensor 'block_table': block_table[1] = 3");
}

TEST_F(Files, OffsetsThatAreNone) {
  const auto with_offsets = [](const std::vector<std::int32_t>& offsets) {
    FileMaker file = valid();
    std::string& data = file.data();
    std::memcpy(data.data() + file.header()["query_indptr"]["data_offsets"][0].get<std::size_t>(), offsets.data(), 12);
    return file.bytes();
  };
  expect_file_refused(with_offsets({0, 3, 2}), "query_indptr[2] = 2 is less than query_indptr[1] = 3");
  expect_file_refused(with_offsets({1, 3, 4}), "query_indptr[0] = 1");
  expect_file_refused(with_offsets({0, 3, 5}), "last query offset = 5");
}

TEST_F(Files, NoFileAtAll) {
  expect_refused({"run", path("absent.safetensors")}, "absent.safetensors: no such file");
  expect_refused({"run", path("")}, "is a folder");
}

}  // namespace
}  // namespace varlen::test
