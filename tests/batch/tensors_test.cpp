// Every rule about one tensor at a time, and about pages.
#include <gtest/gtest.h>

#include <limits>

#include "tensor_fixture.hpp"

namespace varlen {
namespace {

using test::address;
using test::TensorsTest;

TEST_F(TensorsTest, DenseTensorsAreLegal) { legal(); }

TEST_F(TensorsTest, LongerTensorsAreLegal) {
  tensors_.query.shape[0] = 100;
  tensors_.key.shape[0] = 21;
  tensors_.value.shape[0] = 50;
  tensors_.out.shape[0] = 12;
  tensors_.lse.shape[0] = 1000;
  legal();
}

TEST_F(TensorsTest, RefusesTensorsShorterThanTheLastOffset) {
  tensors_.query.shape[0] = 11;
  refused("query.shape", 0, "11", "must be at least the last query offset = 12");
  tensors_.query.shape[0] = 12;
  tensors_.value.shape[0] = 19;
  refused("value.shape", 0, "19", "must be at least the last key offset = 20");
  tensors_.value.shape[0] = 20;
  tensors_.out.shape[0] = 11;
  refused("out.shape", 0, "11", "must be at least the last query offset = 12");
  tensors_.out.shape[0] = 12;
  tensors_.lse.shape[0] = 0;
  refused("lse.shape", 0, "0", "must be at least the last query offset = 12");
}

TEST_F(TensorsTest, LastOffsetCountsEvenIfLengthsStopShort) {
  const std::vector<std::int64_t> lengths{1, 0, 2};
  batch_.query_lengths = std::span<const std::int64_t>(lengths);
  legal();
  tensors_.query.shape[0] = 11;
  refused("query.shape", 0, "11", "must be at least the last query offset = 12");
}

TEST_F(TensorsTest, RefusesShapes) {
  tensors_.query.rank = 2;
  refused("query.rank", kNone, "2", "must be 3");
  tensors_.query.rank = -1;
  refused("query.rank", kNone, "-1", "must be 3");
  tensors_.query.rank = 3;
  tensors_.query.shape[1] = 4;
  refused("query.shape", 1, "4", "must be equal to query_heads = 8");
  tensors_.query.shape[1] = 8;
  tensors_.key.shape[1] = 8;
  refused("key.shape", 1, "8", "must be equal to kv_heads = 2");
  tensors_.key.shape[1] = 2;
  tensors_.key.shape[2] = 32;
  refused("key.shape", 2, "32", "must be equal to head_dim_qk = 64");
  tensors_.key.shape[2] = 64;
  tensors_.value.shape[2] = 64;
  refused("value.shape", 2, "64", "must be equal to head_dim_vo = 32");
  tensors_.value.shape[2] = 32;
  tensors_.out.shape[2] = 64;
  refused("out.shape", 2, "64", "must be equal to head_dim_vo = 32");
  tensors_.out.shape[2] = 32;
  tensors_.lse.shape[1] = 2;
  refused("lse.shape", 1, "2", "must be equal to query_heads = 8");
  tensors_.lse.shape[1] = 8;
  tensors_.lse.rank = 3;
  refused("lse.rank", kNone, "3", "must be 2");
  tensors_.lse.rank = 2;
  tensors_.lse.shape[0] = -1;
  refused("lse.shape", 0, "-1", "must not be negative");
}

TEST_F(TensorsTest, RefusesDtypes) {
  tensors_.value.dtype = Dtype::kFloat16;
  refused("value.dtype", kNone, "fp16", "must be bf16 (the batch's input_dtype)");
  tensors_.value.dtype = static_cast<Dtype>(42);
  refused("value.dtype", kNone, "42", "must be bf16 (the batch's input_dtype)");
  tensors_.value.dtype = Dtype::kBFloat16;
  tensors_.out.dtype = Dtype::kFloat32;
  refused("out.dtype", kNone, "fp32", "must be bf16 (the batch's output_dtype)");
  tensors_.out.dtype = Dtype::kBFloat16;
  tensors_.lse.dtype = Dtype::kFloat16;
  refused("lse.dtype", kNone, "fp16", "must be fp32 (LSE)");
}

TEST_F(TensorsTest, RefusesOtherDevices) {
  tensors_.key.device = DeviceKind::kCuda;
  refused("key.device", kNone, "1", "is not query.device = 0: all tensors must be in one memory");
  tensors_.key.device = static_cast<DeviceKind>(7);
  refused("key.device", kNone, "7", "is not 0 (CPU) or 1 (CUDA)");
  tensors_.key.device = DeviceKind::kCpu;
  tensors_.lse.device_index = 1;
  refused("lse.device_index", kNone, "1", "is not query.device_index = 0: all tensors must be in one memory");
  tensors_.lse.device_index = -1;
  refused("lse.device_index", kNone, "-1", "must not be negative");
}

TEST_F(TensorsTest, RefusesInnermostStrides) {
  for (const std::int64_t stride : {0, 2, -1}) {
    tensors_.query.strides[2] = stride;
    refused("query.strides", 2, std::to_string(stride), "must be 1: rows are contiguous");
  }
  tensors_.query.strides[2] = 1;
  tensors_.lse.strides[1] = 2;
  refused("lse.strides", 1, "2", "must be 1: rows are contiguous");
}

TEST_F(TensorsTest, RefusesNegativeStrides) {
  tensors_.key.strides[0] = -128;
  refused("key.strides", 0, "-128", "must not be negative");
  tensors_.key.strides[0] = 128;
  tensors_.out.strides[1] = -32;
  refused("out.strides", 1, "-32", "must not be negative");
}

TEST_F(TensorsTest, RefusesOverlappingStrides) {
  tensors_.query.strides[1] = 63;  // heads overlap by one element
  refused("query.strides", 1, "63", "overlaps: the dimensions inside it span 64 elements");
  tensors_.query.strides[1] = 64;
  tensors_.query.strides[0] = 511;  // tokens do
  refused("query.strides", 0, "511", "overlaps: the dimensions inside it span 512 elements");
  tensors_.query.strides[0] = 512;
  tensors_.out.strides[0] = 0;  // every token on one row
  refused("out.strides", 0, "0", "overlaps: the dimensions inside it span 1 elements");
  tensors_.out.strides[0] = 256;
  tensors_.key.strides[1] = 0;  // a broadcast head is kv_heads = 1, not a stride of 0
  refused("key.strides", 1, "0", "overlaps: the dimensions inside it span 1 elements");
}

TEST_F(TensorsTest, StridesOfSingleIndicesMeanNothing) {
  query_indptr_ = {0, 1, 1, 1};
  tensors_.query.shape[0] = 1;
  tensors_.query.strides[0] = -7;
  tensors_.out.shape[0] = 1;
  tensors_.out.strides[0] = 0;
  legal();
}

TEST_F(TensorsTest, HeadsMayBeOutermostAndGapsAreLegal) {
  tensors_.query.strides = {64 + 3, 12 * 67 + 5, 1, 0};
  tensors_.key.strides = {128 + 1, 64, 1, 0};
  legal();
}

TEST_F(TensorsTest, RefusesSpansBeyond64Bits) {
  tensors_.key.strides[0] = std::int64_t{1} << 60;
  refused("key.strides", 0, "1152921504606846976", "x 20 elements of 2 bytes exceeds 2^63 - 1 bytes");
  tensors_.key.strides[0] = (std::int64_t{1} << 62) / 19;  // elements fit 64 bits, bytes do not
  refused("key.strides", 0, "242720316759336205", "x 20 elements of 2 bytes exceeds 2^63 - 1 bytes");
  tensors_.key.strides[0] = std::int64_t{1} << 40;  // 2^45 bytes are addresses like any other
  tensors_.value = TensorView::dense(address(std::uintptr_t{1} << 17), Dtype::kBFloat16, {20, 2, 32});
  tensors_.out.data = address((std::uintptr_t{1} << 17) + 1);
  tensors_.lse.data = address((std::uintptr_t{1} << 17) + 2);
  legal();
}

TEST_F(TensorsTest, RefusesSpansBeyondTheAddressSpace) {
  tensors_.query.data = reinterpret_cast<void*>(std::numeric_limits<std::uintptr_t>::max() - 99);
  refused("query.data", kNone, "0xffffffffffffff9c", "+ 12288 bytes exceeds the address space");
}

TEST_F(TensorsTest, RefusesMisalignedPointers) {
  tensors_.query.data = address(1, 1);
  refused("query.data", kNone, "0x40000001", "must be aligned to its 2-byte elements");
  tensors_.query.data = address(1, 2);
  legal();
  tensors_.lse.data = address(5, 2);
  refused("lse.data", kNone, "0x140000002", "must be aligned to its 4-byte elements");
}

TEST_F(TensorsTest, RefusesNullPointersWhereThereIsData) {
  tensors_.query.data = nullptr;
  refused("query.data", kNone, "null", "but the batch has data there");
  tensors_.query.data = address(1);
  tensors_.key.data = nullptr;
  refused("key.data", kNone, "null", "but the batch has data there");
  tensors_.key.data = address(2);
  tensors_.value.data = nullptr;
  refused("value.data", kNone, "null", "but the batch has data there");
  tensors_.value.data = address(3);
  tensors_.out.data = nullptr;
  refused("out.data", kNone, "null", "but the batch has data there");
}

TEST_F(TensorsTest, NullPointersAreLegalWhereThereIsNone) {
  tensors_.lse = {};
  legal();
  key_indptr_ = {0, 0, 0, 0};
  tensors_.key = tensors_.value = {};
  legal();
  query_indptr_ = {0, 0, 0, 0};
  tensors_.query = tensors_.out = {};
  legal();
}

TEST_F(TensorsTest, Sinks) {
  tensors_.sinks = TensorView::dense(address(6), Dtype::kFloat32, {8});
  legal();
  tensors_.sinks.shape[0] = 2;
  refused("sinks.shape", 0, "2", "must be equal to query_heads = 8");
  tensors_.sinks = TensorView::dense(address(6), Dtype::kFloat32, {8, 1});
  refused("sinks.rank", kNone, "2", "must be 1");
  tensors_.sinks = TensorView::dense(address(6), Dtype::kBFloat16, {8});
  refused("sinks.dtype", kNone, "bf16", "must be fp32 (one logit per query head)");
}

TEST_F(TensorsTest, ScalesAreForFp8) {
  tensors_.key_scale = TensorView::dense(address(6), Dtype::kFloat32, {3, 2});
  refused("key_scale.data", kNone, "0x180000000", "is given, but input_dtype is bf16: scales are for fp8");
  make_fp8();
  legal();
  tensors_.key_scale.shape[0] = 4;
  refused("key_scale.shape", 0, "4", "must be equal to requests = 3");
  tensors_.key_scale.shape[0] = 3;
  tensors_.query_scale = TensorView::dense(address(7), Dtype::kFloat32, {3, 8});
  refused("query_scale.shape", 1, "8", "must be equal to kv_heads = 2");
  tensors_.query_scale = {};
  tensors_.value_scale = TensorView::dense(address(7), Dtype::kFloat32, {6});
  refused("value_scale.rank", kNone, "1", "must be 2");
}

TEST_F(TensorsTest, PagesAreLegal) {
  make_paged();
  legal();
  tensors_.key = TensorView::strided(address(2), Dtype::kBFloat16, {6, 4, 2, 64}, {512, 64, 256, 1});  // HND
  legal();
  table_[8] = 5;  // requests may share a page
  legal();
}

TEST_F(TensorsTest, RefusesPageNumbersThatTheKeysReach) {
  make_paged();
  table_[10] = 6;
  refused("block_table", 10, "6", "(request 2, page 2) is not a page of the pool's 6");
  table_[10] = -1;
  refused("block_table", 10, "-1", "(request 2, page 2) is not a page of the pool's 6");
}

TEST_F(TensorsTest, PageNumbersBeyondTheKeysAreNotLookedAt) {
  make_paged();
  key_lengths_ = {8, 0, 12};  // to the last key of the same pages
  legal();
  key_lengths_ = {9, 0, 12};
  refused("block_table", 2, "-1", "(request 0, page 2) is not a page of the pool's 6");
}

TEST_F(TensorsTest, RefusesKeysBeyondTheirPages) {
  make_paged();
  key_lengths_[0] = 17;
  refused("key_lengths", 0, "17", "exceeds the request's 4 pages of 4 keys");
}

TEST_F(TensorsTest, RefusesBlockTables) {
  tensors_.block_table = TensorView::dense(table_.data(), Dtype::kInt32, {3, 4});
  EXPECT_THROW(validate(batch_, tensors_), Error) << "a block table without a page size";
  make_paged();
  tensors_.block_table.shape[0] = 2;
  refused("block_table.shape", 0, "2", "must be equal to requests = 3");
  tensors_.block_table.shape[0] = 3;
  tensors_.block_table.dtype = Dtype::kFloat32;
  refused("block_table.dtype", kNone, "fp32", "must be int32 (page numbers)");
  tensors_.block_table.dtype = Dtype::kInt32;
  tensors_.block_table.strides[0] = 3;
  refused("block_table.strides", 0, "3", "overlaps: the dimensions inside it span 4 elements");
  tensors_.block_table = {};
  refused("block_table.data", kNone, "null", "but the batch has data there");
  make_paged();
  tensors_.value.shape[0] = 7;
  refused("value.shape", 0, "7", "must be equal to key.shape[0] = 6");
  tensors_.value.shape[0] = 6;
  tensors_.key.shape[1] = 8;
  refused("key.shape", 1, "8", "must be equal to page_size = 4");
}

TEST_F(TensorsTest, PagedWithoutKeysNeedsNeitherPoolNorTable) {
  make_paged();
  key_lengths_ = {0, 0, 0};
  tensors_.key = tensors_.value = tensors_.block_table = {};
  legal();
}

}  // namespace
}  // namespace varlen
