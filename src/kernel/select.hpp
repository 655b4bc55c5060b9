// Which kernel computes a batch: select() is what every backend that runs kernels asks, and through supports() the
// model. boxes.hpp tells it what stands against a kernel in the tensors, support.hpp puts the answer into words. Runs
// on the host.
#pragma once

#include <cstdint>

#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "kernel/boxes.hpp"
#include "kernel/parameters.hpp"
#include "kernel/shapes.hpp"
#include "varlen/attention.hpp"

namespace varlen::kernel {

/// Kernels count within pages in 32 bits.
inline constexpr std::int64_t kMostPageSize = std::int64_t{1} << 30;

/// Index into kHeadDims. Throws Error(kUnsupported) for what no kernel computes.
inline int select_shape(const RaggedBatch& batch) {
  if (batch.input_dtype != Dtype::kFloat16 && batch.input_dtype != Dtype::kBFloat16 &&
      batch.input_dtype != Dtype::kFloat8E4M3) {
    refuse(ErrorCode::kUnsupported, "query_dtype", Error::kNoIndex, dtype_name(batch.input_dtype),
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

/// The kernel that a machine runs if the batch allows it. forward_mma runs otherwise.
struct Offer {
  Forward preferred = Forward::kMma;
  Obstacle obstacle = Obstacle::kNone;  // to a faster one: kAskedFor or kUnproven
};

/// The kernel of that name. kAuto has none: each offer below says what it means.
inline Forward forward_of(GpuKernel kernel) {
  if (kernel == GpuKernel::kTcgen05) return Forward::kTcgen05;
  return kernel == GpuKernel::kMma ? Forward::kMma : Forward::kWgmma;
}

/// Of a GPU that can run forward_mma and `own`. forward_tcgen05 must be asked for, because no GPU has run it yet.
/// Throws Error(kUnsupported) if another GPU's kernel is asked for.
inline Offer offer_of_gpu(Forward own, GpuKernel asked) {
  if (asked == GpuKernel::kAuto) {
    if (own == Forward::kTcgen05) return {Forward::kMma, Obstacle::kUnproven};
    return {own, Obstacle::kNone};
  }
  const Forward wanted = forward_of(asked);
  if (wanted == Forward::kMma) return {wanted, own == Forward::kMma ? Obstacle::kNone : Obstacle::kAskedFor};
  if (wanted != own) {
    refuse(ErrorCode::kUnsupported, "options.kernel", Error::kNoIndex, name(wanted),
           "needs a device of compute capability {}, and this one has another",
           wanted == Forward::kWgmma ? "9.0" : "10.0 or 10.3");
  }
  return {wanted, Obstacle::kNone};
}

/// Of the emulator, which runs all kernels and is a Hopper unless it is asked for another.
inline Offer offer_of_emulator(GpuKernel asked) {
  if (asked == GpuKernel::kAuto) return {Forward::kWgmma, Obstacle::kNone};
  if (asked == GpuKernel::kMma) return {Forward::kMma, Obstacle::kAskedFor};
  return {forward_of(asked), Obstacle::kNone};
}

/// Requests of at most this many rows (tokens × group) only read keys and values. For fp8 forward_mma does that faster
/// than forward_wgmma, which must also widen them (docs/benchmarks.md#fp8). Not with batch_invariant: then the kernel
/// may not depend on the other requests.
inline constexpr std::int64_t kDecodingRows = 16;

/// What in the spec and the lengths stands against a kernel that works with boxes; `shape` is select_shape()'s.
inline Obstacle obstacle_to(Forward forward, int shape, const RaggedBatch& batch, const LongestRequest& longest) {
  const std::int64_t element_bytes = dtype_size(batch.input_dtype);
  const HeadDims largest = largest_head_dims(forward, element_bytes);
  if (batch.head_dim_qk > largest.qk) return Obstacle::kHeadDimQk;
  if (batch.head_dim_vo > largest.vo) return Obstacle::kHeadDimVo;
  const std::int64_t chunk = 16 / element_bytes;
  if (batch.head_dim_qk % chunk != 0) return Obstacle::kChunksQk;
  if (batch.head_dim_vo % chunk != 0) return Obstacle::kChunksVo;
  if (batch.head_dim_qk <= kHeadDims[shape].qk - kBoxColumns) return Obstacle::kColumnsQk;
  if (batch.head_dim_vo <= kHeadDims[shape].vo - kBoxColumns) return Obstacle::kColumnsVo;
  if (batch.page_size % kBoxRows != 0) return Obstacle::kPageRows;
  const bool decodes = !batch.batch_invariant && longest.queries <= kDecodingRows / batch.group;
  if (forward == Forward::kWgmma && element_bytes == 1 && decodes) return Obstacle::kDecodes;
  return Obstacle::kNone;
}

/// The kernel that computes, and what stood against a faster one.
struct Selection {
  Forward forward = Forward::kMma;
  int shape = 0;                        // index into kHeadDims
  Obstacle obstacle = Obstacle::kNone;  // kNone: the machine has none that is faster
  Forward preferred = Forward::kMma;    // the offer's: it would run but for an obstacle in the batch or the tensors
};

/// In the place of requests that are not known.
inline constexpr LongestRequest kLongRequests{std::int64_t{1} << 30, std::int64_t{1} << 30};

/// Before tensors are known. Throws Error(kUnsupported) for a batch that no kernel computes.
inline Selection select(const RaggedBatch& batch, const LongestRequest& longest, const Offer& offer) {
  Selection selection{offer.preferred, select_shape(batch), offer.obstacle, offer.preferred};
  if (offer.preferred == Forward::kMma) return selection;
  selection.obstacle = obstacle_to(offer.preferred, selection.shape, batch, longest);
  if (selection.obstacle != Obstacle::kNone) selection.forward = Forward::kMma;
  return selection;
}

/// For a plan made for `target` and tensors; fills in `boxes` if the kernel works with them. `encode` is BoxMaker's.
template <class Encode>
Selection select(const RaggedBatch& batch, const LongestRequest& longest, const Offer& offer, const PlanTarget& target,
                 const Tensors& tensors, const ForwardParameters& parameters, const Encode& encode, Boxes& boxes) {
  Selection selection = select(batch, longest, offer);
  if (selection.forward == Forward::kMma) return selection;
  selection.obstacle = make_boxes(selection.forward, kHeadDims[selection.shape], batch, target, tensors, parameters,
                                  longest, encode, boxes);
  if (selection.obstacle != Obstacle::kNone) selection.forward = Forward::kMma;
  return selection;
}

}  // namespace varlen::kernel
