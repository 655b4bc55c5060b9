// Which kernels are compiled, and which of them a batch runs on: the one table of both backends that run them.
#pragma once

#include <cstdint>

#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"

namespace varlen::kernel {

/// Upper bounds of the head dims of one compiled kernel.
struct HeadDims {
  std::int32_t qk;
  std::int32_t vo;
};

/// Kernels of forward_mma, each for fp16 and for bf16; the first that is large enough runs.
inline constexpr HeadDims kMmaHeadDims[] = {{64, 64}, {128, 128}, {192, 128}, {256, 256}};
inline constexpr int kMmaShapes = static_cast<int>(sizeof(kMmaHeadDims) / sizeof(HeadDims));

/// Index into kMmaHeadDims. Throws Error(kUnsupported) for what no kernel computes.
inline int select_mma_shape(const RaggedBatch& batch) {
  if (batch.input_dtype != Dtype::kFloat16 && batch.input_dtype != Dtype::kBFloat16) {
    refuse(ErrorCode::kUnsupported, "input_dtype", Error::kNoIndex, dtype_name(batch.input_dtype),
           "is not supported by this backend: it computes fp16 and bf16");
  }
  for (int shape = 0; shape < kMmaShapes; ++shape) {
    if (batch.head_dim_qk <= kMmaHeadDims[shape].qk && batch.head_dim_vo <= kMmaHeadDims[shape].vo) return shape;
  }
  constexpr HeadDims kLargest = kMmaHeadDims[kMmaShapes - 1];
  if (batch.head_dim_qk > kLargest.qk) {
    refuse(ErrorCode::kUnsupported, "head_dim_qk", Error::kNoIndex, batch.head_dim_qk,
           "is more than {}, the largest that this backend supports", kLargest.qk);
  }
  refuse(ErrorCode::kUnsupported, "head_dim_vo", Error::kNoIndex, batch.head_dim_vo,
         "is more than {}, the largest that this backend supports", kLargest.vo);
}

}  // namespace varlen::kernel
