// The memory of one worker while it computes tiles. Sizes come from the plan alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "backend/cpu/call.hpp"

namespace varlen::cpu {

/// Keys that are packed and multiplied at once. Blocks start at multiples of this in the request, whatever the item's
/// range, so that the order in which a row's keys are summed never depends on the tile around it.
inline constexpr std::int64_t kKeyStep = 256;
/// Keys whose values are summed in one chain of additions.
inline constexpr std::int64_t kSumStep = 128;
/// Elements of a query and a key, or pairs of them, whose products are summed in one chain: the rounding error of a
/// chain grows with its length, and an exponential makes it that of the weight. Shorter chains cost time.
inline constexpr std::int64_t kScoreStep = 64;
/// After so many keys a row's sums are folded into its totals: short chains of additions keep fp32 sums over hundreds
/// of thousands of keys exact enough. Also a position in the request, not in the item.
inline constexpr std::int64_t kFoldKeys = 16 * kKeyStep;
/// Rows whose scores are kept at once. They and one panel of keys or values stay in the first-level cache.
inline constexpr std::int64_t kChunkRows = 24;
/// Items with more rows are computed in slices of so many, which keeps a worker's data within the second-level cache.
inline constexpr std::int64_t kMaxSliceRows = 768;
/// Floats per alignment unit: the widest vector of any SIMD target.
inline constexpr std::int64_t kMaxLanes = 16;
inline constexpr std::int64_t kMaxPanel = 4 * kMaxLanes;
/// Floats between staged keys: fixed, so that the addresses of a transposition need one register. Not a power of two,
/// which would put all of a column into one set of the cache.
inline constexpr std::int64_t kStageStride = kMaxHeadDim;

inline constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

/// Running softmax of a slice's rows: out = Σ pⱼ vⱼ with pⱼ = exp2((scoreⱼ − max) · log2_per_one), sum = Σ pⱼ by lanes.
struct RowSums {
  float* out;  ///< [rows, out_stride]
  float* max;  ///< [rows]; −inf: nothing seen yet
  float* sum;  ///< [rows, kMaxLanes]
};

struct Scratch {
  std::int64_t rows = 0;        ///< of a slice
  std::int64_t out_stride = 0;  ///< head_dim_vo rounded up to kMaxLanes

  float* query = nullptr;       ///< [rows, head_dim_qk]
  float* keys = nullptr;        ///< [key panels, head_dim_qk, panel width]: lanes along keys
  float* values = nullptr;      ///< [value panels, kKeyStep, panel width]: lanes along head_dim_vo
  float* stage = nullptr;       ///< [kMaxLanes, kStageStride]: keys converted to fp32, before they are transposed
  float* scores = nullptr;      ///< [kChunkRows, kKeyStep], then probabilities in place
  float* rescale = nullptr;     ///< [kChunkRows]: what a row's sums are multiplied by before the next block is added
  RowSums running{};            ///< since the last fold
  RowSums folded{};             ///< before it
  KeyRange* visible = nullptr;  ///< [rows]
  const std::byte** row_addresses = nullptr;  ///< [2 blocks, 2, kKeyStep]: of a block's keys and values

  std::int64_t bytes = 0;
};

/// Lays a worker's scratch out at `base`, 64-byte aligned; with a null base only `bytes` means something.
inline Scratch lay_out_scratch(std::byte* base, const RaggedBatch& batch, std::int64_t tallest_tile) {
  Scratch scratch;
  const auto take = [&]<typename T>(T*& pointer, std::int64_t count) {
    if (base != nullptr) {
      pointer = reinterpret_cast<T*>(base + scratch.bytes);  // NOLINT(*-reinterpret-cast): aligned raw memory
    }
    scratch.bytes += round_up(count * static_cast<std::int64_t>(sizeof(T)), 64);
  };
  scratch.rows = std::min(tallest_tile, kMaxSliceRows);
  scratch.out_stride = round_up(batch.head_dim_vo, kMaxLanes);
  take(scratch.query, scratch.rows * batch.head_dim_qk);
  take(scratch.keys, kKeyStep * batch.head_dim_qk);
  take(scratch.values, kKeyStep * round_up(batch.head_dim_vo, kMaxPanel));
  take(scratch.stage, kMaxLanes * kStageStride);
  take(scratch.scores, kChunkRows * kKeyStep);
  take(scratch.rescale, kChunkRows);
  for (RowSums* sums : {&scratch.running, &scratch.folded}) {
    take(sums->out, scratch.rows * scratch.out_stride);
    take(sums->max, scratch.rows);
    take(sums->sum, scratch.rows * kMaxLanes);
  }
  take(scratch.visible, scratch.rows);
  take(scratch.row_addresses, 2 * 2 * kKeyStep);
  return scratch;
}

}  // namespace varlen::cpu
