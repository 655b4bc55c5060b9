// Attention by wgmma, for Hopper (sm_90a): blocks of three warpgroups draw items of the plan. One warpgroup, the
// producer, brings queries, keys and values into shared memory; two consumers of 64 rows each multiply. The division of
// labour, the order of a consumer's steps and the products from registers are those of FlashAttention-3
// (arXiv:2407.08608).
//
// Shared memory: kQueryStages × queries, kStages × keys, kStages × values, then the barriers. A stage is full when all
// threads of the producer have copied their share of it, and empty when all warps of the consumers are done with it:
//
//   barrier         arrivals             protects
//   query_full[q]   128 producer threads queries of a slice before the consumers' first product
//   query_empty[q]  8 consumer warps     the same memory, after the slice's last scores, before the producer refills it
//   key_full[s]     128 producer threads one step's keys
//   key_empty[s]    8 consumer warps     the same memory, after the step's scores
//   value_full[s]   128 producer threads one step's values
//   value_empty[s]  8 consumer warps     the same memory, after the step's weighted values have been added
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/band.hpp"
#include "kernel/panel_memory.hpp"
#include "kernel/parameters.hpp"
#include "kernel/rows.hpp"
#include "kernel/slices.hpp"

namespace varlen::kernel {

/// Element: gpu::Float16 or gpu::BFloat16. Head dims are upper bounds, a multiple of 64 each: columns past a batch's
/// own are zeros in shared memory.
template <class Element_, int kDimQk_, int kDimVo_>
struct ForwardWgmmaShape {
  using Element = Element_;
  static constexpr int kDimQk = kDimQk_;
  static constexpr int kDimVo = kDimVo_;
  static constexpr int kConsumers = 2;
  static constexpr int kConsumerRows = 64;
  static constexpr int kSliceRows = kConsumers * kConsumerRows;
  static constexpr int kThreads = (1 + kConsumers) * gpu::kWarpgroupThreads;
  static constexpr int kKeys = kDimVo <= 128 ? 128 : 64;  // in one step
  static constexpr int kStages = kDimQk <= 64 ? 4 : 2;
  static constexpr int kQueryStages = kDimQk <= 128 ? 2 : 1;
  // Of 65,536 registers.
  static constexpr int kProducerRegisters = 40;
  static constexpr int kConsumerRegisters = 232;
  using Queries = PanelMatrix<kSliceRows, kDimQk>;
  using Keys = PanelMatrix<kKeys, kDimQk>;
  using Values = PanelMatrix<kKeys, kDimVo>;
  static constexpr int kBarriers = 2 * kQueryStages + 4 * kStages;
  static constexpr int kBarriersAt = kQueryStages * Queries::kBytes + kStages * (Keys::kBytes + Values::kBytes);
  static constexpr int kSharedBytes = kBarriersAt + 8 * kBarriers;
};

/// Which of kCount stages is next, and the parity of the phase in which it becomes full.
template <int kCount>
struct Ring {
  int index = 0;
  std::uint32_t parity = 0;
  VARLEN_DEVICE void advance() {
    if (++index == kCount) {
      index = 0;
      parity ^= 1U;
    }
  }
};

/// Where everything lies.
template <class Shape>
struct WgmmaMemory {
  VARLEN_DEVICE static typename Shape::Queries queries(int stage) { return {at(stage * Shape::Queries::kBytes)}; }
  VARLEN_DEVICE static typename Shape::Keys keys(int stage) {
    return {at(Shape::kQueryStages * Shape::Queries::kBytes + stage * Shape::Keys::kBytes)};
  }
  VARLEN_DEVICE static typename Shape::Values values(int stage) {
    return {at(Shape::kQueryStages * Shape::Queries::kBytes + Shape::kStages * Shape::Keys::kBytes +
               stage * Shape::Values::kBytes)};
  }
  VARLEN_DEVICE static gpu::SharedAddress query_full(int stage) { return barrier(stage); }
  VARLEN_DEVICE static gpu::SharedAddress query_empty(int stage) { return barrier(Shape::kQueryStages + stage); }
  VARLEN_DEVICE static gpu::SharedAddress key_full(int stage) { return stage_barrier(0, stage); }
  VARLEN_DEVICE static gpu::SharedAddress key_empty(int stage) { return stage_barrier(1, stage); }
  VARLEN_DEVICE static gpu::SharedAddress value_full(int stage) { return stage_barrier(2, stage); }
  VARLEN_DEVICE static gpu::SharedAddress value_empty(int stage) { return stage_barrier(3, stage); }

  VARLEN_DEVICE static void init_barriers() {
    constexpr int kWarps = Shape::kConsumers * gpu::kWarpgroupThreads / gpu::kWarpThreads;
    for (int stage = 0; stage < Shape::kQueryStages; ++stage) {
      gpu::init_barrier(query_full(stage), gpu::kWarpgroupThreads);
      gpu::init_barrier(query_empty(stage), kWarps);
    }
    for (int stage = 0; stage < Shape::kStages; ++stage) {
      gpu::init_barrier(key_full(stage), gpu::kWarpgroupThreads);
      gpu::init_barrier(key_empty(stage), kWarps);
      gpu::init_barrier(value_full(stage), gpu::kWarpgroupThreads);
      gpu::init_barrier(value_empty(stage), kWarps);
    }
  }

 private:
  VARLEN_DEVICE static gpu::SharedAddress at(int bytes) {
    return gpu::shared_memory() + static_cast<std::uint32_t>(bytes);
  }
  VARLEN_DEVICE static gpu::SharedAddress barrier(int index) { return at(Shape::kBarriersAt + 8 * index); }
  VARLEN_DEVICE static gpu::SharedAddress stage_barrier(int kind, int stage) {
    return barrier(2 * Shape::kQueryStages + kind * Shape::kStages + stage);
  }
};

/// Every thread of the first warpgroup.
template <class Shape>
class WgmmaProducer {
  using Memory = WgmmaMemory<Shape>;

 public:
  VARLEN_DEVICE void run(const ForwardParameters& parameters) {
    for_each_slice<Shape::kSliceRows>(parameters, [&](const Slice& slice) { bring(slice); });
  }

 private:
  VARLEN_DEVICE void bring(const Slice& slice) {
    const std::int32_t keys = slice.keys();
    if (keys == 0) return;  // the consumers ask for nothing, either
    bring_queries(slice);
    for (std::int32_t begin = 0; begin < keys; begin += Shape::kKeys) {
      const ForwardParameters& parameters = slice.parameters;
      gpu::wait_for(Memory::key_empty(steps_.index), steps_.parity ^ 1U);
      copy_rows(slice, Memory::keys(steps_.index), parameters.key, parameters.head_dim_qk, begin);
      gpu::copy_async_arrive(Memory::key_full(steps_.index));
      gpu::wait_for(Memory::value_empty(steps_.index), steps_.parity ^ 1U);
      copy_rows(slice, Memory::values(steps_.index), parameters.value, parameters.head_dim_vo, begin);
      gpu::copy_async_arrive(Memory::value_full(steps_.index));
      steps_.advance();
    }
  }

  VARLEN_DEVICE void bring_queries(const Slice& slice) {
    gpu::wait_for(Memory::query_empty(queries_.index), queries_.parity ^ 1U);
    const PanelCopy<typename Shape::Queries> copy(Memory::queries(queries_.index), gpu::thread_index());
    const RowAddresses& tensor = slice.parameters.query;
    copy.scattered(static_cast<const std::uint16_t*>(tensor.data), slice.rows, slice.parameters.head_dim_qk,
                   [&](int row) { return slice.query_row(row); });
    gpu::copy_async_arrive(Memory::query_full(queries_.index));
    queries_.advance();
  }

  template <class Matrix>
  VARLEN_DEVICE static void copy_rows(const Slice& slice, const Matrix& matrix, const RowAddresses& tensor,
                                      int head_dim, std::int32_t begin) {
    const ForwardParameters& parameters = slice.parameters;
    const WorkItem& item = slice.item;
    const std::int64_t first = item.key_begin + begin;
    const std::int64_t left = item.key_end - first;
    const int rows = left < Matrix::kRows ? static_cast<int>(left) : Matrix::kRows;
    const auto* const data = static_cast<const std::uint16_t*>(tensor.data);
    const PanelCopy<Matrix> copy(matrix, gpu::thread_index());
    if (parameters.page_size == 0) {
      const std::int64_t offset = key_offset(parameters, tensor, item.request, item.kv_head, first);
      copy.strided(data + offset, tensor.token_stride, rows, head_dim);
    } else {
      copy.scattered(data, rows, head_dim,
                     [&](int row) { return key_offset(parameters, tensor, item.request, item.kv_head, first + row); });
    }
  }

  Ring<Shape::kQueryStages> queries_;
  Ring<Shape::kStages> steps_;
};

/// Every thread of the other warpgroups.
template <class Shape>
class WgmmaConsumer {
  using Memory = WgmmaMemory<Shape>;
  using Element = typename Shape::Element;
  static constexpr int kKeys = Shape::kKeys;
  static constexpr int kKeyTiles = kKeys / 8;
  static constexpr int kColumnTiles = Shape::kDimVo / 8;
  using Weights = std::uint32_t[kKeys / 16][4];

 public:
  VARLEN_DEVICE void run(const ForwardParameters& parameters) {
    for_each_slice<Shape::kSliceRows>(parameters, [&](const Slice& slice) {
      if (group_row() < slice.rows) {
        compute(slice);
      } else {
        pass(slice);
      }
    });
  }

 private:
  VARLEN_DEVICE static int group_row() {
    return (gpu::thread_index() / gpu::kWarpgroupThreads - 1) * Shape::kConsumerRows;
  }
  VARLEN_DEVICE static int band_row() { return group_row() + gpu::warp_index() % 4 * kBandRows; }

  /// By one lane of each warp, so that no warp runs ahead of another's products.
  VARLEN_DEVICE static void release(gpu::SharedAddress barrier) {
    if (gpu::lane_index() == 0) gpu::arrive(barrier);
  }

  VARLEN_DEVICE void compute(const Slice& slice) {
    const std::int32_t keys = slice.keys();
    Band<kColumnTiles> band;
    clear(band);
    if (keys > 0) {
      const SeenKeys seen_by_all = slice.seen_by_all(band_row(), kBandRows);
      float rescale[2];
      Weights weights;
      gpu::wait_for(Memory::query_full(queries_.index), queries_.parity);
      {
        BandSums<kKeyTiles> scores;
        start_scores(scores);
        finish_scores<0>(scores);
        weigh(slice, seen_by_all, 0, band, scores, rescale);
        pack_weights<Element, kKeyTiles>(scores, weights);
      }
      // The tensor cores work on the next step's scores and this step's values while the next step's weights are found.
      for (std::int32_t begin = kKeys; begin < keys; begin += kKeys) {
        BandSums<kKeyTiles> scores;
        start_scores(scores);
        start_values(weights, band.out);
        finish_scores<1>(scores);
        weigh(slice, seen_by_all, begin, band, scores, rescale);
        finish_values(band.out);
        rescale_out<kColumnTiles>(band.out, rescale);
        pack_weights<Element, kKeyTiles>(scores, weights);
      }
      release(Memory::query_empty(queries_.index));
      queries_.advance();
      start_values(weights, band.out);
      finish_values(band.out);
    }
    write_rows(slice, band, band_row());
  }

  /// The slice has no rows for this warpgroup: it lets the others have its share of the barriers.
  VARLEN_DEVICE void pass(const Slice& slice) {
    const std::int32_t keys = slice.keys();
    if (keys == 0) return;
    gpu::wait_for(Memory::query_full(queries_.index), queries_.parity);
    release(Memory::query_empty(queries_.index));
    queries_.advance();
    for (std::int32_t begin = 0; begin < keys; begin += kKeys) {
      gpu::wait_for(Memory::key_full(keys_.index), keys_.parity);
      release(Memory::key_empty(keys_.index));
      keys_.advance();
      gpu::wait_for(Memory::value_full(values_.index), values_.parity);
      release(Memory::value_empty(values_.index));
      values_.advance();
    }
  }

  /// Queries times the next step's keys, as one group of products.
  VARLEN_DEVICE void start_scores(BandSums<kKeyTiles>& scores) {
    gpu::wait_for(Memory::key_full(keys_.index), keys_.parity);
    gpu::fence_shared_for_products();
    const gpu::MatrixDescriptor queries = Memory::queries(queries_.index).along_rows(group_row());
    const gpu::MatrixDescriptor keys = Memory::keys(keys_.index).along_rows(0);
    gpu::keep_in_place<kKeyTiles>(scores);
    gpu::warpgroup_fence();
    VARLEN_UNROLL
    for (int depth = 0; depth < Shape::kDimQk; depth += 16) {
      gpu::warpgroup_multiply<Element, kKeyTiles>(scores, queries + Shape::Queries::along_rows_bytes(depth),
                                                  keys + Shape::Keys::along_rows_bytes(depth), depth > 0);
    }
    gpu::warpgroup_commit();
  }
  template <int kPending>
  VARLEN_DEVICE void finish_scores(BandSums<kKeyTiles>& scores) {
    gpu::warpgroup_wait<kPending>();
    gpu::keep_in_place<kKeyTiles>(scores);
    release(Memory::key_empty(keys_.index));
    keys_.advance();
  }

  VARLEN_DEVICE static void weigh(const Slice& slice, const SeenKeys& seen_by_all, std::int32_t begin,
                                  Band<kColumnTiles>& band, BandSums<kKeyTiles>& scores, float (&rescale)[2]) {
    turn<kKeyTiles>(slice.parameters, scores);
    if (begin < seen_by_all.begin || begin + kKeys > seen_by_all.end) {
      mask<kKeyTiles>(slice, band_row(), begin, scores);
    }
    softmax<kKeyTiles>(slice.parameters, band.row, scores, rescale);
  }

  /// Weights times the next step's values, as one group of products.
  VARLEN_DEVICE void start_values(const Weights& weights, BandSums<kColumnTiles>& out) {
    gpu::wait_for(Memory::value_full(values_.index), values_.parity);
    gpu::fence_shared_for_products();
    const gpu::MatrixDescriptor values = Memory::values(values_.index).across_rows();
    gpu::keep_in_place<kColumnTiles>(out);
    gpu::warpgroup_fence();
    VARLEN_UNROLL
    for (int depth = 0; depth < kKeys; depth += 16) {
      gpu::warpgroup_multiply_add<Element, kColumnTiles>(out, weights[depth / 16],
                                                         values + Shape::Values::across_rows_bytes(depth));
    }
    gpu::warpgroup_commit();
  }
  VARLEN_DEVICE void finish_values(BandSums<kColumnTiles>& out) {
    gpu::warpgroup_wait<0>();
    gpu::keep_in_place<kColumnTiles>(out);
    release(Memory::value_empty(values_.index));
    values_.advance();
  }

  Ring<Shape::kQueryStages> queries_;
  Ring<Shape::kStages> keys_;
  Ring<Shape::kStages> values_;
};

/// Every thread of every block.
template <class Shape>
VARLEN_DEVICE void forward_wgmma(const ForwardParameters& parameters) {
  if (gpu::thread_index() == 0) WgmmaMemory<Shape>::init_barriers();
  gpu::sync_block();  // all threads: the barriers are there
  if (gpu::thread_index() < gpu::kWarpgroupThreads) {
    gpu::give_back_registers<Shape::kProducerRegisters>();
    WgmmaProducer<Shape>().run(parameters);
  } else {
    gpu::take_registers<Shape::kConsumerRegisters>();
    WgmmaConsumer<Shape>().run(parameters);
  }
}

}  // namespace varlen::kernel
