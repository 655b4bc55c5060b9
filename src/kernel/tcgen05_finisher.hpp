// The finishers of forward_tcgen05: sums in tensor memory become results. Each thread has one row of either half. Until
// an item has its sums they clear values of hidden keys (hidden_values.hpp), or widen all values (tcgen05_widener.hpp).
#pragma once

#include <cstdint>

#include "gpu/tensor_operations.hpp"
#include "kernel/hidden_values.hpp"
#include "kernel/rows_out.hpp"
#include "kernel/score_factors.hpp"
#include "kernel/softmax.hpp"
#include "kernel/tcgen05_memory.hpp"
#include "kernel/tcgen05_widener.hpp"

namespace varlen::kernel {

template <class Shape>
class Tcgen05Finisher {
  using Memory = Tcgen05Memory<Shape>;
  using Element = typename Shape::Element;
  using Weight = typename Multiplied<Element>::Type;
  static constexpr int kColumns = 32;  // at a time

 public:
  VARLEN_DEVICE Tcgen05Finisher(const ForwardParameters& parameters, gpu::TensorAddress tensor)
      : parameters_(parameters), tensor_(gpu::at_lane(tensor, half_row() - gpu::lane_index())) {}

  VARLEN_DEVICE void run() {
    for_each_work<Memory>([&](const TileWork& work, gpu::SharedAddress) {
      if (work.keys > 0) {
        if constexpr (Shape::kWidensValues) {
          widener_.widen(work);
        } else if (half_row() < gpu::kWarpThreads) {
          hidden_values_.clear(work);
        }
        finish(work);
      } else {
        for (int half = 0; half * Shape::kHalfRows < work.rows; ++half) {
          write_row(work, half, {minus_infinity(), 0.0F});
        }
      }
    });
  }

 private:
  VARLEN_DEVICE static int half_row() { return gpu::thread_index() % gpu::kWarpgroupThreads; }

  VARLEN_DEVICE void finish(const TileWork& work) {
    wait_together(Memory::query_full(queries_.stage()), queries_.parity());  // results may be written over them
    VARLEN_UNROLL
    for (int half = 0; half < Shape::kHalves; ++half) {
      if (half * Shape::kHalfRows >= work.rows) break;
      wait_together(Memory::state_full(half), halves_[half].parity());
      const RowState state = load_state(half);
      arrive_together(Memory::state_empty(half));
      wait_together(Memory::out_full(half), halves_[half].parity());
      gpu::fence_tensor_after_sync();
      write_row(work, half, state);
      gpu::fence_tensor_before_sync();
      arrive_together(Memory::out_empty(half));
      halves_[half].advance();
    }
    gpu::fence_shared_for_products();
    arrive_together(Memory::result_full(queries_.stage()));
    queries_.advance();
  }

  VARLEN_DEVICE static RowState load_state(int half) {
    const gpu::Words4 pair = gpu::load_shared(Memory::states(half, half_row()));
    const bool odd = half_row() % 2 != 0;
    return {gpu::word_as_float(odd ? pair.word[2] : pair.word[0]),
            gpu::word_as_float(odd ? pair.word[3] : pair.word[1])};
  }

  /// By the whole warp, rows that do not exist included. `state` is of weights.
  VARLEN_DEVICE void write_row(const TileWork& work, int half, RowState state) const {
    const std::int32_t row = half * Shape::kHalfRows + half_row();
    const bool exists = row < work.rows;
    const bool partial = work.partial_row >= 0;
    state.sum *= weight_unit<Weight>();
    const float factor = (partial ? 1.0F : exists ? finish_row(work, row, state) : 0.0F) * weight_unit<Weight>();
    if (partial && exists) store_state(work, row, state);
    VARLEN_UNROLL
    for (int column = 0; column < Shape::kDimVo; column += kColumns) {
      float out[kColumns];
      load_out(work, half, column, out);
      VARLEN_UNROLL
      for (int i = 0; i < kColumns; ++i) out[i] *= factor;
      if (work.boxed_out != 0 && work.keys > 0) {
        leave_results(row, column, out);
      } else if (exists) {
        if (partial) {
          store_partial(work, row, column, out);
        } else {
          store_out(work, row, column, out);
        }
      }
    }
  }

  /// What becomes of a row of the tile: the factor of its sums. Its LSE is stored.
  VARLEN_DEVICE float finish_row(const TileWork& work, std::int32_t row, const RowState& state) const {
    const RowPosition at = work.position(row);
    const std::int32_t head = work.query_head + at.head;
    const FactorsOf<Element> factors = factors_of<Element>(parameters_, work.request, work.kv_head);
    const RowResult result = kernel::finish_row(parameters_, factors, state, head);
    store_lse(parameters_, work.query_token + at.token, head, result.lse);
    return result.out_factor;
  }

  /// Zeros if the item has no keys: nothing was summed then.
  VARLEN_DEVICE void load_out(const TileWork& work, int half, int column, float (&out)[kColumns]) const {
    if (work.keys == 0) {
      VARLEN_UNROLL
      for (int i = 0; i < kColumns; ++i) out[i] = 0.0F;
      return;
    }
    gpu::TensorWords<kColumns> words;
    gpu::load_tensor(words, tensor_ + (Shape::out(half) + static_cast<std::uint32_t>(column)));
    gpu::wait_tensor_loads(words);
    VARLEN_UNROLL
    for (int i = 0; i < kColumns; ++i) out[i] = gpu::word_as_float(words[i]);
  }

  VARLEN_DEVICE gpu::Words4 pack_chunk(const float* out) const {
    gpu::Words4 chunk;
    VARLEN_UNROLL
    for (int i = 0; i < 4; ++i) chunk.word[i] = pack_out(parameters_, out[2 * i], out[2 * i + 1]);
    return chunk;
  }

  /// In place of the queries, for the storer. All scores of the half were found before its last sums.
  VARLEN_DEVICE void leave_results(std::int32_t row, int column, const float (&out)[kColumns]) const {
    const typename Shape::Results results = Memory::results(queries_.stage());
    VARLEN_UNROLL
    for (int i = 0; i < kColumns; i += 8) gpu::store_shared(results.chunk(row, (column + i) / 8), pack_chunk(out + i));
  }

  VARLEN_DEVICE void store_out(const TileWork& work, std::int32_t row, int column, const float (&out)[kColumns]) const {
    const std::int64_t offset = work.query_offset(parameters_.out, row) + column;
    const bool in_chunks = parameters_.output_dtype != Dtype::kFloat32 && parameters_.out.in_chunks;
    VARLEN_UNROLL
    for (int i = 0; i < kColumns; i += 8) {
      if (column + i >= parameters_.head_dim_vo) break;
      if (in_chunks) {
        auto* const to = static_cast<std::uint16_t*>(parameters_.out.data) + offset + i;
        gpu::store_global(reinterpret_cast<gpu::Words4*>(to), pack_chunk(out + i));
        continue;
      }
      VARLEN_UNROLL
      for (int pair = i; pair < i + 8; pair += 2) store_out_pair(parameters_, offset + pair, out[pair], out[pair + 1]);
    }
  }

  // A row of a part of a split tile, in the workspace.
  VARLEN_DEVICE float* partial(const TileWork& work, std::int32_t row) const {
    return parameters_.partials + (work.partial_row + row) * partial_row_floats(parameters_.head_dim_vo);
  }
  VARLEN_DEVICE void store_state(const TileWork& work, std::int32_t row, const RowState& state) const {
    store_pair(partial(work, row) + parameters_.head_dim_vo, state.reference, state.sum);
  }
  VARLEN_DEVICE void store_partial(const TileWork& work, std::int32_t row, int column,
                                   const float (&out)[kColumns]) const {
    VARLEN_UNROLL
    for (int i = 0; i < kColumns; i += 2) {
      if (column + i >= parameters_.head_dim_vo) break;
      store_pair(partial(work, row) + column + i, out[i], out[i + 1]);
    }
  }

  const ForwardParameters& parameters_;
  const gpu::TensorAddress tensor_;  // of the warp's first row
  Tcgen05Widener<Shape> widener_;
  HiddenValues<Memory> hidden_values_;
  Ring<1> halves_[Shape::kHalves];
  Ring<Shape::kQueryStages> queries_;
};

}  // namespace varlen::kernel
