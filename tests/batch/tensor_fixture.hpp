// A valid batch and tensors for it. Validation of ragged tensors reads no element, so their addresses need no memory.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "batch/ragged_batch.hpp"
#include "refusal.hpp"

namespace varlen::test {

/// An address that is never read: `gigabytes` GiB, plus some bytes.
inline void* address(std::uintptr_t gigabytes, std::uintptr_t bytes = 0) {
  return reinterpret_cast<void*>((gigabytes << 30) + bytes);
}

class TensorsTest : public testing::Test {
 protected:
  TensorsTest() {
    batch_.query_indptr = std::span<const std::int64_t>(query_indptr_);
    batch_.key_indptr = std::span<const std::int64_t>(key_indptr_);
    batch_.query_heads = 8;
    batch_.kv_heads = 2;
    batch_.head_dim_qk = 64;
    batch_.head_dim_vo = 32;
    tensors_.query = TensorView::dense(address(1), Dtype::kBFloat16, {12, 8, 64});
    tensors_.key = TensorView::dense(address(2), Dtype::kBFloat16, {20, 2, 64});
    tensors_.value = TensorView::dense(address(3), Dtype::kBFloat16, {20, 2, 32});
    tensors_.out = TensorView::dense(address(4), Dtype::kBFloat16, {12, 8, 32});
    tensors_.lse = TensorView::dense(address(5), Dtype::kFloat32, {12, 8});
  }

  /// Turns the keys into 6 pages of 4, of which the requests use pages 5, 0 | none | 3, 1, 2.
  void make_paged() {
    batch_.key_indptr = {};
    batch_.key_lengths = std::span<const std::int64_t>(key_lengths_);
    batch_.page_size = 4;
    tensors_.key = TensorView::dense(address(2), Dtype::kBFloat16, {6, 4, 2, 64});
    tensors_.value = TensorView::dense(address(3), Dtype::kBFloat16, {6, 4, 2, 32});
    tensors_.block_table = TensorView::dense(table_.data(), Dtype::kInt32, {3, 4});
  }

  void make_fp8() {
    batch_.query_dtype = Dtype::kFloat8E4M3;
    for (TensorView* view : {&tensors_.query, &tensors_.key, &tensors_.value}) view->dtype = Dtype::kFloat8E4M3;
  }

  void legal() const { EXPECT_NO_THROW(validate(batch_, tensors_)); }

  void refused(const std::string& field, std::int64_t index, const std::string& value, const std::string& rule,
               ErrorCode code = ErrorCode::kInvalidArgument) const {
    const std::string place = index == Error::kNoIndex ? field : field + "[" + std::to_string(index) + "]";
    expect_refused([&] { validate(batch_, tensors_); }, field, index, value, place + " = " + value + " " + rule, code);
  }

  static constexpr std::int64_t kNone = Error::kNoIndex;

  std::vector<std::int64_t> query_indptr_{0, 5, 5, 12};
  std::vector<std::int64_t> key_indptr_{0, 9, 9, 20};
  std::vector<std::int64_t> key_lengths_{7, 0, 9};
  std::vector<std::int32_t> table_{5, 0, -1, 99, -1, -1, -1, -1, 3, 1, 2, 1 << 30};
  Batch batch_;
  Tensors tensors_;
};

}  // namespace varlen::test
