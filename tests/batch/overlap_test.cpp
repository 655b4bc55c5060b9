// Outputs share memory with nothing; inputs may with each other.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "batch/footprint.hpp"
#include "tensor_fixture.hpp"

namespace varlen {
namespace {

using test::address;
using test::TensorsTest;

class OverlapTest : public TensorsTest {
 protected:
  void overlaps(const std::string& field) const {
    try {
      validate(batch_, tensors_);
      ADD_FAILURE() << field << " overlaps, but was not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.field(), field) << error.what();
      EXPECT_NE(std::string(error.what()).find("outputs must share memory with no other tensor"), std::string::npos);
    }
  }
};

TEST_F(OverlapTest, NamesBothTensors) {
  tensors_.out.data = address(1, 1024);
  refused("out.data", kNone, "query.data + 1024 bytes",
          "(6144 bytes) overlaps query (12288 bytes): outputs must share memory with no other tensor");
  tensors_.out.data = address(1);
  refused("out.data", kNone, "query.data",
          "(6144 bytes) overlaps query (12288 bytes): outputs must share memory with no other tensor");
  tensors_.out.data = address(1);
  tensors_.query.data = address(1, 64);
  refused("out.data", kNone, "query.data - 64 bytes",
          "(6144 bytes) overlaps query (12288 bytes): outputs must share memory with no other tensor");
}

TEST_F(OverlapTest, RangesThatTouchAreApart) {
  tensors_.out.data = address(1, 12288);
  legal();
  tensors_.out.data = address(1, 12288 - 2);
  overlaps("out.data");
  tensors_.query.data = address(4, 6144);
  tensors_.out.data = address(4);
  legal();
  tensors_.query.data = address(4, 6144 - 2);
  overlaps("out.data");
}

TEST_F(OverlapTest, EveryInputCounts) {
  tensors_.out.data = tensors_.value.data;
  overlaps("out.data");
  tensors_.out.data = address(4);
  tensors_.lse.data = address(2, 4);
  overlaps("lse.data");
  tensors_.lse.data = address(5);
  tensors_.sinks = TensorView::dense(address(5, 16), Dtype::kFloat32, {8});
  overlaps("lse.data");
}

TEST_F(OverlapTest, ScalesAndPagesCount) {
  make_paged();
  make_fp8();
  legal();
  tensors_.value_scale = TensorView::dense(address(4, 4), Dtype::kFloat32, {3, 2});
  overlaps("out.data");
  tensors_.value_scale = {};
  tensors_.lse.data = table_.data();
  overlaps("lse.data");
}

TEST_F(OverlapTest, OutputsWithEachOther) {
  tensors_.lse.data = address(4, 1000);
  overlaps("lse.data");
}

TEST_F(OverlapTest, InputsMayShareMemory) {
  tensors_.value =
      TensorView::strided(tensors_.key.data, Dtype::kBFloat16, {20, 2, 32}, {128, 64, 1});  // K's first half
  legal();
}

TEST_F(OverlapTest, SlicesOfOnePackedTensorAreApart) {
  // One row per token: query 8 × 64 | out 8 × 32.
  constexpr std::int64_t kRow = 8 * 64 + 8 * 32;
  tensors_.query = TensorView::strided(address(1), Dtype::kBFloat16, {12, 8, 64}, {kRow, 64, 1});
  tensors_.out = TensorView::strided(address(1, 8 * 64 * 2), Dtype::kBFloat16, {12, 8, 32}, {kRow, 32, 1});
  legal();
  tensors_.out.data = address(1, 8 * 64 * 2 - 2);  // reaches into the query
  overlaps("out.data");
  tensors_.out.data = address(1, 8 * 64 * 2 + 2);  // reaches into the next row's query
  overlaps("out.data");
  tensors_.out.data = address(1, 8 * 64 * 2);
  tensors_.out.strides[0] = kRow + 1;  // drifts through it
  overlaps("out.data");
}

TEST_F(OverlapTest, OutputBeforeItsQueryInOneRow) {
  constexpr std::int64_t kRow = 8 * 64 + 8 * 32;
  tensors_.out = TensorView::strided(address(1), Dtype::kBFloat16, {12, 8, 32}, {kRow, 32, 1});
  tensors_.query = TensorView::strided(address(1, 8 * 32 * 2), Dtype::kBFloat16, {12, 8, 64}, {kRow, 64, 1});
  legal();
}

TEST_F(OverlapTest, TheLseInAColumnOfTheOutputIsApart) {
  batch_.output_dtype = Dtype::kFloat32;
  tensors_.out = TensorView::strided(address(4), Dtype::kFloat32, {12, 8, 32}, {8 * 33, 33, 1});
  tensors_.lse = TensorView::strided(address(4, 32 * 4), Dtype::kFloat32, {12, 8}, {8 * 33, 33});
  legal();
  tensors_.lse.data = address(4, 31 * 4);
  overlaps("lse.data");
  tensors_.lse.data = address(4, 33 * 4);  // the first column of the next head
  overlaps("lse.data");
}

TEST_F(OverlapTest, SlicesOfHeadsFirstTensorsAreApart) {
  // [heads, tokens, 64 | 32] in memory: the output of each (head, token) behind its query.
  tensors_.query = TensorView::strided(address(1), Dtype::kBFloat16, {12, 8, 64}, {96, 12 * 96, 1});
  tensors_.out = TensorView::strided(address(1, 64 * 2), Dtype::kBFloat16, {12, 8, 32}, {96, 12 * 96, 1});
  legal();
  tensors_.out.data = address(1, 63 * 2);
  overlaps("out.data");
}

TEST_F(OverlapTest, EveryOtherTokenIsApartFromTheOnesBetween) {
  // Tokens of the output lie between every second token of a longer query: strides differ.
  tensors_.query = TensorView::strided(address(1), Dtype::kBFloat16, {24, 8, 64}, {1024, 64, 1});
  tensors_.out = TensorView::strided(address(1, 512 * 2), Dtype::kBFloat16, {12, 8, 32}, {2048, 32, 1});
  legal();
  tensors_.out.strides[0] = 2048 + 128;  // drifts into a query after four tokens
  overlaps("out.data");
  tensors_.out.shape[0] = 12;
  tensors_.out.data = address(1, 1024 * 2);
  tensors_.out.strides[0] = 2048;
  overlaps("out.data");
}

TEST_F(OverlapTest, MillionsOfTokensTakeNoTime) {
  constexpr std::int64_t kTokens = 500'000'000;
  constexpr std::int64_t kRow = 8 * 64 + 8 * 32;
  tensors_.query = TensorView::strided(address(1), Dtype::kBFloat16, {kTokens, 8, 64}, {kRow, 64, 1});
  tensors_.out = TensorView::strided(address(1, 8 * 64 * 2), Dtype::kBFloat16, {kTokens, 8, 32}, {kRow, 32, 1});
  tensors_.key.data = address(4096);
  tensors_.value.data = address(4097);
  tensors_.lse.data = address(4098);
  legal();
  tensors_.out.strides[0] = kRow + 1;  // drifts through the query
  overlaps("out.data");
}

TEST_F(OverlapTest, WhatWouldTakeLongToTellCountsAsOverlapping) {
  // Rows of 64 elements drift by 8 elements a token through gaps of a million.
  constexpr std::int64_t kGap = 1'000'000;
  const auto drifting = [&](std::int64_t tokens) {
    query_indptr_ = {0, 0, 0, tokens};
    tensors_.query = TensorView::strided(address(1), Dtype::kBFloat16, {tokens, 8, 64}, {kGap, 64, 1});
    tensors_.out = TensorView::strided(address(1, 2 * 512), Dtype::kBFloat16, {tokens, 8, 32}, {kGap + 8, 32, 1});
    tensors_.lse = {};
    tensors_.key.data = address(4096);
    tensors_.value.data = address(4097);
  };
  drifting(4000);
  legal();
  drifting(5000);
  overlaps("out.data");
}

TEST_F(OverlapTest, SharedElementsOfAnInputCountOnce) {
  tensors_.key = TensorView::strided(address(4, 6144), Dtype::kBFloat16, {20, 2, 64}, {0, 0, 1});
  legal();
  tensors_.key.data = address(4, 6144 - 128);
  overlaps("out.data");
  tensors_.key = TensorView::strided(address(4, 6144), Dtype::kBFloat16, {20, 2, 64}, {16, 8, 1});
  legal();
}

TEST_F(OverlapTest, EmptyTensorsOverlapNothing) {
  query_indptr_ = {0, 0, 0, 0};
  tensors_.out = TensorView::dense(tensors_.key.data, Dtype::kBFloat16, {0, 8, 32});
  tensors_.lse = {};
  legal();
}

/// Up to three axes with strides in any relation: the answer by looking at every byte.
TEST(Footprints, OverlapIsExactForSmallViews) {
  std::mt19937_64 random(1);
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  const auto view = [&] {
    const Dtype dtype = below(2) == 0 ? Dtype::kBFloat16 : Dtype::kFloat32;
    const auto at = static_cast<std::uintptr_t>(below(60) * dtype_size(dtype));
    return TensorView::strided(address(1, at), dtype, {below(5), 1 + below(4), 1 + below(3)},
                               {below(30), below(12), below(5)});
  };
  const auto bytes = [](const TensorView& of) {
    std::set<std::uintptr_t> result;
    for (std::int64_t i = 0; i < of.shape[0]; ++i) {
      for (std::int64_t j = 0; j < of.shape[1]; ++j) {
        for (std::int64_t k = 0; k < of.shape[2]; ++k) {
          const std::int64_t element = i * of.strides[0] + j * of.strides[1] + k * of.strides[2];
          for (std::int64_t b = 0; b < dtype_size(of.dtype); ++b) {
            result.insert(reinterpret_cast<std::uintptr_t>(of.data) +
                          static_cast<std::uintptr_t>(element * dtype_size(of.dtype) + b));
          }
        }
      }
    }
    return result;
  };
  int apart_though_interleaved = 0;
  for (int round = 0; round < 20'000; ++round) {
    const TensorView a = view();
    const TensorView b = view();
    const std::set<std::uintptr_t> of_a = bytes(a);
    const std::set<std::uintptr_t> of_b = bytes(b);
    const bool expected = std::any_of(of_a.begin(), of_a.end(), [&](auto byte) { return of_b.count(byte) > 0; });
    ASSERT_EQ(overlap(footprint(a), footprint(b)), expected) << "round " << round;
    if (of_a.empty() || of_b.empty()) continue;
    ASSERT_EQ(footprint(a).bytes, static_cast<std::int64_t>(*of_a.rbegin() - *of_a.begin() + 1));
    apart_though_interleaved += !expected && *of_a.begin() < *of_b.rbegin() && *of_b.begin() < *of_a.rbegin();
  }
  EXPECT_GT(apart_though_interleaved, 500);
}

class WorkspaceTest : public OverlapTest {};

TEST_F(WorkspaceTest, SharesMemoryWithNoTensor) {
  const auto refused = [&](std::uintptr_t gigabytes, std::uintptr_t bytes, const std::string& value,
                           const std::string& rest) {
    test::expect_refused([&] { check_workspace_apart(tensors_, address(gigabytes, bytes), 4096); }, "workspace.data",
                         kNone, value,
                         "workspace.data = " + value + " (4096 bytes) overlaps " + rest +
                             ": the workspace must share memory with no tensor");
  };
  refused(1, 64, "query.data + 64 bytes", "query (12288 bytes)");
  refused(1, 12288 - 64, "query.data + 12224 bytes", "query (12288 bytes)");
  refused(2, 0, "key.data", "key (5120 bytes)");
  refused(3, 64, "value.data + 64 bytes", "value (2560 bytes)");
  refused(4, 64, "out.data + 64 bytes", "out (6144 bytes)");
  refused(4, 0, "out.data", "out (6144 bytes)");
  tensors_.lse.data = address(5, 64);
  refused(5, 0, "lse.data - 64 bytes", "lse (384 bytes)");
  tensors_.sinks = TensorView::dense(address(6), Dtype::kFloat32, {8});
  refused(6, 0, "sinks.data", "sinks (32 bytes)");
  EXPECT_NO_THROW(check_workspace_apart(tensors_, address(6, 64), 4096));
  EXPECT_NO_THROW(check_workspace_apart(tensors_, address(1, 12288), 4096));
  EXPECT_NO_THROW(check_workspace_apart(tensors_, address(1), 0));
}

}  // namespace
}  // namespace varlen
