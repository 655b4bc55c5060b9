// Outputs share memory with nothing; inputs may with each other.
#include <gtest/gtest.h>

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
  refused(
      "out.data", kNone, "0x40000400",
      "(6144 bytes) overlaps query.data = 0x40000000 (12288 bytes): outputs must share memory with no other tensor");
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

TEST_F(OverlapTest, EmptyTensorsOverlapNothing) {
  query_indptr_ = {0, 0, 0, 0};
  tensors_.out = TensorView::dense(tensors_.key.data, Dtype::kBFloat16, {0, 8, 32});
  tensors_.lse = {};
  legal();
}

}  // namespace
}  // namespace varlen
