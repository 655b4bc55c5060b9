// The products of forward_tcgen05, which one warp issues for all rows of the block's tiles.
#pragma once

#include <cstdint>

#include "gpu/tensor_operations.hpp"
#include "kernel/tcgen05_memory.hpp"

namespace varlen::kernel {

/// Of an item of n steps, for each half h of its rows: scores(0), then sums(0), scores(1), sums(1), …, sums(n − 1). One
/// half's softmax runs while the other's products do. The next item's first scores come at once, while the sums of this
/// one are still read.
///
/// Products are done in the order in which they are issued. So scores may be written over weights whose sums were
/// issued before, and scores(i + 1) of a half tell, too, that its sums(i) are done.
template <class Shape>
class Tcgen05Products {
  using Memory = Tcgen05Memory<Shape>;
  using Element = typename Shape::Element;                        // of queries and keys
  using Multiplied = typename kernel::Multiplied<Element>::Type;  // of weights and values

 public:
  VARLEN_DEVICE explicit Tcgen05Products(gpu::TensorAddress tensor) : tensor_(tensor) {}

  VARLEN_DEVICE void run() {
    for_each_work<Memory>([&](const TileWork& work, gpu::SharedAddress) {
      if (work.keys > 0) multiply(work);
    });
    steps_.drain();  // no commit may arrive at a block that is gone
    if constexpr (Shape::kWidensValues) wide_.drain();
  }

 private:
  VARLEN_DEVICE void multiply(const TileWork& work) {
    const int halves = work.rows > Shape::kHalfRows ? 2 : 1;
    const typename Shape::Queries queries = Memory::queries(queries_.stage());
    wait_together(Memory::query_full(queries_.stage()), queries_.parity());
    queries_.advance();
    Stage<typename Shape::Keys> keys = steps_.keys();
    wait_together(keys.full, keys.parity);
    VARLEN_UNROLL
    for (int half = 0; half < Shape::kHalves; ++half) {
      if (half < halves) start_scores(half, queries, keys, half + 1 == halves);
    }
    for (std::int32_t begin = 0; begin < work.keys; begin += Shape::kKeys) {
      const bool last_step = begin + Shape::kKeys >= work.keys;
      const Stage<typename Shape::MultipliedValues> values = next_values();
      wait_together(values.full, values.parity);
      steps_.advance();
      if (!last_step) {
        keys = steps_.keys();
        wait_together(keys.full, keys.parity);
      }
      VARLEN_UNROLL
      for (int half = 0; half < Shape::kHalves; ++half) {
        if (half >= halves) break;
        const bool last_half = half + 1 == halves;
        wait_together(Memory::weight_full(half), weights_[half].parity());
        weights_[half].advance();
        if (begin == 0) wait_together(Memory::out_empty(half), outs_[half].parity() ^ 1U);
        gpu::fence_tensor_after_sync();
        start_sums(half, values, begin > 0, last_half);
        if (last_step) {
          commit(Memory::out_full(half));
          outs_[half].advance();
        } else {
          start_scores(half, queries, keys, last_half);
        }
      }
    }
  }

  /// Of the step that the stages are at.
  VARLEN_DEVICE Stage<typename Shape::MultipliedValues> next_values() {
    if constexpr (Shape::kWidensValues) {
      const Stage<typename Shape::MultipliedValues> values = wide_.values();
      wide_.advance();
      return values;
    } else {
      return steps_.values();
    }
  }

  /// Queries of a half times a step's keys.
  VARLEN_DEVICE void start_scores(int half, const typename Shape::Queries& queries,
                                  const Stage<typename Shape::Keys>& keys, bool last_half) const {
    if (!gpu::elect_one()) return;
    constexpr gpu::ProductShape kShape = gpu::product_shape<Element>(Shape::kKeys, false);
    const gpu::TensorMatrix left = tensor_matrix(queries, half * Shape::kHalfRows);
    const gpu::TensorMatrix right = tensor_matrix(keys.matrix, 0);
    VARLEN_UNROLL
    for (int depth = 0; depth < Shape::kDimQk; depth += gpu::kProductDepth<Element>) {
      gpu::tensor_multiply<Element>(tensor_ + Shape::scores(half), left + Shape::Queries::along_rows_bytes(depth),
                                    right + Shape::Keys::along_rows_bytes(depth), kShape, depth > 0);
    }
    gpu::commit_tensor_products(Memory::score_full(half));
    if (last_half) gpu::commit_tensor_products(keys.empty);
  }

  /// Weights of a half times a step's values, added to what was summed before if `add`.
  VARLEN_DEVICE void start_sums(int half, const Stage<typename Shape::MultipliedValues>& values, bool add,
                                bool last_half) const {
    if (!gpu::elect_one()) return;
    constexpr gpu::ProductShape kShape = gpu::product_shape<Multiplied>(Shape::kDimVo, true);
    const gpu::TensorMatrix right = tensor_matrix(values.matrix, 0);
    VARLEN_UNROLL
    for (int depth = 0; depth < Shape::kKeys; depth += gpu::kProductDepth<Multiplied>) {
      const auto column = static_cast<std::uint32_t>(depth / 2);  // of two weights each
      gpu::tensor_multiply<Multiplied>(tensor_ + Shape::out(half), tensor_ + (Shape::weights(half) + column),
                                       right + Shape::MultipliedValues::across_rows_bytes(depth), kShape,
                                       add || depth > 0);
    }
    if (last_half) gpu::commit_tensor_products(values.empty);
  }

  VARLEN_DEVICE static void commit(gpu::SharedAddress barrier) {
    if (gpu::elect_one()) gpu::commit_tensor_products(barrier);
  }

  const gpu::TensorAddress tensor_;
  typename Memory::Steps steps_;
  typename Memory::WideSteps wide_;
  Ring<Shape::kQueryStages> queries_;
  Ring<1> weights_[Shape::kHalves];
  Ring<1> outs_[Shape::kHalves];
};

}  // namespace varlen::kernel
