// Block tables: which entries are looked at, and what they may be.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tensor_fixture.hpp"

namespace varlen {
namespace {

using test::address;

using PagesTest = test::TensorsTest;

TEST_F(PagesTest, PagesAreLegal) {
  make_paged();
  legal();
  tensors_.key = TensorView::strided(address(2), Dtype::kBFloat16, {6, 4, 2, 64}, {512, 64, 256, 1});  // HND
  legal();
  table_[8] = 5;  // requests may share a page
  legal();
}

TEST_F(PagesTest, RefusesPageNumbersThatTheKeysReach) {
  make_paged();
  table_[10] = 6;
  refused("block_table", 10, "6", "(request 2, page 2) is not a page of the pool's 6");
  table_[10] = -1;
  refused("block_table", 10, "-1", "(request 2, page 2) is not a page of the pool's 6");
}

TEST_F(PagesTest, PageNumbersBeyondTheKeysAreNotLookedAt) {
  make_paged();
  key_lengths_ = {8, 0, 12};  // to the last key of the same pages
  legal();
  key_lengths_ = {9, 0, 12};
  refused("block_table", 2, "-1", "(request 0, page 2) is not a page of the pool's 6");
}

TEST_F(PagesTest, RefusesKeysBeyondTheirPages) {
  make_paged();
  key_lengths_[0] = 17;
  refused("key_lengths", 0, "17", "exceeds the request's 4 pages of 4 keys");
}

TEST_F(PagesTest, PagesThatNoQuerySeesAreNotLookedAt) {
  make_paged();
  query_indptr_ = {0, 2, 2, 5};  // requests 0 and 2 have 2 queries on 7 keys and 3 on 9
  batch_.mask = Mask::causal_window(1);
  legal();
  table_[0] = -1;       // keys 4 … 6 are seen
  table_[8] = 1 << 30;  // keys 5 … 8
  legal();
  batch_.mask = Mask::causal_window(2);  // request 0 sees key 3
  refused("block_table", 0, "-1", "(request 0, page 0) is not a page of the pool's 6");
  table_[0] = 5;
  legal();
  batch_.mask = Mask::window(3, 7);  // request 2 sees key 3
  refused("block_table", 8, "1073741824", "(request 2, page 0) is not a page of the pool's 6");
}

TEST_F(PagesTest, PagesOfARequestWithoutQueriesAreNotLookedAt) {
  make_paged();
  query_indptr_ = {0, 5, 5, 5};
  batch_.query_lengths = {};
  key_lengths_ = {7, 400, 9};
  table_ = {5, 0, -1, -1, -1, -1, -1, -1, -7, 1 << 30, -1, -1};
  legal();
}

TEST_F(PagesTest, PageNumbersMayHave64Bits) {
  make_paged();
  std::vector<std::int64_t> wide{5, 0, -1, -1, -1, -1, -1, -1, 3, 1, 2, -1};
  tensors_.block_table = TensorView::dense(wide.data(), Dtype::kInt64, {3, 4});
  legal();
  wide[9] = (std::int64_t{1} << 32) + 1;  // page 1 to whoever reads 32 bits
  refused("block_table", 9, "4294967297", "(request 2, page 1) is not a page of the pool's 6");
  wide[9] = -1;
  refused("block_table", 9, "-1", "(request 2, page 1) is not a page of the pool's 6");
  wide[9] = 1;
  tensors_.block_table.data = reinterpret_cast<std::byte*>(wide.data()) + 4;
  refused("block_table.data", kNone, "4 modulo 8", "must be aligned to its 8-byte elements");
}

TEST_F(PagesTest, RowsOfABlockTable) {
  make_paged();  // requests of 7, 0 and 9 keys
  table_ = {-1, -1, -1, -1, 3, 1, 2, -1, -1, -1, -1, -1, -1, -1, -1, -1, 5, 0, -1, -1};
  tensors_.block_table = TensorView::dense(table_.data(), Dtype::kInt32, {5, 4});
  refused("block_table.shape", 0, "5", "must be equal to requests = 3: [requests, pages]");
  std::vector<std::int64_t> rows = {4, -7, 1};  // the second request has no keys: its row is not read
  tensors_.block_table_rows = TensorView::dense(rows.data(), Dtype::kInt64, {3});
  legal();
  table_[6] = 6;
  refused("block_table", 6, "6", "(request 2, page 2) is not a page of the pool's 6");
  table_[6] = 2;
  for (const std::int64_t row : {std::int64_t{-1}, std::int64_t{5}, std::int64_t{1} << 32}) {
    rows[2] = row;
    refused("block_table_rows", 2, std::to_string(row), "is not a row of the block table's 5");
  }
  rows[2] = 1;
  key_lengths_[2] = 17;
  refused("key_lengths", 2, "17", "exceeds the request's 4 pages of 4 keys");
}

TEST_F(PagesTest, RefusesLayoutsOfRows) {
  make_paged();
  std::vector<std::int32_t> rows = {0, 1, 2};
  tensors_.block_table_rows = TensorView::dense(rows.data(), Dtype::kInt32, {3});
  legal();
  tensors_.block_table_rows.shape[0] = 2;
  refused("block_table_rows.shape", 0, "2", "must be equal to requests = 3: [requests]");
  tensors_.block_table_rows = TensorView::dense(rows.data(), Dtype::kFloat32, {3});
  refused("block_table_rows.dtype", kNone, "fp32", "must be int32 or int64 (rows of the block table)");
  tensors_.block_table_rows = TensorView::dense(rows.data(), Dtype::kInt32, {3});
  tensors_.block_table = {};
  refused("block_table.data", kNone, "null", "but the batch has data there");
}

TEST_F(PagesTest, PageIndices) {
  make_paged();
  tensors_.block_table = {};
  std::vector<std::int32_t> indptr = {1, 4, 4, 7};
  std::vector<std::int64_t> indices = {-1, 5, 0, -1, 3, 1, 2, -1};
  tensors_.page_indptr = TensorView::dense(indptr.data(), Dtype::kInt32, {4});
  tensors_.page_indices = TensorView::dense(indices.data(), Dtype::kInt64, {8});
  legal();
  indices[5] = 6;
  refused("page_indices", 5, "6", "(request 2, page 1) is not a page of the pool's 6");
  indices[5] = 1;
  key_lengths_[2] = 13;
  refused("key_lengths", 2, "13", "exceeds the request's 3 pages of 4 keys");
  key_lengths_[2] = 9;
  indptr = {-1, 4, 4, 7};
  refused("page_indptr", 0, "-1", "must not be negative");
  indptr = {1, 0, 4, 7};
  refused("page_indptr", 1, "0", "is less than page_indptr[0] = 1");
  indptr = {1, 4, 6, 9};
  refused("page_indptr", 3, "9", "exceeds the 8 entries of page_indices");
  indptr = {1, 4, 2, 5};  // request 1 has no keys: its range is not read
  indices[3] = 1;
  legal();
}

TEST_F(PagesTest, RefusesLayoutsOfPageIndices) {
  make_paged();
  std::vector<std::int32_t> indptr = {0, 2, 2, 5};
  std::vector<std::int32_t> indices = {5, 0, 3, 1, 2};
  tensors_.page_indptr = TensorView::dense(indptr.data(), Dtype::kInt32, {4});
  refused("block_table.data", kNone, "not null", "although page_indptr is given: page numbers come in one form");
  tensors_.block_table = {};
  refused("page_indices.data", kNone, "null", "but the batch has data there");
  tensors_.page_indices = TensorView::dense(indices.data(), Dtype::kInt32, {5});
  legal();
  tensors_.block_table_rows = TensorView::dense(indices.data(), Dtype::kInt32, {3});
  refused("block_table_rows.data", kNone, "not null", "although page_indptr is given: page numbers come in one form");
  tensors_.block_table_rows = {};
  tensors_.page_indptr = {};
  refused("page_indptr.data", kNone, "null", "but page_indices needs it");
  tensors_.page_indptr = TensorView::dense(indptr.data(), Dtype::kInt32, {3});
  refused("page_indptr.shape", 0, "3", "must be equal to requests + 1 = 4: [requests + 1]");
  tensors_.page_indptr = TensorView::dense(indptr.data(), Dtype::kInt32, {4});
  tensors_.page_indices = TensorView::dense(indices.data(), Dtype::kInt32, {5, 1});
  refused("page_indices.rank", kNone, "2", "must be 1: [pages]");
  tensors_.page_indices = TensorView::dense(indices.data(), Dtype::kInt32, {5});
  tensors_.out.data = indices.data();
  EXPECT_THROW(validate(batch_, tensors_), Error);
}

TEST_F(PagesTest, RaggedKeysHaveNoPageNumbers) {
  std::vector<std::int32_t> numbers = {0, 0, 0, 0};
  for (const auto& [view, name] :
       {std::pair{&Tensors::block_table, "block_table.data"},
        std::pair{&Tensors::block_table_rows, "block_table_rows.data"},
        std::pair{&Tensors::page_indptr, "page_indptr.data"}, std::pair{&Tensors::page_indices, "page_indices.data"}}) {
    tensors_.*view = TensorView::dense(numbers.data(), Dtype::kInt32, {4});
    refused(name, kNone, "not null", "although page_size is 0");
    tensors_.*view = {};
  }
  legal();
}

TEST_F(PagesTest, BlockTablesMayHaveAnyStrides) {
  make_paged();
  std::vector<std::int32_t> turned{5, -1, 3, 0, -1, 1, -1, -1, 2};
  tensors_.block_table = TensorView::strided(turned.data(), Dtype::kInt32, {3, 3}, {1, 3});
  legal();
  turned[5] = 6;
  refused("block_table", 7, "6", "(request 2, page 1) is not a page of the pool's 6");
  tensors_.block_table = TensorView::strided(table_.data() + 8, Dtype::kInt32, {3, 4}, {0, 1});  // one row for all
  legal();
}

TEST_F(PagesTest, RefusesBlockTables) {
  tensors_.block_table = TensorView::dense(table_.data(), Dtype::kInt32, {3, 4});
  EXPECT_THROW(validate(batch_, tensors_), Error) << "a block table without a page size";
  make_paged();
  tensors_.block_table.shape[0] = 2;
  refused("block_table.shape", 0, "2", "must be equal to requests = 3: [requests, pages]");
  tensors_.block_table.shape[0] = 3;
  tensors_.block_table.dtype = Dtype::kFloat32;
  refused("block_table.dtype", kNone, "fp32", "must be int32 or int64 (page numbers)");
  tensors_.block_table.dtype = Dtype::kInt32;
  tensors_.block_table.strides[0] = -4;
  refused("block_table.strides", 0, "-4", "must not be negative");
  tensors_.block_table = {};
  refused("block_table.data", kNone, "null", "but the batch has data there");
  make_paged();
  tensors_.value.shape[0] = 7;
  refused("value.shape", 0, "7", "must be equal to key.shape[0] = 6: [pages, page_size, kv_heads, head_dim_vo]");
  tensors_.value.shape[0] = 6;
  tensors_.key.shape[1] = 8;
  refused("key.shape", 1, "8", "must be equal to page_size = 4: [pages, page_size, kv_heads, head_dim_qk]");
}

TEST_F(PagesTest, PagedWithoutKeysNeedsNeitherPoolNorTable) {
  make_paged();
  key_lengths_ = {0, 0, 0};
  tensors_.key = tensors_.value = tensors_.block_table = {};
  legal();
}

}  // namespace
}  // namespace varlen
