// Attention by mma.sync, for every GPU from sm_80 on: one block of four warps after another computes items of the plan.
//
// An item goes through in slices of at most kSliceRows rows. Warps share keys and values and divide the rows: each has
// one or two bands of 16. Queries stay in shared memory; keys and values come in steps of kKeys tokens by cp.async, a
// step's values while its scores are computed, the next step's keys while the values are added (the order of
// FlashAttention-2, arXiv:2307.08691). Scores and probabilities never leave registers.
//
// Shared memory: queries [kSliceRows][kDimQk], keys [kKeys][kDimQk], values [kKeys][kDimVo]. Barriers, all of the whole
// block, two a step: "keys are there, and the last step's values are used up" and "values are there, and this step's
// keys are used up".
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"
#include "kernel/rows.hpp"
#include "kernel/rows_out.hpp"
#include "kernel/softmax.hpp"
#include "kernel/tile_memory.hpp"

namespace varlen::kernel {

/// Element: gpu::Float16 or gpu::BFloat16. Head dims are upper bounds, a multiple of 64 each: columns past a batch's
/// own are zeros in shared memory and are multiplied like the others, which is faster than asking at each of them.
template <class Element_, int kDimQk_, int kDimVo_>
struct ForwardMmaShape {
  using Element = Element_;
  static constexpr int kDimQk = kDimQk_;
  static constexpr int kDimVo = kDimVo_;
  static constexpr int kWarps = 4;
  static constexpr int kThreads = kWarps * gpu::kWarpThreads;
  static constexpr int kBandRows = 16;
  static constexpr int kMaxBands = kDimVo <= 128 ? 2 : 1;  // of a warp: more sums do not fit the registers
  static constexpr int kSliceRows = kWarps * kBandRows * kMaxBands;
  static constexpr int kKeys = 64;  // in one step
  using Queries = SharedMatrix<kSliceRows, kDimQk>;
  using Keys = SharedMatrix<kKeys, kDimQk>;
  using Values = SharedMatrix<kKeys, kDimVo>;
  static constexpr int kSharedBytes = Queries::kBytes + Keys::kBytes + Values::kBytes;
};

/// One slice of an item, with kBands bands of 16 rows for each warp.
template <class Shape, int kBands>
class ForwardMmaSlice {
  using Element = typename Shape::Element;
  static constexpr int kBandRows = Shape::kBandRows;
  static constexpr int kKeys = Shape::kKeys;
  static constexpr int kKeyTiles = kKeys / 8;             // 16 × 8 tiles of scores
  static constexpr int kColumnTiles = Shape::kDimVo / 8;  // of out
  static constexpr int kThreads = Shape::kThreads;

 public:
  VARLEN_DEVICE ForwardMmaSlice(const ForwardParameters& parameters, const WorkItem& item, int row_begin, int rows)
      : parameters_(parameters),
        item_(item),
        row_begin_(row_begin),
        rows_(rows),
        lane_(gpu::lane_index()),
        first_row_(gpu::warp_index() * kBandRows * kBands),
        queries_{gpu::shared_memory()},
        keys_{queries_.base + Shape::Queries::kBytes},
        values_{keys_.base + Shape::Keys::kBytes} {}

  VARLEN_DEVICE void run() {
    clear();
    find_keys_for_all();
    if (item_.key_begin < item_.key_end) {
      load_queries();
      load_keys(0);
      gpu::copy_async_commit();
      const auto keys = static_cast<std::int32_t>(item_.key_end - item_.key_begin);
      for (std::int32_t begin = 0; begin < keys; begin += kKeys) add_keys(begin, keys);
    }
    write();
  }

 private:
  /// Two rows of a band in one lane: lane / 4 and, eight below, lane / 4 + 8.
  struct Band {
    RowState row[2];
    float out[kColumnTiles][4];
  };

  VARLEN_DEVICE int slice_row(int band, int half) const { return first_row_ + band * kBandRows + half * 8 + lane_ / 4; }
  VARLEN_DEVICE bool warp_is_idle() const { return first_row_ >= rows_; }

  /// Keys that a row of the slice sees, counted from the item's first; none for rows that the slice does not have.
  struct SeenKeys {
    std::int32_t begin;
    std::int32_t end;
  };
  VARLEN_DEVICE SeenKeys seen_keys(int row) const {
    if (row >= rows_) return {0, 0};
    const KeyRange keys = row_keys(parameters_, item_, row_position(item_, row_begin_ + row).token);
    return {static_cast<std::int32_t>(keys.begin - item_.key_begin),
            static_cast<std::int32_t>(keys.end - item_.key_begin)};
  }

  /// Ranges only move on from row to row, so every row of the warp sees what the last one's begins and the first one's
  /// ends.
  VARLEN_DEVICE void find_keys_for_all() {
    const int last_row = first_row_ + kBands * kBandRows - 1;
    seen_by_all_ = {seen_keys(last_row < rows_ ? last_row : rows_ - 1).begin, seen_keys(first_row_).end};
  }

  VARLEN_DEVICE void clear() {
    VARLEN_UNROLL
    for (int b = 0; b < kBands; ++b) {
      Band& band = bands_[b];
      VARLEN_UNROLL
      for (int half = 0; half < 2; ++half) {
        band.row[half] = {minus_infinity(), 0.0F};
      }
      VARLEN_UNROLL
      for (int tile = 0; tile < kColumnTiles; ++tile) {
        VARLEN_UNROLL
        for (int i = 0; i < 4; ++i) band.out[tile][i] = 0.0F;
      }
    }
  }

  VARLEN_DEVICE void load_queries() {
    const std::int64_t start = parameters_.requests[item_.request].query_start;
    load_rows<kThreads>(queries_, parameters_.query, rows_, parameters_.head_dim_qk, [&](int row) {
      const RowPosition position = row_position(item_, row_begin_ + row);
      return query_offset(parameters_.query, start + position.token, position.head);
    });
  }
  VARLEN_DEVICE void load_keys(std::int32_t begin) {
    load_key_rows(keys_, parameters_.key, parameters_.head_dim_qk, begin);
  }
  VARLEN_DEVICE void load_values(std::int32_t begin) {
    load_key_rows(values_, parameters_.value, parameters_.head_dim_vo, begin);
  }
  template <class Matrix>
  VARLEN_DEVICE void load_key_rows(const Matrix& matrix, const RowAddresses& tensor, int head_dim, std::int32_t begin) {
    const std::int64_t first = item_.key_begin + begin;
    const std::int64_t left = item_.key_end - first;
    const int rows = left < kKeys ? static_cast<int>(left) : kKeys;
    if constexpr (kThreads % Matrix::kChunks == 0) {
      if (tensor.in_chunks && parameters_.page_size == 0) {
        const std::int64_t offset = key_offset(parameters_, tensor, item_.request, item_.kv_head, first);
        load_strided_rows<kThreads>(matrix, static_cast<const std::uint16_t*>(tensor.data) + offset,
                                    tensor.token_stride, rows, head_dim);
        return;
      }
    }
    load_rows<kThreads>(matrix, tensor, rows, head_dim, [&](int row) {
      return key_offset(parameters_, tensor, item_.request, item_.kv_head, first + row);
    });
  }

  /// One step: keys begin … begin + kKeys of the item's `keys`.
  VARLEN_DEVICE void add_keys(std::int32_t begin, std::int32_t keys) {
    gpu::copy_async_wait<0>();
    gpu::sync_block();  // all threads: keys `begin` … (and the queries) are there; values_ is free
    load_values(begin);
    gpu::copy_async_commit();
    std::uint32_t weights[kBands][kKeys / 16][4];
    if (!warp_is_idle()) {
      float scores[kBands][kKeyTiles][4];
      multiply_queries_and_keys(scores);
      VARLEN_UNROLL
      for (int b = 0; b < kBands; ++b) {
        turn(scores[b]);
        if (begin < seen_by_all_.begin || begin + kKeys > seen_by_all_.end) mask(b, scores[b], begin);
        softmax(bands_[b], scores[b]);
        pack_weights(scores[b], weights[b]);
      }
    }
    gpu::copy_async_wait<0>();
    gpu::sync_block();  // all threads: values `begin` … are there; keys_ is free, after the last step queries_ too
    if (begin + kKeys < keys) {
      load_keys(begin + kKeys);
      gpu::copy_async_commit();
    }
    if (!warp_is_idle()) add_values(weights);
  }

  VARLEN_DEVICE void multiply_queries_and_keys(float (&scores)[kBands][kKeyTiles][4]) {
    VARLEN_UNROLL
    for (int b = 0; b < kBands; ++b) {
      VARLEN_UNROLL
      for (int tile = 0; tile < kKeyTiles; ++tile) {
        VARLEN_UNROLL
        for (int i = 0; i < 4; ++i) scores[b][tile][i] = 0.0F;
      }
    }
    const typename Shape::Queries::Lane query_lane(queries_, first_row_ + lane_ % 16, lane_ / 16);
    const typename Shape::Keys::Lane key_lane(keys_, lane_ / 16 * 8 + lane_ % 8, lane_ / 8 % 2);
    VARLEN_UNROLL
    for (int depth = 0; depth < Shape::kDimQk; depth += 16) {
      std::uint32_t queries[kBands][4];
      VARLEN_UNROLL
      for (int b = 0; b < kBands; ++b) {
        gpu::load_matrices(queries[b], query_lane.chunk(b * kBandRows, depth / kChunkElements));
      }
      VARLEN_UNROLL
      for (int tile = 0; tile < kKeyTiles; tile += 2) {
        std::uint32_t keys[4];
        gpu::load_matrices(keys, key_lane.chunk(tile * 8, depth / kChunkElements));
        VARLEN_UNROLL
        for (int b = 0; b < kBands; ++b) {
          gpu::multiply_add_16x8x16<Element>(scores[b][tile], queries[b], keys[0], keys[1]);
          gpu::multiply_add_16x8x16<Element>(scores[b][tile + 1], queries[b], keys[2], keys[3]);
        }
      }
    }
  }

  /// Scores become probabilities relative to the largest score so far; what was summed before is scaled to it.
  VARLEN_DEVICE void softmax(Band& band, float (&scores)[kKeyTiles][4]) {
    VARLEN_UNROLL
    for (int half = 0; half < 2; ++half) {
      float max = band.row[half].max;
      VARLEN_UNROLL
      for (int tile = 0; tile < kKeyTiles; ++tile) {
        max = __builtin_fmaxf(max, __builtin_fmaxf(scores[tile][2 * half], scores[tile][2 * half + 1]));
      }
      max = max_of_four_lanes(max);
      const float rescale = raise_max(band.row[half], max, parameters_.log2_per_one);
      // A row that has seen nothing has only −inf here; any finite maximum turns them into zeros.
      const float reference = max == minus_infinity() ? 0.0F : max;
      float sum = 0.0F;
      VARLEN_UNROLL
      for (int tile = 0; tile < kKeyTiles; ++tile) {
        VARLEN_UNROLL
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          scores[tile][i] = gpu::exp2_fast((scores[tile][i] - reference) * parameters_.log2_per_one);
          sum += scores[tile][i];
        }
      }
      band.row[half].sum += sum;
      if (rescale != 1.0F) {  // rarely, once the largest scores have been seen
        VARLEN_UNROLL
        for (int tile = 0; tile < kColumnTiles; ++tile) {
          band.out[tile][2 * half] *= rescale;
          band.out[tile][2 * half + 1] *= rescale;
        }
      }
    }
  }

  /// −inf over the scores of keys that a row does not see.
  VARLEN_DEVICE void mask(int b, float (&scores)[kKeyTiles][4], std::int32_t begin) {
    VARLEN_UNROLL
    for (int half = 0; half < 2; ++half) {
      const SeenKeys seen = seen_keys(slice_row(b, half));
      VARLEN_UNROLL
      for (int tile = 0; tile < kKeyTiles; ++tile) {
        VARLEN_UNROLL
        for (int i = 0; i < 2; ++i) {
          const std::int32_t key = begin + tile * 8 + lane_ % 4 * 2 + i;
          if (key < seen.begin || key >= seen.end) scores[tile][2 * half + i] = minus_infinity();
        }
      }
    }
  }

  /// Scores to numbers that rise with the logits: signs turned for a negative scale, capped if the batch asks for it.
  VARLEN_DEVICE void turn(float (&scores)[kKeyTiles][4]) {
    if (parameters_.score_sign != 1.0F) {
      for_each(scores, [&](float score) { return score * parameters_.score_sign; });
    }
    if (parameters_.soft_cap > 0.0F) {
      for_each(scores, [&](float score) { return capped(parameters_, score); });
    }
  }
  template <class Function>
  VARLEN_DEVICE static void for_each(float (&scores)[kKeyTiles][4], const Function& function) {
    VARLEN_UNROLL
    for (int tile = 0; tile < kKeyTiles; ++tile) {
      VARLEN_UNROLL
      for (int i = 0; i < 4; ++i) scores[tile][i] = function(scores[tile][i]);
    }
  }

  /// The lanes hold a 16 × 8 tile of scores just as they hold two matrices of an operand.
  VARLEN_DEVICE static void pack_weights(const float (&probabilities)[kKeyTiles][4],
                                         std::uint32_t (&weights)[kKeys / 16][4]) {
    VARLEN_UNROLL
    for (int step = 0; step < kKeys / 16; ++step) {
      VARLEN_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float* const pair = &probabilities[2 * step + i / 2][i % 2 * 2];
        weights[step][i] = gpu::pack<Element>(pair[0], pair[1]);
      }
    }
  }

  VARLEN_DEVICE void add_values(const std::uint32_t (&weights)[kBands][kKeys / 16][4]) {
    const typename Shape::Values::Lane value_lane(values_, lane_ % 16, lane_ / 16);
    VARLEN_UNROLL
    for (int depth = 0; depth < kKeys; depth += 16) {
      VARLEN_UNROLL
      for (int tile = 0; tile < kColumnTiles; tile += 2) {
        std::uint32_t values[4];
        gpu::load_matrices_transposed(values, value_lane.chunk(depth, tile));
        VARLEN_UNROLL
        for (int b = 0; b < kBands; ++b) {
          gpu::multiply_add_16x8x16<Element>(bands_[b].out[tile], weights[b][depth / 16], values[0], values[1]);
          gpu::multiply_add_16x8x16<Element>(bands_[b].out[tile + 1], weights[b][depth / 16], values[2], values[3]);
        }
      }
    }
  }

  VARLEN_DEVICE void write() {
    if (warp_is_idle()) return;
    VARLEN_UNROLL
    for (int b = 0; b < kBands; ++b) {
      VARLEN_UNROLL
      for (int half = 0; half < 2; ++half) {
        const RowState state{bands_[b].row[half].max, sum_of_four_lanes(bands_[b].row[half].sum)};
        const int row = slice_row(b, half);
        if (row >= rows_) continue;
        if (item_.partial_row >= 0) {
          write_partial(bands_[b], half, row, state);
        } else {
          write_whole(bands_[b], half, row, state);
        }
      }
    }
  }

  VARLEN_DEVICE void write_whole(const Band& band, int half, int row, const RowState& state) {
    const RowPosition position = row_position(item_, row_begin_ + row);
    const std::int64_t token = parameters_.requests[item_.request].query_start + position.token;
    const RowResult result = finish_row(parameters_, state.max, state.sum, position.head);
    const std::int64_t offset = query_offset(parameters_.out, token, position.head);
    VARLEN_UNROLL
    for (int tile = 0; tile < kColumnTiles; ++tile) {
      if (tile * 8 >= parameters_.head_dim_vo) break;
      const float* const pair = &band.out[tile][2 * half];
      store_out_pair(parameters_, offset + tile * 8 + lane_ % 4 * 2, pair[0] * result.out_factor,
                     pair[1] * result.out_factor);
    }
    if (lane_ % 4 == 0) store_lse(parameters_, token, position.head, result.lse);
  }

  VARLEN_DEVICE void write_partial(const Band& band, int half, int row, const RowState& state) {
    float* const to =
        parameters_.partials + (item_.partial_row + row_begin_ + row) * partial_row_floats(parameters_.head_dim_vo);
    VARLEN_UNROLL
    for (int tile = 0; tile < kColumnTiles; ++tile) {
      if (tile * 8 >= parameters_.head_dim_vo) break;
      for (int i = 0; i < 2; ++i) {
        gpu::store_global(to + tile * 8 + lane_ % 4 * 2 + i, band.out[tile][2 * half + i]);
      }
    }
    if (lane_ % 4 == 0) {
      gpu::store_global(to + parameters_.head_dim_vo, state.max);
      gpu::store_global(to + parameters_.head_dim_vo + 1, state.sum);
    }
  }

  const ForwardParameters& parameters_;
  const WorkItem& item_;
  const int row_begin_;
  const int rows_;
  const int lane_;
  const int first_row_;
  const typename Shape::Queries queries_;
  const typename Shape::Keys keys_;
  const typename Shape::Values values_;
  SeenKeys seen_by_all_{};
  Band bands_[kBands];
};

/// Every thread of every block: items block_index(), block_index() + block_count(), … of the plan.
template <class Shape>
VARLEN_DEVICE void forward_mma(const ForwardParameters& parameters) {
  Cursor cursor(parameters.plan);
  const std::int64_t items = item_count(parameters.plan);
  for (std::int64_t index = gpu::block_index(); index < items; index += gpu::block_count()) {
    const WorkItem item = cursor.seek(index);
    gpu::enter_request(item.request);
    const std::int64_t rows = item.query_count * item.query_head_count;
    for (std::int64_t begin = 0; begin < rows; begin += Shape::kSliceRows) {
      const int slice_rows = static_cast<int>(rows - begin < Shape::kSliceRows ? rows - begin : Shape::kSliceRows);
      if (Shape::kMaxBands == 2 && slice_rows > Shape::kSliceRows / 2) {
        ForwardMmaSlice<Shape, Shape::kMaxBands>(parameters, item, static_cast<int>(begin), slice_rows).run();
      } else {
        ForwardMmaSlice<Shape, 1>(parameters, item, static_cast<int>(begin), slice_rows).run();
      }
    }
  }
}

}  // namespace varlen::kernel
