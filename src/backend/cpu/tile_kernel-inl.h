// The way of one item, top-down: queries are loaded, then for every block of keys: pack, score, softmax, add values.
#if defined(VARLEN_CPU_TILE_KERNEL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef VARLEN_CPU_TILE_KERNEL_INL_H_
#undef VARLEN_CPU_TILE_KERNEL_INL_H_
#else
#define VARLEN_CPU_TILE_KERNEL_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "backend/cpu/call.hpp"
#include "backend/cpu/element-inl.h"
#include "backend/cpu/micro_kernels-inl.h"
#include "backend/cpu/pack-inl.h"
#include "backend/cpu/rows_out-inl.h"
#include "backend/cpu/scratch.hpp"
#include "backend/cpu/softmax-inl.h"
#include "varlen/plan.hpp"

HWY_BEFORE_NAMESPACE();
namespace varlen::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// What rows [begin, end) of a range together see: from the first key that one sees to the last.
inline KeyRange united(const KeyRange* ranges, std::int64_t begin, std::int64_t end) {
  KeyRange all{0, 0};
  for (std::int64_t row = begin; row < end; ++row) {
    if (ranges[row].begin < ranges[row].end) {
      all = all.begin == all.end ? ranges[row]
                                 : KeyRange{std::min(all.begin, ranges[row].begin), std::max(all.end, ranges[row].end)};
    }
  }
  return all;
}

inline KeyRange intersected(KeyRange a, KeyRange b) {
  const std::int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

/// Rows row_begin … of an item, at most as many as the scratch holds.
class Slice {
  static constexpr float kOnes[kBlockRows] = {1, 1, 1, 1, 1, 1};

 public:
  Slice(const Call& call, const WorkItem& item, const Scratch& scratch, std::int64_t row_begin, std::int64_t row_count)
      : call_(call),
        batch_(*call.batch),
        item_(item),
        scratch_(scratch),
        writer_(call, item.request, item.kv_head),
        row_begin_(row_begin),
        row_count_(row_count),
        keep_pairs_(kHasBFloat16Dot && call.batch->input_dtype == Dtype::kBFloat16),
        query_units_(keep_pairs_ ? call.batch->head_dim_qk / 2 : call.batch->head_dim_qk) {}

  void run() {
    clear(scratch_.running);
    load_rows();
    const KeyRange keys = united(scratch_.visible, 0, row_count_);
    bool any_folded = false;
    KeyBlock block = locate(keys.begin / kKeyStep * kKeyStep, keys);
    while (block.keys.begin < block.keys.end) {
      if (block.start % kFoldKeys == 0 && block.start > keys.begin) {
        fold(any_folded);
        any_folded = true;
      }
      const KeyBlock next = locate(block.start + kKeyStep, keys);
      add_key_block(block, next);
      block = next;
    }
    if (any_folded) {
      fold(any_folded);
    }
    write_rows(any_folded ? scratch_.folded : scratch_.running);
  }

 private:
  void clear(const RowSums& sums) const {
    std::fill_n(sums.out, row_count_ * scratch_.out_stride, 0.0F);
    std::fill_n(sums.max, row_count_, kMinusInfinity);
    std::fill_n(sums.sum, row_count_ * kMaxLanes, 0.0F);
  }

  /// Calls body(row, token, head) for every row of the slice. Rows are token-major.
  template <class Body>
  void for_each_row(const Body& body) const {
    std::int64_t token = item_.query_begin + row_begin_ / item_.query_head_count;
    auto head = static_cast<std::int32_t>(row_begin_ % item_.query_head_count);
    for (std::int64_t row = 0; row < row_count_; ++row) {
      body(row, token, item_.query_head_begin + head);
      if (++head == item_.query_head_count) {
        head = 0;
        ++token;
      }
    }
  }

  /// Queries to fp32, and the keys that each row sees within the item's range.
  void load_rows() const {
    const TensorView& query = call_.tensors->query;
    const RequestExtent& extent = batch_.requests[static_cast<std::size_t>(item_.request)];
    const std::int64_t head_dim = batch_.head_dim_qk;
    const float factor = writer_.scale.query_factor;
    with_input_dtype(query.dtype, [&](auto dtype) HWY_ATTR {
      for_each_row([&](std::int64_t row, std::int64_t token, std::int32_t head) HWY_ATTR {
        const std::byte* from = token_row(query, extent.query_start + token, head);
        prefetch_ahead(query, from, row, head_dim * element_size(dtype));
        float* to = scratch_.query + row * query_units_;
        convert_to_units<dtype>(from, head_dim, to);
        if (factor != 1.0F) {
          convert_row<dtype>(from, head_dim, scratch_.stage);
          store_row(kKeptAsPairs<dtype> ? Dtype::kBFloat16 : Dtype::kFloat32, scratch_.stage, factor, 1.0F, head_dim,
                    reinterpret_cast<std::byte*>(to));
        }
        scratch_.visible[row] = intersected(visible_keys(batch_.mask, extent, token), {item_.key_begin, item_.key_end});
      });
    });
  }

  /// Asks for the same head of a later token of the slice: tokens lie apart, where hardware does not look ahead.
  void prefetch_ahead(const TensorView& view, const std::byte* row_address, std::int64_t row,
                      std::int64_t bytes) const {
    const std::int64_t tokens = std::max<std::int64_t>(1, kPrefetchRows / item_.query_head_count);
    if (row + tokens * item_.query_head_count < row_count_) {
      prefetch_bytes<3>(row_address + tokens * view.strides[0] * element_size(view.dtype), bytes);
    }
  }

  /// Keys of the request from a multiple of kKeyStep on: those of them that some row of the slice sees, and their rows.
  struct KeyBlock {
    std::int64_t start;
    KeyRange keys;  ///< positions within the block
    const std::byte** key_rows;
    const std::byte** value_rows;
  };

  KeyBlock locate(std::int64_t start, KeyRange all) const {
    const KeyRange keys = intersected(all, {start, start + kKeyStep});
    const std::byte** rows = scratch_.row_addresses + (start / kKeyStep % 2) * 2 * kKeyStep;
    const Tensors& tensors = *call_.tensors;
    locate_key_rows(call_, tensors.key, item_.request, item_.kv_head, keys, rows);
    locate_key_rows(call_, tensors.value, item_.request, item_.kv_head, keys, rows + kKeyStep);
    return {start, {keys.begin - start, keys.end - start}, rows, rows + kKeyStep};
  }

  void add_key_block(const KeyBlock& block, const KeyBlock& next) const {
    with_input_dtype(batch_.input_dtype, [&](auto dtype) HWY_ATTR {
      pack_keys<dtype>(block.key_rows, block.keys, batch_.head_dim_qk, scratch_.stage, scratch_.keys);
      pack_values<dtype>(block.value_rows, block.keys, batch_.head_dim_vo, scratch_.values);
    });
    const std::int64_t chunks = (row_count_ + kChunkRows - 1) / kChunkRows;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      prefetch(next, chunk, chunks);
      add_to_chunk(block.start, chunk * kChunkRows, std::min((chunk + 1) * kChunkRows, row_count_));
    }
  }

  /// Brings one chunk's share of a block's rows near while other work goes on. With few chunks there is none to hide
  /// it.
  void prefetch(const KeyBlock& block, std::int64_t chunk, std::int64_t chunks) const {
    constexpr std::int64_t kFewestChunks = 4;
    const std::int64_t count = block.keys.end - block.keys.begin;
    const std::int64_t size = element_size(batch_.input_dtype);
    for (std::int64_t i = count * chunk / chunks; chunks >= kFewestChunks && i < count * (chunk + 1) / chunks; ++i) {
      prefetch_row<2>(block.key_rows, i, count, batch_.head_dim_qk * size);
      prefetch_row<2>(block.value_rows, i, count, batch_.head_dim_vo * size);
    }
  }

  /// Rows of one register block and what they together see of the key block, as positions within it.
  struct Group {
    std::int64_t row;
    std::int64_t rows;
    KeyRange seen;
    KeyRange computed;  ///< the same in whole vectors
  };

  /// One chunk of rows × one key block. Panels go outside, rows inside: the panel stays in the first-level cache.
  void add_to_chunk(std::int64_t block, std::int64_t row_begin, std::int64_t row_end) const {
    Group groups[(kChunkRows + kBlockRows - 1) / kBlockRows];
    std::int64_t group_count = 0;
    for (std::int64_t row = row_begin; row < row_end; row += kBlockRows) {
      const std::int64_t rows = std::min<std::int64_t>(kBlockRows, row_end - row);
      const KeyRange seen = intersected(united(scratch_.visible, row, row + rows), {block, block + kKeyStep});
      if (seen.begin < seen.end) {
        const KeyRange inside{seen.begin - block, seen.end - block};
        groups[group_count++] = {row, rows, inside, {inside.begin / kLanes * kLanes, round_up(inside.end, kLanes)}};
      }
    }
    const auto scores_of = [&](const Group& group) { return scratch_.scores + (group.row - row_begin) * kKeyStep; };
    const auto rescale_of = [&](const Group& group) { return scratch_.rescale + (group.row - row_begin); };

    const std::int64_t depth = query_units_;
    for (std::int64_t panel = 0; panel < kKeyStep; panel += kPanel) {
      for (std::int64_t unit = 0; unit < depth; unit += kScoreStep) {
        for (std::int64_t i = 0; i < group_count; ++i) {
          const Group& group = groups[i];
          const KeyRange keys = intersected(group.computed, {panel, panel + kPanel});
          if (keys.begin < keys.end) {
            const BlockShape& shape = block_shape(group.rows, (keys.end - keys.begin) / kLanes);
            (keep_pairs_ ? shape.score_of_pairs : shape.score)(
                scratch_.query + group.row * depth + unit, depth,
                scratch_.keys + panel * depth + unit * kPanel + (keys.begin - panel),
                std::min(kScoreStep, depth - unit), unit > 0, scores_of(group) + keys.begin);
          }
        }
      }
    }
    for (std::int64_t i = 0; i < group_count; ++i) {
      softmax(block, groups[i], scores_of(groups[i]), rescale_of(groups[i]));
    }
    const std::int64_t columns = round_up(batch_.head_dim_vo, kLanes);
    for (std::int64_t column = 0; column < columns; column += kPanel) {
      const std::int64_t vectors = std::min(columns - column, kPanel) / kLanes;
      for (std::int64_t step = 0; step < kKeyStep; step += kSumStep) {
        for (std::int64_t i = 0; i < group_count; ++i) {
          const Group& group = groups[i];
          const KeyRange keys = intersected(group.seen, {step, step + kSumStep});
          // The first step that a group takes part in scales what was there before.
          const float* rescale = group.seen.begin >= step ? rescale_of(group) : kOnes;
          if (keys.begin < keys.end) {
            block_shape(group.rows, vectors)
                .value(scores_of(group) + keys.begin, keys.end - keys.begin,
                       scratch_.values + column * kKeyStep + keys.begin * kPanel, rescale,
                       scratch_.running.out + group.row * scratch_.out_stride + column, scratch_.out_stride);
          }
        }
      }
    }
  }

  void softmax(std::int64_t block, const Group& group, float* scores, float* rescale) const {
    const ScoreScale& scale = writer_.scale;
    for (std::int64_t r = 0; r < group.rows; ++r) {
      if (batch_.soft_cap > 0) {
        cap_scores(scores + r * kKeyStep, group.computed, batch_.soft_cap, scale.cap_factor);
      }
      const KeyRange& range = scratch_.visible[group.row + r];
      const KeyRange visible{range.begin - block, range.end - block};
      if (visible.begin > group.computed.begin || visible.end < group.computed.end) {
        mask_scores(scores + r * kKeyStep, group.computed, visible);
      }
    }
    const RowSums& sums = scratch_.running;
    softmax_rows(group.rows, scores, group.computed, scale.log2_per_one, sums.max + group.row,
                 sums.sum + group.row * kMaxLanes, rescale);
  }

  /// Moves the running sums into the totals; the first time the totals are cleared before.
  void fold(bool any_folded) const {
    const RowSums& running = scratch_.running;
    const RowSums& folded = scratch_.folded;
    if (!any_folded) {
      clear(folded);
    }
    for (std::int64_t row = 0; row < row_count_; ++row) {
      const float max = std::max(running.max[row], folded.max[row]);
      const float old_factor = rescale_factor(folded.max[row], max, writer_.scale.log2_per_one);
      const float new_factor = rescale_factor(running.max[row], max, writer_.scale.log2_per_one);
      add_scaled(folded.out + row * scratch_.out_stride, old_factor, running.out + row * scratch_.out_stride,
                 new_factor, scratch_.out_stride);
      add_scaled(folded.sum + row * kMaxLanes, old_factor, running.sum + row * kMaxLanes, new_factor, kMaxLanes);
      folded.max[row] = max;
    }
    clear(running);
  }

  void write_rows(const RowSums& sums) const {
    const TensorView& view = call_.tensors->out;
    const RequestExtent& extent = batch_.requests[static_cast<std::size_t>(item_.request)];
    for_each_row([&](std::int64_t row, std::int64_t token, std::int32_t head) HWY_ATTR {
      const float* out = sums.out + row * scratch_.out_stride;
      const float sum = sum_of_lanes(sums.sum + row * kMaxLanes);
      if (item_.partial_row >= 0) {
        write_partial(call_, item_.partial_row + row_begin_ + row, out, sums.max[row], sum);
      } else {
        prefetch_ahead(view, token_row(view, extent.query_start + token, head), row,
                       batch_.head_dim_vo * element_size(view.dtype));
        writer_.write(token, head, out, sums.max[row], sum);
      }
    });
  }

  const Call& call_;
  const RaggedBatch& batch_;
  const WorkItem& item_;
  const Scratch& scratch_;
  RowWriter writer_;
  std::int64_t row_begin_;
  std::int64_t row_count_;
  bool keep_pairs_;           ///< bf16 queries and keys stay bf16: see kKeptAsPairs
  std::int64_t query_units_;  ///< of a query or key row
};

}  // namespace varlen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
