// Every rule about a batch: what is refused, with its message, and what is legal.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "batch/ragged_batch.hpp"
#include "refusal.hpp"

namespace varlen {
namespace {

using test::expect_refused;
using Wide = std::vector<std::int64_t>;
using Narrow = std::vector<std::int32_t>;

constexpr std::int64_t kNone = Error::kNoIndex;
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

IndexView view(const Wide& values) { return std::span<const std::int64_t>(values); }
IndexView view(const Narrow& values) { return std::span<const std::int32_t>(values); }
IndexView of_size(const Wide& values, std::size_t size) { return std::span<const std::int64_t>(values.data(), size); }

class BatchTest : public testing::Test {
 protected:
  BatchTest() {
    batch_.query_indptr = view(indptr_);
    batch_.key_indptr = view(indptr_);
    batch_.query_heads = 8;
    batch_.kv_heads = 2;
    batch_.head_dim_qk = 64;
  }

  void refused(const std::string& field, std::int64_t index, const std::string& value, const std::string& rule) const {
    const std::string place = index == kNone ? field : field + "[" + std::to_string(index) + "]";
    expect_refused([&] { validate(batch_); }, field, index, value, place + " = " + value + " " + rule);
  }

  void set_query(const Wide& indptr) {
    query_ = indptr;
    batch_.query_indptr = view(query_);
  }
  void set_query_lengths(const Wide& lengths) {
    lengths_ = lengths;
    batch_.query_lengths = view(lengths_);
  }

  Wide indptr_{0, 5, 5, 12};
  Wide query_;
  Wide lengths_;
  Batch batch_;
};

TEST_F(BatchTest, ResolvesDefaults) {
  const RaggedBatch ragged = canonical(batch_);
  EXPECT_EQ(ragged.group, 4);
  EXPECT_EQ(ragged.head_dim_vo, 64);
  EXPECT_EQ(ragged.scale, 0.125F);
  EXPECT_EQ(ragged.query_tokens, 12);
  EXPECT_EQ(ragged.key_tokens, 12);
  ASSERT_EQ(ragged.requests.size(), 3U);
  EXPECT_EQ(ragged.requests[1].query_start, 5);
  EXPECT_EQ(ragged.requests[1].query_length, 0);
  EXPECT_EQ(ragged.requests[2].key_start, 5);
  EXPECT_EQ(ragged.requests[2].key_length, 7);
}

TEST_F(BatchTest, RefusesDecreasingOffsets) {
  set_query({0, 256, 700, 512});
  refused("query_indptr", 3, "512", "is less than query_indptr[2] = 700: offsets must not decrease");
  const Narrow narrow{0, 3, 2, 9};
  batch_.query_indptr = view(narrow);
  refused("query_indptr", 2, "2", "is less than query_indptr[1] = 3: offsets must not decrease");
  batch_.query_indptr = view(indptr_);
  batch_.key_indptr = view(narrow);
  refused("key_indptr", 2, "2", "is less than key_indptr[1] = 3: offsets must not decrease");
}

TEST_F(BatchTest, NamesTheFirstDecreasingOffset) {
  set_query({0, 5, 4, 3});
  refused("query_indptr", 2, "4", "is less than query_indptr[1] = 5: offsets must not decrease");
}

TEST_F(BatchTest, RefusesDifferencesThatWrapAround) {
  set_query({0, kMax, std::numeric_limits<std::int64_t>::min(), kMax});
  refused("query_indptr", 2, "-9223372036854775808",
          "is less than query_indptr[1] = 9223372036854775807: offsets must not decrease");
}

TEST_F(BatchTest, RefusesFirstOffsetNotZero) {
  set_query({1, 5, 5, 12});
  refused("query_indptr", 0, "1", "must be 0: offsets start at the first token");
  set_query({-1, 5, 5, 12});
  refused("query_indptr", 0, "-1", "must be 0: offsets start at the first token");
}

TEST_F(BatchTest, RefusesEmptyOffsets) {
  set_query({});
  refused("query_indptr", kNone, "empty", "must have requests + 1 elements: a single 0 for no requests");
}

TEST_F(BatchTest, RefusesOffsetsOfUnequalLength) {
  set_query({0, 5, 12});
  refused("key_indptr", kNone, "array for 3 requests", "does not match query_indptr for 2 requests");
}

TEST_F(BatchTest, RefusesLengthsThatDoNotMatchOffsets) {
  set_query_lengths({5, 0});
  refused("query_lengths", kNone, "array of 2", "must have 3 elements, one less than query_indptr");
  set_query_lengths({5, 0, 8});
  refused("query_lengths", 2, "8", "exceeds the request's range query_indptr[3] - query_indptr[2] = 7");
  set_query_lengths({5, -1, 8});
  refused("query_lengths", 1, "-1", "must not be negative");
}

TEST_F(BatchTest, LengthsMayLeaveGaps) {
  set_query_lengths({2, 0, 7});
  const RaggedBatch ragged = canonical(batch_);
  EXPECT_EQ(ragged.requests[0].query_length, 2);
  EXPECT_EQ(ragged.requests[2].query_start, 5);
  EXPECT_EQ(ragged.query_tokens, 12) << "the tensor still spans the whole ranges";
}

TEST_F(BatchTest, LengthsAloneLieEndToEnd) {
  batch_.query_indptr = {};
  const Narrow lengths{4, 0, 3};
  batch_.query_lengths = view(lengths);
  const RaggedBatch ragged = canonical(batch_);
  EXPECT_EQ(ragged.requests[1].query_start, 4);
  EXPECT_EQ(ragged.requests[2].query_start, 4);
  EXPECT_EQ(ragged.requests[2].query_length, 3);
  EXPECT_EQ(ragged.query_tokens, 7);
  EXPECT_EQ(request_count(batch_), 3);
}

TEST_F(BatchTest, RefusesNegativeLengths) {
  batch_.query_indptr = {};
  set_query_lengths({4, -7, 3});
  refused("query_lengths", 1, "-7", "must not be negative");
}

TEST_F(BatchTest, RefusesLengthsThatSumBeyond64Bits) {
  batch_.query_indptr = {};
  set_query_lengths({kMax, 1, 0});
  refused("query_lengths", 1, "1", "makes the sum of lengths exceed 2^63 - 1");
  set_query_lengths({kMax, kMax, 2});  // wraps around to 0, which a check of the total alone would take
  refused("query_lengths", 1, "9223372036854775807", "makes the sum of lengths exceed 2^63 - 1");
}

TEST_F(BatchTest, RefusesMissingArrays) {
  batch_.query_indptr = {};
  refused("query_indptr", kNone, "absent", "and query_lengths is absent as well: one of them is needed");
  batch_.query_indptr = view(indptr_);
  batch_.key_indptr = {};
  refused("key_indptr", kNone, "absent", "and key_lengths is absent as well: one of them is needed");
}

TEST_F(BatchTest, RefusesMoreRequestsThan32BitsCount) {
  // Never read: the size alone is refused.
  batch_.query_indptr = of_size(indptr_, (std::size_t{1} << 31) + 1);
  batch_.key_indptr = batch_.query_indptr;
  refused("query_indptr", kNone, "array of 2147483648", "requests is too long: at most 2147483647 requests");
}

TEST_F(BatchTest, RefusesBytesBeyond64Bits) {
  // 2^63 bytes at 8 heads of 64 fp32 partials: 2^52 tokens.
  set_query({0, 5, 5, std::int64_t{1} << 52});
  refused("query_indptr", 3, "4503599627370496", "tokens x 8 heads x 256 bytes exceed 2^63 - 1 bytes");
  set_query({0, 5, 5, (std::int64_t{1} << 52) - 1});
  const Wide few_keys{0, 9, 9, 9};
  batch_.key_indptr = view(few_keys);
  EXPECT_NO_THROW(validate(batch_));
  batch_.key_indptr = view(indptr_);
  batch_.query_indptr = {};
  set_query_lengths({kMax, 0, 0});
  refused("query_lengths", kNone, "lengths of 9223372036854775807",
          "tokens in all: x 8 heads x 256 bytes they exceed 2^63 - 1 bytes");
}

TEST_F(BatchTest, RefusesMoreScoresThanCostsCanCount) {
  set_query({0, 0, 0, std::int64_t{1} << 40});
  const Wide keys{0, 0, 0, std::int64_t{1} << 40};
  batch_.key_indptr = view(keys);
  expect_refused(
      [&] { validate(batch_); }, "requests", 2, "1099511627776 queries x 1099511627776 keys",
      "requests[2] = 1099511627776 queries x 1099511627776 keys x 8 heads brings the batch above 2^56 scores: "
      "their cost must fit 64 bits");
}

TEST_F(BatchTest, TakesTotalsBeyond32Bits) {
  const Wide offsets{0, 1'000'000, (std::int64_t{1} << 39) - 1, std::int64_t{1} << 39};
  batch_.key_indptr = view(offsets);  // 2^39 tokens, 2^46 elements
  const RaggedBatch ragged = canonical(batch_);
  EXPECT_EQ(ragged.requests[1].key_length, (std::int64_t{1} << 39) - 1'000'001);
  EXPECT_EQ(ragged.requests[2].key_start, (std::int64_t{1} << 39) - 1);
}

TEST_F(BatchTest, RefusesHeads) {
  batch_.query_heads = 0;
  refused("query_heads", kNone, "0", "must be positive");
  batch_.query_heads = -8;
  refused("query_heads", kNone, "-8", "must be positive");
  batch_.query_heads = 8;
  batch_.kv_heads = 0;
  refused("kv_heads", kNone, "0", "must be positive");
  batch_.kv_heads = 3;
  refused("query_heads", kNone, "8", "is not a multiple of kv_heads = 3");
  batch_.kv_heads = 16;
  refused("query_heads", kNone, "8", "is not a multiple of kv_heads = 16");
}

TEST_F(BatchTest, RefusesHeadDims) {
  for (const std::int32_t dim : {0, -8, 4, 12, 577, 584}) {
    batch_.head_dim_qk = dim;
    refused("head_dim_qk", kNone, std::to_string(dim), "must be a multiple of 8 from 8 to 576");
  }
  batch_.head_dim_qk = 64;
  for (const std::int32_t dim : {-8, 4, 12, 577, 584}) {
    batch_.head_dim_vo = dim;
    refused("head_dim_vo", kNone, std::to_string(dim), "must be a multiple of 8 from 8 to 576");
  }
}

TEST_F(BatchTest, TakesEveryMultipleOfEightAndAnyGroup) {
  for (std::int32_t dim = 8; dim <= kMaxHeadDim; dim += 8) {
    batch_.head_dim_qk = dim;
    batch_.head_dim_vo = kMaxHeadDim + 8 - dim;
    EXPECT_NO_THROW(validate(batch_)) << dim;
  }
  for (const std::int32_t group : {1, 3, 7, 71, 128, 1000}) {
    batch_.query_heads = 2 * group;
    EXPECT_EQ(canonical(batch_).group, group);
  }
}

TEST_F(BatchTest, RefusesDtypes) {
  batch_.query_dtype = Dtype::kInt32;
  refused("query_dtype", kNone, "int32", "must be fp32, fp16, bf16, fp8_e4m3 or fp8_e5m2");
  batch_.query_dtype = Dtype::kInt64;
  refused("query_dtype", kNone, "int64", "must be fp32, fp16, bf16, fp8_e4m3 or fp8_e5m2");
  for (const std::int32_t number : {-1, 7, 1000}) {
    batch_.query_dtype = static_cast<Dtype>(number);
    refused("query_dtype", kNone, std::to_string(number), "must be fp32, fp16, bf16, fp8_e4m3 or fp8_e5m2");
  }
  batch_.query_dtype = Dtype::kFloat8E5M2;
  batch_.kv_dtype = Dtype::kFloat8E4M3;
  expect_refused([&] { validate(batch_); }, "kv_dtype", kNone, "fp8_e4m3",
                 "kv_dtype = fp8_e4m3 is not query_dtype, fp8_e5m2: no backend computes that yet",
                 ErrorCode::kUnsupported);
  batch_.kv_dtype = Dtype::kFloat8E5M2;
  batch_.output_dtype = Dtype::kFloat8E4M3;
  refused("output_dtype", kNone, "fp8_e4m3", "must be fp32, fp16 or bf16");
  batch_.output_dtype = static_cast<Dtype>(77);
  refused("output_dtype", kNone, "77", "must be fp32, fp16 or bf16");
}

TEST_F(BatchTest, RefusesScales) {
  batch_.scale = 0.0F;
  refused("scale", kNone, "0", "must be finite and not 0");
  batch_.scale = -0.0F;
  refused("scale", kNone, "-0", "must be finite and not 0");
  batch_.scale = kNan;
  refused("scale", kNone, "nan", "must be finite and not 0");
  batch_.scale = -kInf;
  refused("scale", kNone, "-inf", "must be finite and not 0");
  batch_.scale = -2.0F;
  EXPECT_EQ(canonical(batch_).scale, -2.0F);
}

TEST_F(BatchTest, RefusesSoftCaps) {
  for (const float cap : {-1.0F, kNan, kInf, -kInf}) {
    batch_.soft_cap = cap;
    refused("soft_cap", kNone,
            std::isnan(cap) ? "nan"
            : cap == kInf   ? "inf"
            : cap == -kInf  ? "-inf"
                            : "-1",
            "must be positive and finite, or 0 for none");
  }
  batch_.soft_cap = 30.0F;
  EXPECT_NO_THROW(validate(batch_));
}

TEST_F(BatchTest, RefusesWindows) {
  batch_.mask = Mask::window(-2, 0);
  refused("mask.left", kNone, "-2", "must be a number of keys, or -1 for unlimited");
  batch_.mask = Mask::window(0, std::numeric_limits<std::int64_t>::min());
  refused("mask.right", kNone, "-9223372036854775808", "must be a number of keys, or -1 for unlimited");
}

TEST_F(BatchTest, KeepsWindowsAndUnlimitsTheBoundless) {
  batch_.mask = Mask::window(0, 1'000'000);
  EXPECT_EQ(canonical(batch_).mask.left, 0);
  EXPECT_EQ(canonical(batch_).mask.right, 1'000'000);
  batch_.mask = Mask::window(kMax, std::int64_t{1} << 60);
  EXPECT_EQ(canonical(batch_).mask.left, Mask::kUnlimited);
  EXPECT_EQ(canonical(batch_).mask.right, Mask::kUnlimited);
}

TEST_F(BatchTest, Pages) {
  batch_.page_size = -1;
  refused("page_size", kNone, "-1", "must be positive, or 0 for keys that are not paged");
  batch_.page_size = 16;
  refused("key_indptr", kNone, "present", "but page_size = 16: paged keys take key_lengths alone");
  batch_.key_indptr = {};
  refused("key_lengths", kNone, "absent", "but page_size = 16: paged keys need it");
  const Wide two{3, 4};
  batch_.key_lengths = view(two);
  refused("key_lengths", kNone, "array for 2 requests", "does not match query_indptr for 3 requests");
  const Wide negative{3, -4, 5};
  batch_.key_lengths = view(negative);
  refused("key_lengths", 1, "-4", "must not be negative");
  const Wide lengths{30, 0, 7};
  batch_.key_lengths = view(lengths);
  const RaggedBatch ragged = canonical(batch_);
  EXPECT_EQ(ragged.requests[2].key_start, 0);
  EXPECT_EQ(ragged.requests[2].key_length, 7);
  EXPECT_EQ(ragged.key_tokens, 37);
}

TEST_F(BatchTest, ZeroRequestsAreLegal) {
  set_query({0});
  const Narrow none;
  batch_.key_indptr = {};
  batch_.key_lengths = view(none);
  const RaggedBatch ragged = canonical(batch_);
  EXPECT_TRUE(ragged.requests.empty());
  EXPECT_EQ(request_count(batch_), 0);
}

TEST_F(BatchTest, QueryLongerThanKeyIsLegal) {
  const Wide keys{0, 1, 1, 1};
  batch_.key_indptr = view(keys);
  EXPECT_NO_THROW(validate(batch_));
}

}  // namespace
}  // namespace varlen
