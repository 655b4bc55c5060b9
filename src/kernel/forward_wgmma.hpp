// Attention by wgmma, for Hopper (sm_90a): blocks of three warpgroups draw items of the plan. One warpgroup, the
// producer, brings queries, keys and values into shared memory; two consumers of 64 rows each multiply. The division of
// labour, the order of a consumer's steps and the products from registers are those of FlashAttention-3
// (arXiv:2407.08608).
//
// Shared memory: kQueryStages × queries, kStages × keys, kStages × values, then the barriers. Two warps of the producer
// copy queries. The other two copy keys and values, or one thread of them has the tensor memory accelerator copy them
// (KeyBoxes). A stage is full when its copies have landed, and empty when all warps of the consumers are done with it:
//
//   barrier         arrivals                     protects
//   query_full[q]   64 threads                   queries of a slice, before the consumers' first product
//   query_empty[q]  8 consumer warps             the same memory, from the slice's last scores until it is refilled
//   key_full[s]     64 threads, or 1 and bytes   one step's keys
//   key_empty[s]    8 consumer warps             the same memory, from the step's scores on
//   value_full[s]   64 threads, or 1 and bytes   one step's values
//   value_empty[s]  8 consumer warps             the same memory, from the step's sums on
//   turn (1 + c)    256 consumer threads         consumer c's turn to give the tensor cores work, see take_turn()
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
  static constexpr int kKeys = wgmma_keys(kDimVo);  // in one step
  static constexpr int kStages = kDimQk <= 64 ? 4 : 2;
  static constexpr int kQueryStages = kDimQk <= 128 ? 2 : 1;
  static constexpr int kCopyThreads = 64;  // of queries; and of keys and values
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

  VARLEN_DEVICE static void init_barriers(bool by_boxes) {
    constexpr int kWarps = Shape::kConsumers * gpu::kWarpgroupThreads / gpu::kWarpThreads;
    for (int stage = 0; stage < Shape::kQueryStages; ++stage) {
      gpu::init_barrier(query_full(stage), Shape::kCopyThreads);
      gpu::init_barrier(query_empty(stage), kWarps);
    }
    for (int stage = 0; stage < Shape::kStages; ++stage) {
      gpu::init_barrier(key_full(stage), by_boxes ? 1 : Shape::kCopyThreads);
      gpu::init_barrier(key_empty(stage), kWarps);
      gpu::init_barrier(value_full(stage), by_boxes ? 1 : Shape::kCopyThreads);
      gpu::init_barrier(value_empty(stage), kWarps);
    }
    gpu::fence_barriers();
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

/// The producer's threads for queries.
template <class Shape>
class QueryProducer {
  using Memory = WgmmaMemory<Shape>;

 public:
  /// `thread` of kCopyThreads.
  VARLEN_DEVICE void run(const ForwardParameters& parameters, int thread) {
    for_each_slice<Shape::kSliceRows>(parameters, [&](const Slice& slice) {
      if (slice.keys() == 0) return;  // the consumers ask for nothing, either
      gpu::wait_for(Memory::query_empty(queries_.index), queries_.parity ^ 1U);
      const PanelCopy<typename Shape::Queries, Shape::kCopyThreads> copy(Memory::queries(queries_.index), thread);
      copy.scattered(static_cast<const std::uint16_t*>(parameters.query.data), slice.rows, parameters.head_dim_qk,
                     [&](int row) { return slice.query_row(row); });
      gpu::copy_async_arrive(Memory::query_full(queries_.index));
      queries_.advance();
    });
  }

 private:
  Ring<Shape::kQueryStages> queries_;
};

/// The producer's threads for keys and values.
template <class Shape>
class KeyProducer {
  using Memory = WgmmaMemory<Shape>;

 public:
  VARLEN_DEVICE void run_by_boxes(const ForwardParameters& parameters) {
    for_each_step(parameters, [&](const Slice& slice, std::int32_t begin) {
      gpu::wait_for(Memory::key_empty(steps_.index), steps_.parity ^ 1U);
      copy_boxes(slice, Memory::keys(steps_.index), parameters.key_boxes.key, begin, Memory::key_full(steps_.index));
      gpu::wait_for(Memory::value_empty(steps_.index), steps_.parity ^ 1U);
      copy_boxes(slice, Memory::values(steps_.index), parameters.key_boxes.value, begin,
                 Memory::value_full(steps_.index));
    });
  }
  /// `thread` of kCopyThreads.
  VARLEN_DEVICE void run_by_copies(const ForwardParameters& parameters, int thread) {
    for_each_step(parameters, [&](const Slice& slice, std::int32_t begin) {
      gpu::wait_for(Memory::key_empty(steps_.index), steps_.parity ^ 1U);
      copy_rows(slice, Memory::keys(steps_.index), parameters.key, parameters.head_dim_qk, begin, thread);
      gpu::copy_async_arrive(Memory::key_full(steps_.index));
      gpu::wait_for(Memory::value_empty(steps_.index), steps_.parity ^ 1U);
      copy_rows(slice, Memory::values(steps_.index), parameters.value, parameters.head_dim_vo, begin, thread);
      gpu::copy_async_arrive(Memory::value_full(steps_.index));
    });
  }

 private:
  template <class Work>
  VARLEN_DEVICE void for_each_step(const ForwardParameters& parameters, const Work& work) {
    for_each_slice<Shape::kSliceRows>(parameters, [&](const Slice& slice) {
      const std::int32_t keys = slice.keys();
      for (std::int32_t begin = 0; begin < keys; begin += Shape::kKeys) {
        work(slice, begin);
        steps_.advance();
      }
    });
  }

  template <class Matrix>
  VARLEN_DEVICE static void copy_boxes(const Slice& slice, const Matrix& matrix, const gpu::TensorMap& map,
                                       std::int32_t begin, gpu::SharedAddress full) {
    const WorkItem& item = slice.item;
    const std::int64_t start = slice.parameters.requests[item.request].key_start;
    gpu::arrive_expecting(full, Matrix::kBytes);
    VARLEN_UNROLL
    for (int panel = 0; panel < Matrix::kPanels; ++panel) {
      // As if the request ended with the item's keys.
      const std::int32_t coordinates[4] = {
          panel * 64, item.kv_head,
          static_cast<std::int32_t>(slice.parameters.key_boxes.bound - item.key_end + item.key_begin + begin),
          static_cast<std::int32_t>(start + item.key_end)};
      gpu::copy_box(matrix.base + static_cast<std::uint32_t>(panel) * Matrix::kPanelBytes, map, coordinates, full);
    }
  }

  template <class Matrix>
  VARLEN_DEVICE static void copy_rows(const Slice& slice, const Matrix& matrix, const RowAddresses& tensor,
                                      int head_dim, std::int32_t begin, int thread) {
    const ForwardParameters& parameters = slice.parameters;
    const WorkItem& item = slice.item;
    const std::int64_t first = item.key_begin + begin;
    const std::int64_t left = item.key_end - first;
    const int rows = left < Matrix::kRows ? static_cast<int>(left) : Matrix::kRows;
    const auto* const data = static_cast<const std::uint16_t*>(tensor.data);
    const PanelCopy<Matrix, Shape::kCopyThreads> copy(matrix, thread);
    if (parameters.page_size == 0) {
      const std::int64_t offset = key_offset(parameters, tensor, item.request, item.kv_head, first);
      copy.strided(data + offset, tensor.token_stride, rows, head_dim);
    } else {
      copy.scattered(data, rows, head_dim,
                     [&](int row) { return key_offset(parameters, tensor, item.request, item.kv_head, first + row); });
    }
  }

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
    if (consumer() == 1) gpu::arrive_threads(turn_barrier(0), kConsumerThreads);  // the first turn is consumer 0's
    for_each_slice<Shape::kSliceRows>(parameters, [&](const Slice& slice) {
      if (group_row() < slice.rows) {
        compute(slice);
      } else {
        pass(slice);
      }
    });
  }

 private:
  VARLEN_DEVICE static int consumer() { return gpu::thread_index() / gpu::kWarpgroupThreads - 1; }
  VARLEN_DEVICE static int group_row() { return consumer() * Shape::kConsumerRows; }
  VARLEN_DEVICE static int band_row() { return group_row() + gpu::warp_index() % 4 * kBandRows; }

  /// By one lane of each warp, so that no warp runs ahead of another's products.
  VARLEN_DEVICE static void release(gpu::SharedAddress barrier) {
    if (gpu::lane_index() == 0) gpu::arrive(barrier);
  }

  // While one consumer finds weights, the other's products keep the tensor cores busy ("ping-pong", FlashAttention-3,
  // section 3.1): they give them work in turns. Where a slice has rows for one of them only, there are no turns.
  static constexpr int kConsumerThreads = Shape::kConsumers * gpu::kWarpgroupThreads;
  static_assert(Shape::kConsumers == 2);
  VARLEN_DEVICE static int turn_barrier(int consumer) { return 1 + consumer; }
  VARLEN_DEVICE static void take_turn(const Slice& slice) {
    if (slice.rows > Shape::kConsumerRows) gpu::sync_threads(turn_barrier(consumer()), kConsumerThreads);
  }
  VARLEN_DEVICE static void end_turn(const Slice& slice) {
    if (slice.rows > Shape::kConsumerRows) gpu::arrive_threads(turn_barrier(1 - consumer()), kConsumerThreads);
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
      gpu::fence_shared_for_products();
      {
        BandSums<kKeyTiles> scores;
        start_scores(slice, scores);
        finish_scores<0>(scores);
        weigh(slice, seen_by_all, 0, band, scores, rescale);
        pack_weights<Element, kKeyTiles>(scores, weights);
      }
      // The tensor cores work on the next step's scores and this step's values while the next step's weights are found.
      for (std::int32_t begin = kKeys; begin < keys; begin += kKeys) {
        BandSums<kKeyTiles> scores;
        take_turn(slice);
        start_scores(slice, scores);
        start_values(slice, weights, band.out);
        end_turn(slice);
        finish_scores<1>(scores);
        weigh(slice, seen_by_all, begin, band, scores, rescale);
        finish_values(band.out);
        rescale_out<kColumnTiles>(band.out, rescale);
        pack_weights<Element, kKeyTiles>(scores, weights);
      }
      release(Memory::query_empty(queries_.index));
      queries_.advance();
      start_values(slice, weights, band.out);
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
  VARLEN_DEVICE void start_scores(const Slice& slice, BandSums<kKeyTiles>& scores) {
    gpu::wait_for(Memory::key_full(keys_.index), keys_.parity);
    if (slice.parameters.key_boxes.bound == 0) gpu::fence_shared_for_products();
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
    // Or the compiler would have all this wait until the values have been added.
    gpu::compute_first(band.row[0].sum + band.row[1].sum, slice.parameters.head_dim_vo);
  }

  /// Weights times the next step's values, as one group of products.
  VARLEN_DEVICE void start_values(const Slice& slice, const Weights& weights, BandSums<kColumnTiles>& out) {
    gpu::wait_for(Memory::value_full(values_.index), values_.parity);
    if (slice.parameters.key_boxes.bound == 0) gpu::fence_shared_for_products();
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
  const bool by_boxes = parameters.key_boxes.bound > 0;
  if (gpu::thread_index() == 0) WgmmaMemory<Shape>::init_barriers(by_boxes);
  gpu::sync_block();  // all threads: the barriers are there
  if (gpu::thread_index() >= gpu::kWarpgroupThreads) {
    gpu::take_registers<Shape::kConsumerRegisters>();
    WgmmaConsumer<Shape>().run(parameters);
    return;
  }
  gpu::give_back_registers<Shape::kProducerRegisters>();
  const int query_thread = gpu::thread_index() - Shape::kCopyThreads;
  if (query_thread >= 0) {
    QueryProducer<Shape>().run(parameters, query_thread);
  } else if (!by_boxes) {
    KeyProducer<Shape>().run_by_copies(parameters, gpu::thread_index());
  } else if (gpu::thread_index() == 0) {
    KeyProducer<Shape>().run_by_boxes(parameters);
  }
}

}  // namespace varlen::kernel
