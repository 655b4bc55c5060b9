// Every rule about one tensor at a time.
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
  refused("query.shape", 0, "11", "must be at least the last query offset = 12: [tokens, query_heads, head_dim_qk]");
  tensors_.query.shape[0] = 12;
  tensors_.value.shape[0] = 19;
  refused("value.shape", 0, "19", "must be at least the last key offset = 20: [tokens, kv_heads, head_dim_vo]");
  tensors_.value.shape[0] = 20;
  tensors_.out.shape[0] = 11;
  refused("out.shape", 0, "11", "must be at least the last query offset = 12: [tokens, query_heads, head_dim_vo]");
  tensors_.out.shape[0] = 12;
  tensors_.lse.shape[0] = 0;
  refused("lse.shape", 0, "0", "must be at least the last query offset = 12: [tokens, query_heads]");
}

TEST_F(TensorsTest, LastOffsetCountsEvenIfLengthsStopShort) {
  const std::vector<std::int64_t> lengths{1, 0, 2};
  batch_.query_lengths = std::span<const std::int64_t>(lengths);
  legal();
  tensors_.query.shape[0] = 11;
  refused("query.shape", 0, "11", "must be at least the last query offset = 12: [tokens, query_heads, head_dim_qk]");
}

TEST_F(TensorsTest, RefusesShapes) {
  tensors_.query.rank = 2;
  refused("query.rank", kNone, "2", "must be 3: [tokens, query_heads, head_dim_qk]");
  tensors_.query.rank = -1;
  refused("query.rank", kNone, "-1", "must be 3: [tokens, query_heads, head_dim_qk]");
  tensors_.query.rank = 3;
  tensors_.query.shape[1] = 4;
  refused("query.shape", 1, "4", "must be equal to query_heads = 8: [tokens, query_heads, head_dim_qk]");
  tensors_.query.shape[1] = 8;
  tensors_.key.shape[1] = 8;
  refused("key.shape", 1, "8", "must be equal to kv_heads = 2: [tokens, kv_heads, head_dim_qk]");
  tensors_.key.shape[1] = 2;
  tensors_.key.shape[2] = 32;
  refused("key.shape", 2, "32", "must be equal to head_dim_qk = 64: [tokens, kv_heads, head_dim_qk]");
  tensors_.key.shape[2] = 64;
  tensors_.value.shape[2] = 64;
  refused("value.shape", 2, "64", "must be equal to head_dim_vo = 32: [tokens, kv_heads, head_dim_vo]");
  tensors_.value.shape[2] = 32;
  tensors_.out.shape[2] = 64;
  refused("out.shape", 2, "64", "must be equal to head_dim_vo = 32: [tokens, query_heads, head_dim_vo]");
  tensors_.out.shape[2] = 32;
  tensors_.lse.shape[1] = 2;
  refused("lse.shape", 1, "2", "must be equal to query_heads = 8: [tokens, query_heads]");
  tensors_.lse.shape[1] = 8;
  tensors_.lse.rank = 3;
  refused("lse.rank", kNone, "3", "must be 2: [tokens, query_heads]");
  tensors_.lse.rank = 2;
  tensors_.lse.shape[0] = -1;
  refused("lse.shape", 0, "-1", "must not be negative");
}

TEST_F(TensorsTest, RefusesPagesWithoutAPageSize) {
  tensors_.key = TensorView::dense(address(2), Dtype::kBFloat16, {6, 4, 2, 64});
  refused("key.rank", kNone, "4", "means pages, which need page_size and a block table");
}

TEST_F(TensorsTest, RefusesDtypes) {
  tensors_.value.dtype = Dtype::kFloat16;
  refused("value.dtype", kNone, "fp16", "must be bf16 (the batch's kv_dtype)");
  tensors_.value.dtype = static_cast<Dtype>(42);
  refused("value.dtype", kNone, "42", "must be bf16 (the batch's kv_dtype)");
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
}

TEST_F(TensorsTest, TheLseMayHaveAnyStridesThatKeepItsElementsApart) {
  tensors_.lse.strides = {1, 12, 0, 0};  // [heads, tokens]
  legal();
  tensors_.lse.strides = {1, 15, 0, 0};
  legal();
  tensors_.lse.strides = {17, 2, 0, 0};
  legal();
  tensors_.lse.strides = {1, 11, 0, 0};
  refused("lse.strides", 1, "11", "overlaps: the dimensions inside it span 12 elements");
  tensors_.lse.strides = {1, 0, 0, 0};
  refused("lse.strides", 1, "0", "overlaps: the dimensions inside it span 1 elements");
  tensors_.lse.strides = {-1, 12, 0, 0};
  refused("lse.strides", 0, "-1", "must not be negative");
}

TEST_F(TensorsTest, WhatIsOnlyReadMayShareElements) {
  tensors_.key.strides[1] = tensors_.value.strides[1] = 0;  // heads expanded from one
  legal();
  tensors_.key.strides = {0, 0, 1, 0};
  tensors_.query.strides[1] = 0;
  legal();
  tensors_.query.strides[1] = 63;
  legal();
  tensors_.key.strides[1] = -64;
  refused("key.strides", 1, "-64", "must not be negative");
}

TEST_F(TensorsTest, TensorsWithoutElementsMayHaveAnyStrides) {
  query_indptr_ = {0, 0, 0, 0};
  key_indptr_ = {0, 0, 0, 0};
  for (TensorView* view : {&tensors_.query, &tensors_.key, &tensors_.value, &tensors_.out, &tensors_.lse}) {
    view->shape[0] = 0;
    view->strides = {0, 0, 0, 0};  // as NumPy has them
  }
  legal();
  for (TensorView* view : {&tensors_.query, &tensors_.key, &tensors_.value, &tensors_.out, &tensors_.lse}) {
    view->strides = {std::numeric_limits<std::int64_t>::max(), -3, 7, 0};
    view->data = address(1, 1);
  }
  legal();
  tensors_.out.shape[2] = 31;
  refused("out.shape", 2, "31", "must be equal to head_dim_vo = 32: [tokens, query_heads, head_dim_vo]");
}

TEST_F(TensorsTest, RefusesNegativeStrides) {
  tensors_.key.strides[0] = -128;
  refused("key.strides", 0, "-128", "must not be negative");
  tensors_.key.strides[0] = 128;
  tensors_.out.strides[1] = -32;
  refused("out.strides", 1, "-32", "must not be negative");
}

TEST_F(TensorsTest, RefusesOverlappingStrides) {
  tensors_.out.strides[1] = 31;  // heads overlap by one element
  refused("out.strides", 1, "31", "overlaps: the dimensions inside it span 32 elements");
  tensors_.out.strides[1] = 32;
  tensors_.out.strides[0] = 255;  // tokens do
  refused("out.strides", 0, "255", "overlaps: the dimensions inside it span 256 elements");
  tensors_.out.strides[0] = 0;  // every token on one row
  refused("out.strides", 0, "0", "overlaps: the dimensions inside it span 1 elements");
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
  refused("query.data", kNone, "99 bytes before the end of the address space", "cannot hold 12288 bytes");
}

TEST_F(TensorsTest, RefusesMisalignedPointers) {
  tensors_.query.data = address(1, 1);
  refused("query.data", kNone, "1 modulo 2", "must be aligned to its 2-byte elements");
  tensors_.query.data = address(1, 2);
  legal();
  tensors_.lse.data = address(5, 2);
  refused("lse.data", kNone, "2 modulo 4", "must be aligned to its 4-byte elements");
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

TEST_F(TensorsTest, KeysThatNoQuerySeesMayBeAbsent) {
  query_indptr_ = {0, 0, 0, 0};
  tensors_.key = tensors_.value = {};
  legal();
  query_indptr_ = {0, 0, 1, 1};  // of the request without keys
  legal();
  query_indptr_ = {0, 0, 1, 2};
  refused("key.data", kNone, "null", "but the batch has data there");
  make_paged();
  query_indptr_ = {0, 0, 1, 1};
  tensors_.key = tensors_.value = tensors_.block_table = {};
  legal();
  query_indptr_ = {0, 1, 1, 1};
  refused("key.data", kNone, "null", "but the batch has data there");
}

TEST_F(TensorsTest, Sinks) {
  tensors_.sinks = TensorView::dense(address(6), Dtype::kFloat32, {8});
  legal();
  tensors_.sinks.shape[0] = 2;
  refused("sinks.shape", 0, "2", "must be equal to query_heads = 8: [query_heads]");
  tensors_.sinks = TensorView::dense(address(6), Dtype::kFloat32, {8, 1});
  refused("sinks.rank", kNone, "2", "must be 1: [query_heads]");
  tensors_.sinks = TensorView::dense(address(6), Dtype::kBFloat16, {8});
  refused("sinks.dtype", kNone, "bf16", "must be fp32 (one logit per query head)");
}

TEST_F(TensorsTest, ScalesAreForFp8) {
  tensors_.key_scale = TensorView::dense(address(6), Dtype::kFloat32, {3, 2});
  refused("key_scale.data", kNone, "not null", "although query_dtype is bf16: scales are for fp8");
  make_fp8();
  legal();
  tensors_.key_scale.shape[0] = 4;
  refused("key_scale.shape", 0, "4", "must be equal to 1 or requests = 3: [requests, kv_heads]");
  tensors_.key_scale.shape[0] = 3;
  tensors_.query_scale = TensorView::dense(address(7), Dtype::kFloat32, {3, 8});
  refused("query_scale.shape", 1, "8", "must be equal to 1 or kv_heads = 2: [requests, kv_heads]");
  tensors_.query_scale = {};
  tensors_.value_scale = TensorView::dense(address(7), Dtype::kFloat32, {6});
  refused("value_scale.rank", kNone, "1", "must be 2; only one scale for all may have the shape [1]");
  tensors_.value_scale = TensorView::dense(address(7), Dtype::kBFloat16, {3, 2});
  refused("value_scale.dtype", kNone, "bf16", "must be fp32 (scales)");
}

TEST_F(TensorsTest, ScalesMayBroadcast) {
  make_fp8();
  for (TensorView Tensors::*scale : {&Tensors::query_scale, &Tensors::key_scale, &Tensors::value_scale}) {
    for (const TensorView& view :
         {TensorView::dense(address(6), Dtype::kFloat32, {1}), TensorView::dense(address(6), Dtype::kFloat32, {1, 1}),
          TensorView::dense(address(6), Dtype::kFloat32, {3, 1}),
          TensorView::dense(address(6), Dtype::kFloat32, {1, 2}),
          TensorView::strided(address(6), Dtype::kFloat32, {3, 2}, {0, 0}),
          TensorView::strided(address(6), Dtype::kFloat32, {3, 2}, {0, 1}),
          TensorView::strided(address(6), Dtype::kFloat32, {3, 2}, {1, 3}),
          TensorView::strided(address(6), Dtype::kFloat32, {1}, {-5})}) {
      tensors_.*scale = view;
      legal();
    }
    tensors_.*scale = TensorView::dense(address(6), Dtype::kFloat32, {0, 2});
    EXPECT_THROW(validate(batch_, tensors_), Error) << "no scales for three requests";
    tensors_.*scale = {};
  }
}

}  // namespace
}  // namespace varlen
