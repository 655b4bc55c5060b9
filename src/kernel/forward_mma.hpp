// Attention by mma.sync, for every GPU from sm_80 on: blocks of four warps (eight for the largest head dims) draw items
// of the plan.
//
// Warp 0 looks an item up and leaves what it is in shared memory, where all warps read it again and again: registers
// are for sums. An item goes through in slices of at most kSliceRows rows. Warps share keys and values and divide the
// rows: each has one or two bands of 16. If there are no more than 16 rows, as in decoding, all have the same band and
// divide each step's keys; what they have found is merged in the end. Not if bits must not depend on the number of
// rows. Queries stay in shared memory; keys and values come in steps of kKeys tokens by cp.async, each kStepsAhead
// steps before they are needed. Scores and probabilities never leave registers (FlashAttention-2, arXiv:2307.08691).
// fp8 stays fp8 in shared memory, and is multiplied as fp16 (operands.hpp).
//
// Shared memory: queries [kSliceRows][kDimQk], kBuffers of [kKeys][the larger head dim], two TileWork. Keys and
// values of step after step take the buffers in turn; in the end of a slice whose warps divide the keys, what they have
// found takes the place of all buffers. Barriers, all of the whole block:
//
//   once an item      this item's work is there, and the last one's is not needed any more
//   between slices    the values of the slice before are used up
//   twice a step      keys are there, and the last step's values are used up; values are there, and this step's keys
//                     are used up. Behind each, what is used up is loaded over.
//   twice a merge     the last step's values are used up; what every warp has found is there
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/band.hpp"
#include "kernel/operands.hpp"
#include "kernel/parameters.hpp"
#include "kernel/score_factors.hpp"
#include "kernel/tile_memory.hpp"
#include "kernel/tile_work.hpp"
#include "kernel/work_queue.hpp"

namespace varlen::kernel {

/// Element: gpu::Float16, gpu::BFloat16 or gpu::Float8E4M3. Head dims are upper bounds, a multiple of 64 each: columns
/// past a batch's own are zeros in shared memory and are multiplied like the others, which is faster than asking at
/// each of them.
template <class Element_, int kDimQk_, int kDimVo_>
struct ForwardMmaShape {
  using Element = Element_;
  static constexpr int kDimQk = kDimQk_;
  static constexpr int kDimVo = kDimVo_;
  static constexpr int kRowWarps = 4;                         // divide the rows
  static constexpr int kColumnWarps = kDimVo <= 256 ? 1 : 2;  // find the same scores, and divide the values' columns
  static constexpr int kColumns = kDimVo / kColumnWarps;      // of a warp
  static constexpr int kWarps = kRowWarps * kColumnWarps;
  static constexpr int kThreads = kWarps * gpu::kWarpThreads;
  static constexpr int kMaxBands = kDimVo <= 128 ? 2 : 1;  // of a warp: more sums do not fit the registers
  static constexpr int kSliceRows = kRowWarps * kBandRows * kMaxBands;
  // In one step: two blocks fit a multiprocessor, or one of those with the largest head dims.
  static constexpr int kKeys = kDimQk <= 128 ? 64 : kDimQk <= 256 || gpu::kElementBytes<Element> == 1 ? 32 : 16;
  using Queries = SharedMatrix<typename Multiplied<Element>::Type, kSliceRows, kDimQk>;
  using Keys = SharedMatrix<Element, kKeys, kDimQk>;
  using Values = SharedMatrix<Element, kKeys, kDimVo>;
  // Steps that are on their way while another is computed. fp8 has room for two, which are as many bytes.
  static constexpr int kStepsAhead = gpu::kElementBytes<Element> == 1 && kDimQk <= 256 ? 2 : 1;
  static constexpr int kBuffers = 2 * kStepsAhead + 1;
  // Warps that divide the keys of a step where there are rows for one of them only, sixteen keys or more each.
  static constexpr int kKeyWarps = kColumnWarps == 1 && kKeys >= 16 * kRowWarps ? kRowWarps : 1;
  static constexpr int kBufferBytes = Keys::kBytes > Values::kBytes ? Keys::kBytes : Values::kBytes;
  static constexpr int kWorkAt = Queries::kBytes + kBuffers * kBufferBytes;
  static constexpr int kSharedBytes = kWorkAt + 2 * static_cast<int>(sizeof(TileWork));
};

/// One slice of an item, with kBands bands of rows for each warp; or one band for all, and kKeyWarps of them divide the
/// keys.
template <class Shape, int kBands, int kKeyWarps = 1>
class ForwardMmaSlice {
  using Element = typename Shape::Element;
  using Multiplied = typename kernel::Multiplied<Element>::Type;
  using Bits = typename Shape::Keys::Bits;
  static constexpr bool kWidened = gpu::kElementBytes<Element> == 1;
  static constexpr int kKeys = Shape::kKeys;
  static constexpr int kWarpKeys = kKeys / kKeyWarps;
  static constexpr int kKeyTiles = kWarpKeys / 8;  // of a warp
  static constexpr int kColumnTiles = Shape::kColumns / 8;
  static constexpr int kThreads = Shape::kThreads;
  static_assert(kKeyWarps == 1 || (kKeyWarps == Shape::kWarps && kBands == 1));

 public:
  /// `work` is at this place in shared memory; the slice begins at row `row_begin` of it.
  VARLEN_DEVICE ForwardMmaSlice(const ForwardParameters& parameters, const ScoreFactors& factors,
                                gpu::SharedAddress work, std::int32_t row_begin)
      : parameters_(parameters), factors_(factors), work_(work), row_begin_(row_begin) {}

  VARLEN_DEVICE void run() {
    VARLEN_UNROLL
    for (int b = 0; b < kBands; ++b) clear(bands_[b]);
    std::int32_t keys;
    {
      const TileWork work = load_work(work_);
      keys = work.keys;
      idle_ = first_row() >= work.rows;
      seen_by_all_ = work.seen_by_all(first_row(), kBands * kBandRows);
      if (keys > 0 && !kWidened) load_queries(work);
    }
    if (keys > 0) {
      VARLEN_UNROLL
      for (int step = 0; step < Shape::kStepsAhead; ++step) {
        const bool exists = step * kKeys < keys;
        if (exists) load_keys(step * kKeys, buffer(2 * step));
        gpu::copy_async_commit();
        if (exists) load_values(step * kKeys, buffer(2 * step + 1));
        gpu::copy_async_commit();
      }
      if (kWidened) load_queries(load_work(work_));  // waits for the queries, while keys and values are on their way
      for (std::int32_t begin = 0; begin < keys; begin += kKeys) {
        add_keys(begin, begin + Shape::kStepsAhead * kKeys < keys);
      }
    }
    if constexpr (kKeyWarps > 1) {
      merge_warps();
      return;
    }
    if (idle_) return;
    const TileWork work = load_work(work_);
    // Once more, rather than in registers all the while.
    const FactorsOf<Element> factors = factors_of<Element>(parameters_, work.request, work.kv_head);
    VARLEN_UNROLL
    for (int b = 0; b < kBands; ++b) {
      if constexpr (kWidened) put_columns_in_order<kColumnTiles>(bands_[b].out);
      write_rows<Multiplied>(parameters_, factors, work, bands_[b], first_row() + b * kBandRows, first_column());
    }
  }

 private:
  VARLEN_DEVICE static typename Shape::Queries queries() { return {gpu::shared_memory()}; }
  /// The buffer `ahead` of the one whose turn it is.
  VARLEN_DEVICE gpu::SharedAddress buffer(int ahead) const {
    const int index = turn_ + ahead;
    return gpu::shared_memory() +
           static_cast<std::uint32_t>(Shape::Queries::kBytes +
                                      (index < Shape::kBuffers ? index : index - Shape::kBuffers) *
                                          Shape::kBufferBytes);
  }
  VARLEN_DEVICE void advance() { turn_ = turn_ + 1 < Shape::kBuffers ? turn_ + 1 : 0; }

  /// Of the warp, in the slice and in the tile.
  VARLEN_DEVICE static int slice_row() {
    if constexpr (kKeyWarps > 1) return 0;
    const int warp = gpu::fresh_thread_index() / gpu::kWarpThreads;
    return (Shape::kColumnWarps == 1 ? warp : warp % Shape::kRowWarps) * kBandRows * kBands;
  }
  VARLEN_DEVICE std::int32_t first_row() const { return row_begin_ + slice_row(); }
  /// Of a step's keys, the warp's.
  VARLEN_DEVICE static int first_key() {
    if constexpr (kKeyWarps == 1) return 0;
    return gpu::fresh_thread_index() / gpu::kWarpThreads * kWarpKeys;
  }
  /// Of the values, the warp's.
  VARLEN_DEVICE static int first_column() {
    if constexpr (Shape::kColumnWarps == 1) return 0;
    return gpu::fresh_thread_index() / gpu::kWarpThreads / Shape::kRowWarps * Shape::kColumns;
  }

  VARLEN_DEVICE void load_queries(const TileWork& work) {
    const RowAddresses& tensor = parameters_.query;
    const int rows = work.rows - row_begin_;
    const auto offset_of = [&](int row) { return work.query_offset(tensor, row_begin_ + row); };
    if constexpr (kWidened) {
      // Nobody needs more rows than those of warps that have some.
      constexpr int kWarpRows = kBands * kBandRows;
      constexpr int kRows = kKeyWarps == 1 ? Shape::kRowWarps * kWarpRows : kWarpRows;
      const int needed = (least(rows, kRows) + kWarpRows - 1) / kWarpRows * kWarpRows;
      load_widened_rows<kThreads>(queries(), tensor, rows, needed, parameters_.head_dim_qk, offset_of);
    } else {
      if constexpr (kThreads % Shape::Queries::kChunks == 0) {
        if (tensor.in_chunks && work.heads == 1) {
          load_strided_rows<kThreads>(queries(), static_cast<const Bits*>(tensor.data) + offset_of(0),
                                      tensor.token_stride, {0, rows}, parameters_.head_dim_qk);
          return;
        }
      }
      load_rows<kThreads>(queries(), tensor, {0, rows}, parameters_.head_dim_qk, offset_of);
    }
  }
  VARLEN_DEVICE void load_keys(std::int32_t begin, gpu::SharedAddress to) {
    load_key_rows(typename Shape::Keys{to}, parameters_.key, parameters_.head_dim_qk, begin);
  }
  VARLEN_DEVICE void load_values(std::int32_t begin, gpu::SharedAddress to) {
    load_key_rows(typename Shape::Values{to}, parameters_.value, parameters_.head_dim_vo, begin);
  }
  /// Keys that no row sees are not read, neither those past the item's end nor those before the first window.
  template <class Matrix>
  VARLEN_DEVICE void load_key_rows(const Matrix& matrix, const RowAddresses& tensor, int head_dim, std::int32_t begin) {
    const TileWork work = load_work(work_);
    const int hidden = work.hidden_keys() - begin;
    const RowRange rows = {hidden > 0 ? hidden : 0, work.keys - begin};
    if constexpr (kThreads % Matrix::kChunks == 0) {
      if (tensor.in_chunks && !parameters_.is_paged) {
        load_strided_rows<kThreads>(matrix,
                                    static_cast<const Bits*>(tensor.data) + work.key_offset(parameters_, tensor, begin),
                                    tensor.token_stride, rows, head_dim);
        return;
      }
    }
    load_rows<kThreads>(matrix, tensor, rows, head_dim,
                        [&](int row) { return work.key_offset(parameters_, tensor, begin + row); });
  }

  /// One step: keys begin … begin + kKeys of the item's; `more` are loaded after those that are on their way. Copies
  /// arrive in the order in which they were started, keys and values in turns, so that those needed now have arrived
  /// when all but the newest have.
  VARLEN_DEVICE void add_keys(std::int32_t begin, bool more) {
    constexpr int kNewest = 2 * Shape::kStepsAhead - 1;
    constexpr int kAhead = Shape::kStepsAhead * kKeys;
    gpu::copy_async_wait<kNewest>();
    gpu::sync_block();  // all threads: keys `begin` … (and the queries) are there; the last step's values are used up
    if (more) load_keys(begin + kAhead, buffer(2 * Shape::kStepsAhead));
    gpu::copy_async_commit();
    std::uint32_t weights[kBands][kWarpKeys / 16][4];
    if (idle_) {
      // Or, for all that the compiler knows, weights of the step before could be used, and would be kept until here.
      __builtin_memset(weights, 0, sizeof(weights));
    } else {
      BandSums<kKeyTiles> scores[kBands];
      multiply_queries_and_keys(typename Shape::Keys{buffer(0)}, scores);
      const bool all_seen = begin >= seen_by_all_.begin && begin + kKeys <= seen_by_all_.end;
      VARLEN_UNROLL
      for (int b = 0; b < kBands; ++b) {
        turn<kKeyTiles>(factors_, scores[b]);
        if (!all_seen) {
          mask<kKeyTiles>(band_seen(load_work(work_), first_row() + b * kBandRows), begin + first_key(), scores[b]);
        }
        float rescale[2];
        softmax<Multiplied, kKeyTiles>(factors_, bands_[b].row, scores[b], rescale);
        rescale_out<kColumnTiles>(bands_[b].out, rescale);
        pack_weights<Multiplied, kKeyTiles>(scores[b], weights[b]);
      }
    }
    advance();
    gpu::copy_async_wait<kNewest>();
    gpu::sync_block();  // all threads: values `begin` … are there; keys `begin` … are used up
    if (more) load_values(begin + kAhead, buffer(2 * Shape::kStepsAhead));
    gpu::copy_async_commit();
    if (!idle_) add_values(typename Shape::Values{buffer(0)}, weights);
    advance();
  }

  // Both products load a fragment while the one before it is multiplied.

  VARLEN_DEVICE void multiply_queries_and_keys(const typename Shape::Keys& keys,
                                               BandSums<kKeyTiles> (&scores)[kBands]) const {
    using Columns = KeyOperands<Element, least(kKeyTiles, 4 / gpu::kElementBytes<Element>)>;
    constexpr int kProducts = Columns::kProducts;
    VARLEN_UNROLL
    for (int b = 0; b < kBands; ++b) clear<kKeyTiles>(scores[b]);
    const int lane = gpu::fresh_thread_index() % gpu::kWarpThreads;
    const typename Shape::Queries::Lane query_lane(queries(), slice_row() + lane % 16, lane / 16);
    const typename Shape::Keys::Lane key_lane(keys, first_key() + Columns::lane_key(lane), Columns::lane_chunk(lane));
    constexpr int kTileGroups = kKeyTiles / Columns::kTiles;
    constexpr int kFragments = Shape::kDimQk / 16 / kProducts * kTileGroups;
    std::uint32_t rows[2][kProducts][kBands][4];
    std::uint32_t columns[2][4];
    const auto load = [&](int fragment) {
      const int step = fragment / kTileGroups;  // of the depth
      if (fragment % kTileGroups == 0) {
        VARLEN_UNROLL
        for (int p = 0; p < kProducts; ++p) {
          VARLEN_UNROLL
          for (int b = 0; b < kBands; ++b) {
            gpu::load_matrices(rows[step % 2][p][b], query_lane.chunk(b * kBandRows, (step * kProducts + p) * 2));
          }
        }
      }
      gpu::load_matrices(columns[fragment % 2],
                         key_lane.chunk(fragment % kTileGroups * Columns::kTiles * 8, step * Columns::kTileChunks));
    };
    load(0);
    VARLEN_UNROLL
    for (int fragment = 0; fragment < kFragments; ++fragment) {
      if (fragment + 1 < kFragments) load(fragment + 1);
      const int tile = fragment % kTileGroups * Columns::kTiles;
      const Columns column(columns[fragment % 2]);
      VARLEN_UNROLL
      for (int p = 0; p < kProducts; ++p) {
        VARLEN_UNROLL
        for (int b = 0; b < kBands; ++b) {
          const std::uint32_t(&row)[4] = rows[fragment / kTileGroups % 2][p][b];
          VARLEN_UNROLL
          for (int i = 0; i < Columns::kTiles; ++i) {
            gpu::multiply_add_16x8x16<Multiplied>(scores[b][tile + i], row, column.word[p][i][0], column.word[p][i][1]);
          }
        }
      }
    }
  }

  VARLEN_DEVICE void add_values(const typename Shape::Values& values,
                                const std::uint32_t (&weights)[kBands][kWarpKeys / 16][4]) {
    const int lane = gpu::fresh_thread_index() % gpu::kWarpThreads;
    const typename Shape::Values::Lane value_lane(values, first_key() + lane % 16,
                                                  first_column() / Shape::Values::kChunkElements + lane / 16);
    constexpr int kTiles = ValueOperands<Element>::kTiles;
    constexpr int kTileGroups = kColumnTiles / kTiles;
    constexpr int kFragments = kWarpKeys / 16 * kTileGroups;
    std::uint32_t columns[2][4];
    const auto load = [&](int fragment) {
      gpu::load_matrices_transposed(columns[fragment % 2],
                                    value_lane.chunk(fragment / kTileGroups * 16, fragment % kTileGroups * 2));
    };
    load(0);
    VARLEN_UNROLL
    for (int fragment = 0; fragment < kFragments; ++fragment) {
      if (fragment + 1 < kFragments) load(fragment + 1);
      const int tile = fragment % kTileGroups * kTiles;
      const ValueOperands<Element> column(columns[fragment % 2]);
      VARLEN_UNROLL
      for (int b = 0; b < kBands; ++b) {
        const std::uint32_t(&weight)[4] = weights[b][fragment / kTileGroups];
        VARLEN_UNROLL
        for (int i = 0; i < kTiles; ++i) {
          gpu::multiply_add_16x8x16<Multiplied>(bands_[b].out[tile + i], weight, column.word[i][0], column.word[i][1]);
        }
      }
    }
  }

  // Where warps leave what they have found, in place of keys and values: chunks of sixteen bytes of each lane, its
  // state and then its sums tile by tile.
  static constexpr int kFoundChunks = 1 + kColumnTiles;
  static_assert(kKeyWarps * kFoundChunks * gpu::kWarpThreads * 16 <= Shape::kBuffers * Shape::kBufferBytes ||
                kKeyWarps == 1);
  VARLEN_DEVICE static gpu::SharedAddress found(int warp, int index) {
    const int place = (warp * kFoundChunks + index) * gpu::kWarpThreads + gpu::lane_index();
    return gpu::shared_memory() + static_cast<std::uint32_t>(Shape::Queries::kBytes + place * 16);
  }

  /// All warps have found something of the same rows, each of its own keys. Each adds up a share of the columns.
  VARLEN_DEVICE void merge_warps() {
    gpu::sync_block();  // all threads: nobody needs the last step's values any more
    const int warp = gpu::fresh_thread_index() / gpu::kWarpThreads;
    const Band<kColumnTiles>& own = bands_[0];
    gpu::store_shared(found(warp, 0),
                      words_of(own.row[0].reference, own.row[0].sum, own.row[1].reference, own.row[1].sum));
    VARLEN_UNROLL
    for (int tile = 0; tile < kColumnTiles; ++tile) {
      const float(&sum)[4] = own.out[tile];
      gpu::store_shared(found(warp, 1 + tile), words_of(sum[0], sum[1], sum[2], sum[3]));
    }
    gpu::sync_block();              // all threads: what every warp has found is there
    constexpr int kShareTiles = 4;  // those of which a lane stores sixteen bytes
    static_assert(kColumnTiles <= kKeyWarps * kShareTiles && kColumnTiles % kShareTiles == 0);
    const int first_tile = warp * kShareTiles;
    if (first_tile >= kColumnTiles) return;
    const TileWork work = load_work(work_);
    const FactorsOf<Element> factors = factors_of<Element>(parameters_, work.request, work.kv_head);
    Band<kShareTiles> merged;
    clear(merged);
    VARLEN_UNROLL
    for (int other = 0; other < kKeyWarps; ++other) {
      const gpu::Words4 state = gpu::load_shared(found(other, 0));
      VARLEN_UNROLL
      for (int half = 0; half < 2; ++half) {
        merged.row[half].reference =
            __builtin_fmaxf(merged.row[half].reference, gpu::word_as_float(state.word[2 * half]));
      }
    }
    for (int other = 0; other < kKeyWarps; ++other) {
      const gpu::Words4 state = gpu::load_shared(found(other, 0));
      float factor[2];
      VARLEN_UNROLL
      for (int half = 0; half < 2; ++half) {
        factor[half] =
            part_weight(gpu::word_as_float(state.word[2 * half]), merged.row[half].reference, factors.log2_per_one);
        merged.row[half].sum += factor[half] * gpu::word_as_float(state.word[2 * half + 1]);
      }
      VARLEN_UNROLL
      for (int tile = 0; tile < kShareTiles; ++tile) {
        const gpu::Words4 sum = gpu::load_shared(found(other, 1 + first_tile + tile));
        VARLEN_UNROLL
        for (int i = 0; i < 4; ++i) merged.out[tile][i] += factor[i / 2] * gpu::word_as_float(sum.word[i]);
      }
    }
    if constexpr (kWidened) put_columns_in_order<kShareTiles>(merged.out);
    write_rows<Multiplied>(parameters_, factors, work, merged, first_row(), first_tile * 8);
  }
  VARLEN_DEVICE static gpu::Words4 words_of(float a, float b, float c, float d) {
    return {{gpu::float_as_word(a), gpu::float_as_word(b), gpu::float_as_word(c), gpu::float_as_word(d)}};
  }

  const ForwardParameters& parameters_;
  const ScoreFactors& factors_;
  const gpu::SharedAddress work_;
  const std::int32_t row_begin_;
  int turn_ = 0;  // of the buffers
  SeenKeys seen_by_all_;
  bool idle_;  // the slice has no rows for this warp
  Band<kColumnTiles> bands_[kBands];
};

/// Leaves the block's next item that is sound, after one in `run`, at `place` in shared memory. By one warp.
VARLEN_DEVICE void leave_next_work(const ForwardParameters& parameters, gpu::SharedAddress place, std::int32_t run) {
  for (;;) {
    const TileWork work = next_work(parameters, run);
    if (gpu::lane_index() == 0) store_work(place, work);
    if (work.rows == 0 || is_sound(parameters, place)) return;
    run = work.run;
  }
}

/// Every thread of every block.
template <class Shape>
VARLEN_DEVICE void forward_mma(const ForwardParameters& parameters) {
  using Element = typename Shape::Element;
  constexpr auto kWorkBytes = static_cast<std::uint32_t>(sizeof(TileWork));
  const auto first = [] { return gpu::shared_memory() + Shape::kWorkAt; };
  gpu::SharedAddress place = first();  // of two, in turns
  if (gpu::warp_index() == 0) leave_next_work(parameters, place, kFirst);
  for (;;) {
    gpu::sync_block();  // all threads: `place` is written; nobody needs the place before any more
    const TileWork work = load_work(place);
    if (work.rows == 0) return;
    gpu::enter_item(work.item, work.request);
    const FactorsOf<Element> factors = factors_of<Element>(parameters, work.request, work.kv_head);
    for (std::int32_t begin = 0;; begin += Shape::kSliceRows) {
      const std::int32_t rows = load_work(place).rows;  // rather than in a register all the while
      if (begin >= rows) break;
      if (begin > 0) gpu::sync_block();  // all threads: nobody needs the values of the slice before any more
      if (Shape::kMaxBands == 2 && rows - begin > Shape::kSliceRows / 2) {
        ForwardMmaSlice<Shape, Shape::kMaxBands>(parameters, factors, place, begin).run();
      } else if (Shape::kKeyWarps > 1 && rows - begin <= kBandRows && !parameters.batch_invariant) {
        ForwardMmaSlice<Shape, 1, Shape::kKeyWarps>(parameters, factors, place, begin).run();
      } else {
        ForwardMmaSlice<Shape, 1>(parameters, factors, place, begin).run();
      }
    }
    const gpu::SharedAddress before = place;
    place = place.value == first().value ? first() + kWorkBytes : first();
    if (gpu::warp_index() == 0) leave_next_work(parameters, place, load_work(before).run);
  }
}

}  // namespace varlen::kernel
