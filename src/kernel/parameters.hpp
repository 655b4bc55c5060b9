// What a launch tells its kernels: plain data, passed by value. Every pointer is to memory of the device.
#pragma once

#include <cstdint>
#include <limits>

#include "batch/ragged_batch.hpp"
#include "gpu/tensor_box.hpp"
#include "kernel/fault_report.hpp"
#include "plan/cursor.hpp"

namespace varlen::kernel {

/// Where the rows of a tensor lie, in elements: row (token, head), or of a paged tensor (page, slot, head).
struct RowAddresses {
  void* data;
  std::int64_t page_stride;   // 0 unless paged
  std::int64_t token_stride;  // slot stride if paged
  std::int64_t head_stride;
  bool in_chunks;  // every row is 16-byte aligned and a whole number of 16 bytes long
};

inline constexpr int kWgmmaRows = 128;  // of a tile of forward_wgmma, at most
/// Keys in one step of a forward_wgmma that is compiled for this head dim of values.
VARLEN_HOST_DEVICE constexpr std::int32_t wgmma_keys(std::int32_t head_dim_vo) { return head_dim_vo <= 128 ? 128 : 64; }

inline constexpr int kTcgen05Rows = 256;  // of a tile of forward_tcgen05, at most
inline constexpr int kTcgen05Keys = 128;  // in one step

/// Ragged tensors as tensors of boxes that end where a request ends, whichever request it is.
///
/// Dimensions of queries, results and ragged keys: (column, head, place, token, 0), where place and token are both
/// strided by a token and the tensor begins `bound` tokens early. Token t of a request of `length` tokens is at place
/// bound − length + t, token start + length: all that lies behind the request lies behind `bound`, too, is loaded as
/// zeros without being read, and is not stored. Paged keys: (column, head, place, slot, page), where a page that holds
/// `slots` of a request's keys plays the part of the request.
struct KeyBoxes {
  gpu::TensorMap key;
  gpu::TensorMap value;
  std::int32_t bound;
  std::int32_t rows;  // keys of a box: a power of two

  /// The first key of the box that holds a key, both counted from the item's first one.
  VARLEN_HOST_DEVICE std::int32_t box_begin(std::int32_t place) const { return place & -rows; }
};
/// Boxes hold a whole tile: there is one kind for each tile shape and packing of heads.
struct QueryBoxes {
  static constexpr int kShapes = 2;
  static constexpr int kKinds = 2 * kShapes;
  VARLEN_HOST_DEVICE static constexpr std::int32_t index(std::int32_t tile_shape, bool packed) {
    return 2 * tile_shape + (packed ? 0 : 1);
  }

  gpu::TensorMap query[kKinds];
  gpu::TensorMap out[kKinds];
  std::int32_t heads[kKinds];
  std::int32_t rows[kKinds];  // tokens × heads
  std::int32_t bound;
};
struct Boxes {
  KeyBoxes keys;
  QueryBoxes queries;
  bool stores_out;  // there are boxes of out
};

/// What scores and sums are multiplied by: of the launch, or of one (request, KV head) where fp8 has scales
/// (score_factors.hpp). The kernels' scores rise with the logits.
struct ScoreFactors {
  float score_sign;       // of the scale, or 0; times a power of two if the other factors cannot hold it
  float cap_factor;       // score · cap_factor is the argument of the soft cap's tanh
  float soft_cap;         // 0: none
  float natural_per_one;  // logit = score · natural_per_one, after the soft cap if there is one
  float log2_per_one;     // the same to base 2
  float value_factor;     // of the results
};

inline constexpr double kLargestFactor = std::numeric_limits<float>::max();
/// A factor of scores in fp32. One that fp32 cannot hold becomes the largest number, not infinity, whose product with a
/// score of 0 is NaN. Scores that differ are as far apart as with the true factor: all weight goes to one.
VARLEN_HOST_DEVICE constexpr float finite_factor(double factor) {
  return static_cast<float>(factor > kLargestFactor ? kLargestFactor : factor);
}

/// Scales of fp8 inputs, [requests, KV heads].
struct ScaleAddresses {
  const float* data;  // null: all are 1
  std::int64_t request_stride;
  std::int64_t head_stride;
};

/// Page numbers: entry p of a request is entries[first(request) + p · entry_stride]. Strides count 32-bit words.
struct PageTable {
  const std::int32_t* entries;
  const std::int32_t* rows;  // block_table_rows or page_indptr; null: row r of the table is request r's
  std::int64_t rows_stride;
  std::int64_t row_stride;  // entry_stride if is_csr
  std::int64_t entry_stride;
  std::int64_t row_count;    // of the table; if is_csr, of entries
  std::int64_t row_entries;  // of each row of the table
  bool is_csr;               // `rows` is page_indptr, and `entries` has no rows
};

struct ForwardParameters : ScoreFactors {
  PlanView plan;
  const RequestExtent* requests;  // [requests]
  RowAddresses query;             // [query tokens, query heads, head_dim_qk]
  RowAddresses key;               // [key tokens, KV heads, head_dim_qk], or pages of them
  RowAddresses value;             // likewise with head_dim_vo
  RowAddresses out;               // [query tokens, query heads, head_dim_vo]
  RowAddresses lse;               // [query tokens, query heads], fp32; data may be null
  ScaleAddresses query_scale;
  ScaleAddresses key_scale;
  ScaleAddresses value_scale;
  const float* sinks;  // [query heads], or null
  std::int64_t sinks_stride;
  PageTable page_table;
  std::uint32_t pages;  // of the pool: entries are below
  bool is_paged;
  Divisor<std::int32_t> page_size;  // in 32 bits: a division of 64 would be a call that takes registers from the sums
  Boxes boxes;                      // of forward_wgmma and forward_tcgen05
  std::int64_t* counter;            // of items drawn after each block's first, 0 at first; null: there are none
  float* partials;                  // [partial rows, partial_row_floats()]: see there
  const Merge* merges;              // [merge_count]
  std::int64_t merge_count;
  const PlanCounts*
      counts;  // of a plan made on the device: read them (device_view.hpp), not those here. Null: those here
  std::int32_t head_dim_qk;
  std::int32_t head_dim_vo;
  Dtype output_dtype;
  bool batch_invariant;     // bits must not depend on how many rows a tile has
  std::int64_t out_tokens;  // that the tensors have, whoever's they are
  std::int64_t lse_tokens;
  FaultLine faults;
};

/// A row of a part of a split tile: head_dim_vo sums Σ pⱼ vⱼ, then the row's reference and Σ pⱼ (RowState). An LSE
/// alone would lose the digits that a merge's weights need.
VARLEN_HOST_DEVICE constexpr std::int64_t partial_row_floats(std::int32_t head_dim_vo) { return head_dim_vo + 2; }

}  // namespace varlen::kernel
