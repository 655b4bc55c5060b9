// Sixteen rows of a tile in one warp, as the tensor cores leave them: softmax, masks and results are the same
// whichever instruction multiplies.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"
#include "kernel/rows_out.hpp"
#include "kernel/softmax.hpp"
#include "kernel/tile_work.hpp"

namespace varlen::kernel {

inline constexpr int kBandRows = 16;

/// A 16 × (8 kTiles) matrix of sums. A lane holds of each tile of eight columns the elements (lane / 4, 2 · (lane % 4))
/// and the one after it, then the same eight rows below.
template <int kTiles>
using BandSums = gpu::Sums<kTiles>;

/// Sixteen rows that see keys one block after another.
template <int kColumnTiles>
struct Band {
  RowState row[2];  // lane / 4 and, eight below, lane / 4 + 8
  BandSums<kColumnTiles> out;
};

template <int kTiles>
VARLEN_DEVICE void clear(BandSums<kTiles>& sums) {
  VARLEN_UNROLL
  for (int tile = 0; tile < kTiles; ++tile) {
    VARLEN_UNROLL
    for (int i = 0; i < 4; ++i) sums[tile][i] = 0.0F;
  }
}

template <int kColumnTiles>
VARLEN_DEVICE void clear(Band<kColumnTiles>& band) {
  VARLEN_UNROLL
  for (int half = 0; half < 2; ++half) band.row[half] = {minus_infinity(), 0.0F};
  clear<kColumnTiles>(band.out);
}

/// Scores to numbers that rise with the logits: signs turned for a negative scale, capped if the batch asks for it.
template <int kKeyTiles>
VARLEN_DEVICE void turn(const ScoreFactors& factors, BandSums<kKeyTiles>& scores) {
  const auto for_each = [&](const auto& function) {
    VARLEN_UNROLL
    for (int tile = 0; tile < kKeyTiles; ++tile) {
      VARLEN_UNROLL
      for (int i = 0; i < 4; ++i) scores[tile][i] = function(scores[tile][i]);
    }
  };
  if (factors.score_sign != 1.0F) {
    for_each([&](float score) { return score * factors.score_sign; });
  }
  if (factors.soft_cap > 0.0F) {
    for_each([&](float score) { return capped(factors, score); });
  }
}

/// What a lane's two rows see, of a band that begins at row `first_row` of the tile.
struct BandSeen {
  SeenKeys row[2];
};
VARLEN_DEVICE BandSeen band_seen(const TileWork& work, std::int32_t first_row) {
  const std::int32_t row = first_row + gpu::lane_index() / 4;
  return {{work.seen_keys(row), work.seen_keys(row + 8)}};
}

/// −inf over the scores of keys that a row does not see. The scores begin at key `begin` of the item.
template <int kKeyTiles>
VARLEN_DEVICE void mask(const BandSeen& seen, std::int32_t begin, BandSums<kKeyTiles>& scores) {
  VARLEN_UNROLL
  for (int half = 0; half < 2; ++half) {
    const std::int32_t first = begin + gpu::lane_index() % 4 * 2;
    const std::int32_t seen_begin = seen.row[half].begin - first;
    const std::int32_t seen_end = seen.row[half].end - first;
    VARLEN_UNROLL
    for (int tile = 0; tile < kKeyTiles; ++tile) {
      VARLEN_UNROLL
      for (int i = 0; i < 2; ++i) {
        const std::int32_t key = tile * 8 + i;
        if (key < seen_begin || key >= seen_end) scores[tile][2 * half + i] = minus_infinity();
      }
    }
  }
}

/// Scores become weights relative to each row's reference. `rescale` are the factors for what was summed before.
template <class Weight, int kKeyTiles>
VARLEN_DEVICE void softmax(const ScoreFactors& factors, RowState (&row)[2], BandSums<kKeyTiles>& scores,
                           float (&rescale)[2]) {
  VARLEN_UNROLL
  for (int half = 0; half < 2; ++half) {
    float max = minus_infinity();
    VARLEN_UNROLL
    for (int tile = 0; tile < kKeyTiles; ++tile) {
      max = __builtin_fmaxf(max, __builtin_fmaxf(scores[tile][2 * half], scores[tile][2 * half + 1]));
    }
    rescale[half] = raise_reference(row[half], max_of_four_lanes(max), factors.log2_per_one);
    // A row that has seen nothing has only −inf here; any finite reference turns them into zeros.
    const float reference = row[half].reference == minus_infinity() ? 0.0F : row[half].reference;
    float sum = 0.0F;
    VARLEN_UNROLL
    for (int tile = 0; tile < kKeyTiles; ++tile) {
      VARLEN_UNROLL
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        scores[tile][i] = gpu::exp2_fast(weight_exponent<Weight>(scores[tile][i], reference, factors.log2_per_one));
        sum += scores[tile][i];
      }
    }
    row[half].sum += sum;
  }
}

/// Of tiles in pairs, the first with the even and the second with the odd columns of sixteen (operands.hpp): columns
/// in order, eight in each. A lane has columns 4 (lane % 4) to 4 (lane % 4) + 3, two pairs; a pair's index in binary is
/// two digits of the lane and one of the pair, which change places.
template <int kColumnTiles>
VARLEN_DEVICE void put_columns_in_order(BandSums<kColumnTiles>& out) {
  const int lane = gpu::fresh_thread_index();
  VARLEN_UNROLL
  for (int tile = 0; tile < kColumnTiles; tile += 2) {
    VARLEN_UNROLL
    for (int half = 0; half < 2; ++half) {
      float* const even = &out[tile][2 * half];
      float* const odd = &out[tile + 1][2 * half];
      const float first[2] = {even[0], odd[0]};
      const float second[2] = {even[1], odd[1]};
      VARLEN_UNROLL
      for (int i = 0; i < 2; ++i) {
        float low = first[i];
        float high = second[i];
        exchange(low, high, lane, 1);
        exchange(low, high, lane, 2);
        even[i] = low;
        odd[i] = high;
      }
    }
  }
}

template <int kColumnTiles>
VARLEN_DEVICE void rescale_out(BandSums<kColumnTiles>& out, const float (&rescale)[2]) {
  VARLEN_UNROLL
  for (int half = 0; half < 2; ++half) {
    if (rescale[half] == 1.0F) continue;  // mostly
    VARLEN_UNROLL
    for (int tile = 0; tile < kColumnTiles; ++tile) {
      out[tile][2 * half] *= rescale[half];
      out[tile][2 * half + 1] *= rescale[half];
    }
  }
}

/// The lanes hold sums just as they hold the left operand of a multiplication: sixteen columns in four words.
/// Weights: [kKeyTiles / 2][4], or as many fragments.
template <class Element, int kKeyTiles, class Weights>
VARLEN_DEVICE void pack_weights(const BandSums<kKeyTiles>& probabilities, Weights& weights) {
  VARLEN_UNROLL
  for (int step = 0; step < kKeyTiles / 2; ++step) {
    VARLEN_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float* const pair = &probabilities[2 * step + i / 2][i % 2 * 2];
      weights[step][i] = gpu::pack<Element>(pair[0], pair[1]);
    }
  }
}

/// A row's state, of probabilities, with the sums of its four lanes together.
template <class Weight, int kColumnTiles>
VARLEN_DEVICE RowState whole_row(const Band<kColumnTiles>& band, int half) {
  return {band.row[half].reference, sum_of_four_lanes(band.row[half].sum) * weight_unit<Weight>()};
}

/// What becomes of a row of the tile; its LSE is stored, by the warp that has its first column.
VARLEN_DEVICE RowResult finish_row(const ForwardParameters& parameters, const ScoreFactors& factors,
                                   const TileWork& work, std::int32_t row, std::int32_t first_column,
                                   const RowState& state) {
  const RowPosition at = work.position(row);
  const std::int32_t head = work.query_head + at.head;
  const RowResult result = finish_row(parameters, factors, state, head);
  if (gpu::fresh_thread_index() % 4 == 0 && first_column == 0) {
    store_lse(parameters, work.query_token + at.token, head, result.lse);
  }
  return result;
}

/// A finished row to out and LSE, if it `exists`. By the whole warp.
template <class Weight, int kColumnTiles>
VARLEN_DEVICE void write_whole_row(const ForwardParameters& parameters, const ScoreFactors& factors,
                                   const TileWork& work, const Band<kColumnTiles>& band, int half, std::int32_t row,
                                   bool exists, std::int32_t first_column, const RowState& state) {
  const float factor =
      exists ? finish_row(parameters, factors, work, row, first_column, state).out_factor * weight_unit<Weight>()
             : 0.0F;
  const std::int64_t offset = work.query_offset(parameters.out, row) + first_column;
  const std::int32_t columns = exists ? parameters.head_dim_vo - first_column : 0;
  const int lane = gpu::fresh_thread_index() % 4;
  if (parameters.output_dtype == Dtype::kFloat32 || !parameters.out.in_chunks) {
    VARLEN_UNROLL
    for (int tile = 0; tile < kColumnTiles; ++tile) {
      if (tile * 8 >= columns) break;
      const float* const pair = &band.out[tile][2 * half];
      store_out_pair(parameters, offset + tile * 8 + lane * 2, pair[0] * factor, pair[1] * factor);
    }
    return;
  }
  // Whole chunks of sixteen bytes: each lane gets one of four tiles' eight columns.
  static_assert(kColumnTiles % 4 == 0);
  auto* const to = static_cast<std::uint16_t*>(parameters.out.data) + offset;
  VARLEN_UNROLL
  for (int tile = 0; tile < kColumnTiles; tile += 4) {
    gpu::Words4 chunk;
    VARLEN_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float* const pair = &band.out[tile + i][2 * half];
      chunk.word[i] = pack_out(parameters, pair[0] * factor, pair[1] * factor);
    }
    exchange_among_four_lanes(lane, chunk.word);
    const std::int32_t column = (tile + lane) * 8;
    if (column < columns) gpu::store_global(reinterpret_cast<gpu::Words4*>(to + column), chunk);
  }
}

/// A row of a part of a split tile to the workspace.
template <class Weight, int kColumnTiles>
VARLEN_DEVICE void write_partial_row(const ForwardParameters& parameters, const TileWork& work,
                                     const Band<kColumnTiles>& band, int half, std::int32_t row,
                                     std::int32_t first_column, const RowState& state) {
  const std::int32_t head_dim = parameters.head_dim_vo;
  const int lane = gpu::fresh_thread_index() % 4;
  float* const to = parameters.partials + (work.partial_row + row) * partial_row_floats(head_dim);
  VARLEN_UNROLL
  for (int tile = 0; tile < kColumnTiles; ++tile) {
    const std::int32_t column = first_column + tile * 8;
    if (column >= head_dim) break;
    const float* const pair = &band.out[tile][2 * half];
    store_pair(to + column + lane * 2, pair[0] * weight_unit<Weight>(), pair[1] * weight_unit<Weight>());
  }
  if (lane == 0 && first_column == 0) {
    gpu::store_global(to + head_dim, state.reference);
    gpu::store_global(to + head_dim + 1, state.sum);
  }
}

/// What has become of the band's rows that exist. The band begins at row `first_row` of the tile and at `first_column`
/// of the values.
template <class Weight, int kColumnTiles>
VARLEN_DEVICE void write_rows(const ForwardParameters& parameters, const ScoreFactors& factors, const TileWork& work,
                              const Band<kColumnTiles>& band, std::int32_t first_row, std::int32_t first_column = 0) {
  VARLEN_UNROLL
  for (int half = 0; half < 2; ++half) {
    const RowState state = whole_row<Weight>(band, half);
    const std::int32_t row = first_row + half * 8 + gpu::fresh_thread_index() % gpu::kWarpThreads / 4;
    const bool exists = row < work.rows;
    if (work.partial_row < 0) {
      write_whole_row<Weight>(parameters, factors, work, band, half, row, exists, first_column, state);
    } else if (exists) {
      write_partial_row<Weight>(parameters, work, band, half, row, first_column, state);
    }
  }
}

}  // namespace varlen::kernel
