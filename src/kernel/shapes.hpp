// Which kernels are compiled, and which of them a batch runs on: the one table of both backends that run them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "kernel/parameters.hpp"
#include "varlen/attention.hpp"

namespace varlen::kernel {

/// Upper bounds of the head dims of one compiled kernel.
struct HeadDims {
  std::int32_t qk;
  std::int32_t vo;
};

/// Kernels are compiled for the first compiled_shapes() of these, for fp16, bf16 and e4m3. The first that is large
/// enough runs.
inline constexpr HeadDims kHeadDims[] = {{64, 64}, {128, 128}, {192, 128}, {256, 256}, {576, 512}};
inline constexpr int kShapes = static_cast<int>(sizeof(kHeadDims) / sizeof(HeadDims));

/// Kernels count within pages in 32 bits.
inline constexpr std::int64_t kMostPageSize = std::int64_t{1} << 30;

/// Index into kHeadDims. Throws Error(kUnsupported) for what no kernel computes.
inline int select_shape(const RaggedBatch& batch) {
  if (batch.input_dtype != Dtype::kFloat16 && batch.input_dtype != Dtype::kBFloat16 &&
      batch.input_dtype != Dtype::kFloat8E4M3) {
    refuse(ErrorCode::kUnsupported, "input_dtype", Error::kNoIndex, dtype_name(batch.input_dtype),
           "is not supported by this backend: it computes fp16, bf16 and fp8_e4m3");
  }
  if (batch.page_size > kMostPageSize) {
    refuse(ErrorCode::kUnsupported, "page_size", Error::kNoIndex, batch.page_size,
           "is more than {}, the largest that this backend supports", kMostPageSize);
  }
  for (int shape = 0; shape < kShapes; ++shape) {
    if (batch.head_dim_qk <= kHeadDims[shape].qk && batch.head_dim_vo <= kHeadDims[shape].vo) return shape;
  }
  constexpr HeadDims kLargest = kHeadDims[kShapes - 1];
  if (batch.head_dim_qk > kLargest.qk) {
    refuse(ErrorCode::kUnsupported, "head_dim_qk", Error::kNoIndex, batch.head_dim_qk,
           "is more than {}, the largest that this backend supports", kLargest.qk);
  }
  refuse(ErrorCode::kUnsupported, "head_dim_vo", Error::kNoIndex, batch.head_dim_vo,
         "is more than {}, the largest that this backend supports", kLargest.vo);
}

/// Forward kernels. kWgmma runs on Hopper and kTcgen05 on Blackwell, and only what has boxes (kernel/boxes.hpp); kMma
/// runs everything.
enum class Forward : std::uint8_t { kMma, kWgmma, kTcgen05 };

constexpr const char* name(Forward forward) {
  constexpr const char* kNames[] = {"forward_mma", "forward_wgmma", "forward_tcgen05"};
  return kNames[static_cast<int>(forward)];
}

/// With inputs of so many bytes. forward_wgmma's threads are too many for 256 columns of sums where fp8 needs wideners:
/// each of them begins with 128 registers.
constexpr int compiled_shapes(Forward forward, std::int64_t element_bytes) {
  switch (forward) {
    case Forward::kMma:
      return kShapes;
    case Forward::kWgmma:
      return element_bytes == 1 ? 3 : 4;
    case Forward::kTcgen05:
      return 3;
  }
  return 0;
}

/// The best kernel of an architecture.
inline Forward forward_of(GpuArchitecture architecture) {
  switch (architecture) {
    case GpuArchitecture::kSm80:
      return Forward::kMma;
    case GpuArchitecture::kNewest:
    case GpuArchitecture::kSm90a:
      return Forward::kWgmma;
    case GpuArchitecture::kSm100a:
      return Forward::kTcgen05;
  }
  return Forward::kMma;
}

/// What boxes must know of a kernel that works with them.
struct BoxShape {
  std::int32_t tile_rows;  // at most
  std::int32_t step_keys;  // in one step
};
inline BoxShape box_shape(Forward forward, const HeadDims& dims) {
  if (forward == Forward::kWgmma) return {kWgmmaRows, wgmma_keys(dims.vo)};
  if (forward == Forward::kTcgen05) return {kTcgen05Rows, kTcgen05Keys};
  return {0, 0};
}

/// No request of a batch is longer: boxes must hold it.
struct LongestRequest {
  std::int64_t queries = 0;
  std::int64_t keys = 0;
};
inline LongestRequest longest_request(const RaggedBatch& batch) {
  LongestRequest longest;
  for (const RequestExtent& request : batch.requests) {
    longest.queries = std::max(longest.queries, request.query_length);
    longest.keys = std::max(longest.keys, request.key_length);
  }
  return longest;
}

/// Where requests have no more rows than this, all a kernel does is read keys and values. Of fp8 forward_mma does that
/// faster than forward_wgmma, whose keys have one more stop on their way (docs/benchmarks.md#fp8). Not if bits must not
/// depend on what else the batch has: the kernel must not, either.
inline constexpr std::int64_t kDecodingRows = 16;

/// Boxes hold 64 columns of two bytes, or twice as many of one byte, of eight rows or more, and none may be empty.
inline bool may_have_boxes(const RaggedBatch& batch, const LongestRequest& longest, Forward forward) {
  constexpr std::int32_t kBoxColumns = 64;
  constexpr std::int64_t kBoxRows = 8;
  const int shape = select_shape(batch);
  const std::int64_t element_bytes = dtype_size(batch.input_dtype);
  const std::int64_t chunk = 16 / element_bytes;
  if (batch.head_dim_qk % chunk != 0 || batch.head_dim_vo % chunk != 0) return false;  // rows end within sixteen bytes
  const bool decodes = !batch.batch_invariant && longest.queries * batch.group <= kDecodingRows;
  if (forward == Forward::kWgmma && element_bytes == 1 && decodes) return false;
  return forward != Forward::kMma && shape < compiled_shapes(forward, element_bytes) &&
         batch.head_dim_qk > kHeadDims[shape].qk - kBoxColumns &&
         batch.head_dim_vo > kHeadDims[shape].vo - kBoxColumns && batch.page_size % kBoxRows == 0;
}

}  // namespace varlen::kernel
