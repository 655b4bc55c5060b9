// A consumer warpgroup of forward_wgmma: 64 rows of each tile, from scores to results.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/band.hpp"
#include "kernel/pipeline.hpp"
#include "kernel/score_factors.hpp"
#include "kernel/wgmma_memory.hpp"

namespace varlen::kernel {

template <class Shape>
class WgmmaConsumer {
  using Memory = WgmmaMemory<Shape>;
  using Element = typename Shape::Element;
  using Multiplied = typename kernel::Multiplied<Element>::Type;
  static constexpr int kKeys = Shape::kKeys;
  static constexpr int kKeyTiles = kKeys / 8;
  static constexpr int kColumnTiles = Shape::kDimVo / 8;
  using Weights = gpu::Fragment[kKeys / 16];

 public:
  VARLEN_DEVICE explicit WgmmaConsumer(const ForwardParameters& parameters) : parameters_(parameters) {}

  VARLEN_DEVICE void run() {
    if (consumer() == 1) gpu::arrive_threads(turn_barrier(0), Shape::kConsumerThreads);  // the first turn is 0's
    for_each_work<Memory>([&](const TileWork& work, gpu::SharedAddress place) {
      if (group_row() < work.rows) {
        compute(work, place);
      } else if (work.keys > 0) {
        pass(work);
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
  // section 3.1): they give them work in turns. Where a tile has rows for one of them only, there are no turns.
  static_assert(Shape::kConsumers == 2);
  VARLEN_DEVICE static int turn_barrier(int consumer) { return 1 + consumer; }
  VARLEN_DEVICE static int results_barrier() { return 3 + consumer(); }
  VARLEN_DEVICE static void take_turn(bool in_turns) {
    if (in_turns) gpu::sync_threads(turn_barrier(consumer()), Shape::kConsumerThreads);
  }
  VARLEN_DEVICE static void end_turn(bool in_turns) {
    if (in_turns) gpu::arrive_threads(turn_barrier(1 - consumer()), Shape::kConsumerThreads);
  }

  VARLEN_DEVICE void compute(const TileWork& work, gpu::SharedAddress place) {
    Band<kColumnTiles> band;
    clear(band);
    if (work.keys == 0) {
      write_rows<Multiplied>(parameters_, factors_of<Element>(parameters_, work.request, work.kv_head), work, band,
                             band_row());
      return;
    }
    const BandSeen seen = band_seen(work, band_row());
    const SeenKeys seen_by_all = work.seen_by_all(band_row(), kBandRows);
    const bool in_turns = work.rows > Shape::kConsumerRows;
    const FactorsOf<Element> factors = factors_of<Element>(parameters_, work.request, work.kv_head);
    float rescale[2];
    Weights weights;
    gpu::wait_for(Memory::query_full(queries_.stage()), queries_.parity());
    {
      BandSums<kKeyTiles> scores;
      start_scores(scores, 0);
      finish_scores<0>(scores, 0);
      weigh(factors, seen, seen_by_all, 0, band, scores, rescale);
      pack_weights<Multiplied, kKeyTiles>(scores, weights);
    }
    // The tensor cores work on the next step's scores and this step's values while the next step's weights are found.
    for (std::int32_t begin = kKeys; begin < work.keys; begin += kKeys) {
      BandSums<kKeyTiles> scores;
      take_turn(in_turns);
      start_scores(scores, 1);
      start_values(weights, band.out);
      end_turn(in_turns);
      finish_scores<1>(scores, 1);
      weigh(factors, seen, seen_by_all, begin, band, scores, rescale);
      finish_values(band.out);
      rescale_out<kColumnTiles>(band.out, rescale);
      pack_weights<Multiplied, kKeyTiles>(scores, weights);
    }
    start_values(weights, band.out);
    finish_values(band.out);
    const TileWork same = load_work(place);  // rather than in registers all the while
    if (same.boxed_out != 0) {
      leave_results(same, band);
    } else {
      write_rows<Multiplied>(parameters_, factors_of<Element>(parameters_, same.request, same.kv_head), same, band,
                             band_row());
    }
    release(Memory::result_full(queries_.stage()));
    queries_.advance();
  }

  /// The tile has no rows for this warpgroup: it lets the others have its share of the barriers.
  VARLEN_DEVICE void pass(const TileWork& work) {
    wait_together(Memory::query_full(queries_.stage()), queries_.parity());
    release(Memory::result_full(queries_.stage()));
    queries_.advance();
    for (std::int32_t begin = 0; begin < work.keys; begin += kKeys) {
      wait_together(Memory::key_full(steps_.stage()), steps_.parity());
      release(Memory::key_empty(steps_.stage()));
      wait_together(Memory::value_full(steps_.stage()), steps_.parity());
      release(Memory::value_empty(steps_.stage()));
      steps_.advance();
    }
  }

  /// Queries times a step's keys, as one group of products. The step is `ahead` of the one whose values are next.
  VARLEN_DEVICE void start_scores(BandSums<kKeyTiles>& scores, std::uint32_t ahead) {
    gpu::wait_for(Memory::key_full(steps_.stage(ahead)), steps_.parity(ahead));
    const gpu::MatrixDescriptor queries = Memory::queries(queries_.stage()).along_rows(group_row());
    const gpu::MatrixDescriptor keys = Memory::keys(steps_.stage(ahead)).along_rows(0);
    gpu::keep_in_place<kKeyTiles>(scores);
    gpu::warpgroup_fence();
    VARLEN_UNROLL
    for (int depth = 0; depth < Shape::kDimQk; depth += 16) {
      gpu::warpgroup_multiply<Multiplied, kKeyTiles>(scores, queries + Shape::Queries::along_rows_bytes(depth),
                                                     keys + Shape::Keys::along_rows_bytes(depth), depth > 0);
    }
    gpu::warpgroup_commit();
  }
  template <int kPending>
  VARLEN_DEVICE void finish_scores(BandSums<kKeyTiles>& scores, std::uint32_t ahead) {
    gpu::warpgroup_wait<kPending>();
    gpu::keep_in_place<kKeyTiles>(scores);
    release(Memory::key_empty(steps_.stage(ahead)));
  }

  VARLEN_DEVICE void weigh(const ScoreFactors& factors, const BandSeen& seen, const SeenKeys& seen_by_all,
                           std::int32_t begin, Band<kColumnTiles>& band, BandSums<kKeyTiles>& scores,
                           float (&rescale)[2]) const {
    turn<kKeyTiles>(factors, scores);
    if (begin < seen_by_all.begin || begin + kKeys > seen_by_all.end) mask<kKeyTiles>(seen, begin, scores);
    softmax<Multiplied, kKeyTiles>(factors, band.row, scores, rescale);
    // Or the compiler would have all this wait until the values have been added.
    gpu::compute_first(band.row[0].sum + band.row[1].sum, parameters_.head_dim_vo);
  }

  /// Weights times the next step's values, as one group of products.
  VARLEN_DEVICE void start_values(const Weights& weights, BandSums<kColumnTiles>& out) {
    gpu::wait_for(Memory::value_full(steps_.stage()), steps_.parity());
    const gpu::MatrixDescriptor values = Memory::values(steps_.stage()).across_rows();
    gpu::keep_in_place<kColumnTiles>(out);
    gpu::warpgroup_fence();
    VARLEN_UNROLL
    for (int depth = 0; depth < kKeys; depth += 16) {
      gpu::warpgroup_multiply_add<Multiplied, kColumnTiles>(out, weights[depth / 16],
                                                            values + Shape::Values::across_rows_bytes(depth));
    }
    gpu::warpgroup_commit();
  }
  VARLEN_DEVICE void finish_values(BandSums<kColumnTiles>& out) {
    gpu::warpgroup_wait<0>();
    gpu::keep_in_place<kColumnTiles>(out);
    release(Memory::value_empty(steps_.stage()));
    steps_.advance();
  }

  /// Finished rows in place of their queries, for the storer.
  VARLEN_DEVICE void leave_results(const TileWork& work, Band<kColumnTiles>& band) {
    VARLEN_UNROLL
    for (int half = 0; half < 2; ++half) {
      const RowState state = whole_row<Multiplied>(band, half);
      const std::int32_t row = band_row() + half * 8 + gpu::lane_index() / 4;
      const float factor = row < work.rows
                               ? finish_row(parameters_, factors_of<Element>(parameters_, work.request, work.kv_head),
                                            work, row, 0, state)
                                         .out_factor *
                                     weight_unit<Multiplied>()
                               : 0.0F;
      VARLEN_UNROLL
      for (int tile = 0; tile < kColumnTiles; ++tile) {
        band.out[tile][2 * half] *= factor;
        band.out[tile][2 * half + 1] *= factor;
      }
    }
    gpu::sync_threads(results_barrier(), gpu::kWarpgroupThreads);  // all four warps have done with the queries
    const typename Shape::Results::Lane lane(Memory::results(queries_.stage()), band_row() + gpu::lane_index() % 16,
                                             gpu::lane_index() / 16);
    VARLEN_UNROLL
    for (int tile = 0; tile < kColumnTiles; tile += 2) {
      std::uint32_t matrices[4];
      VARLEN_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float* const pair = &band.out[tile + i / 2][i % 2 * 2];
        matrices[i] = pack_out(parameters_, pair[0], pair[1]);
      }
      gpu::store_matrices(lane.chunk(tile), matrices);
    }
    gpu::fence_shared_for_products();
    gpu::sync_warp();
  }

  const ForwardParameters& parameters_;
  Ring<Shape::kQueryStages> queries_;
  Ring<Shape::kStages> steps_;
};

}  // namespace varlen::kernel
