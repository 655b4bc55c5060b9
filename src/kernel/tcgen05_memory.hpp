// The shape of a forward_tcgen05, and where everything lies in its shared memory and its tensor memory.
#pragma once

#include <cstdint>

#include "gpu/tensor_operations.hpp"
#include "kernel/operands.hpp"
#include "kernel/panel_memory.hpp"
#include "kernel/parameters.hpp"
#include "kernel/pipeline.hpp"
#include "kernel/tile_work.hpp"

namespace varlen::kernel {

inline constexpr int kWidePlaces = 2;  // for a step's widened values

/// Element: gpu::Float16, gpu::BFloat16 or gpu::Float8E4M3. Head dims are upper bounds, a multiple of 64 each: columns
/// past a batch's own are zeros in shared memory.
template <class Element_, int kDimQk_, int kDimVo_>
struct ForwardTcgen05Shape {
  using Element = Element_;
  static constexpr bool kWidensValues = gpu::kElementBytes<Element> == 1;  // tcgen05_widener.hpp
  static constexpr bool kClearsValues = !kWidensValues;  // hidden_values.hpp; wideners clear what they widen
  static constexpr int kDimQk = kDimQk_;
  static constexpr int kDimVo = kDimVo_;
  static constexpr int kHalves = 2;
  static constexpr int kHalfRows = gpu::kTensorLanes;
  static constexpr int kRows = kHalves * kHalfRows;
  static_assert(kRows == kTcgen05Rows);
  static constexpr int kKeys = kTcgen05Keys;  // in one step
  static constexpr int kQueryStages = kDimQk <= 128 ? 2 : 1;
  static constexpr int kStages = kDimQk <= 64 ? 8 : (kDimQk <= 128 ? 6 : 4) / gpu::kElementBytes<Element>;
  // Wideners wait for values alone and must miss no phase: a stage has either keys or values, always.
  static_assert(!kWidensValues || kStages % 2 == 0);
  static constexpr int kWideStages = kWidensValues ? kWidePlaces : 0;
  static constexpr int kWorkSlots = 4;
  // Of 65,536 registers.
  static constexpr int kThreads = 4 * gpu::kWarpgroupThreads;
  static constexpr int kSoftmaxRegisters = 160;
  static constexpr int kFinisherRegisters = 104;
  static constexpr int kOtherRegisters = 88;
  static_assert((2 * kSoftmaxRegisters + kFinisherRegisters + kOtherRegisters) * gpu::kWarpgroupThreads == 65536);
  using Queries = PanelMatrix<kRows, kDimQk, gpu::kElementBytes<Element>>;
  using Keys = PanelMatrix<kKeys, kDimQk, gpu::kElementBytes<Element>>;
  using Values = PanelMatrix<kKeys, kDimVo, gpu::kElementBytes<Element>>;
  using MultipliedValues = PanelMatrix<kKeys, kDimVo>;
  using Results = PanelMatrix<kRows, kDimVo>;  // in place of the queries that they answer, if those have two bytes, too
  static_assert(kDimVo <= 128 && kDimVo <= kDimQk);

  static constexpr int kStagesAt = kQueryStages * Queries::kBytes;
  // Any stage may have keys, unless keys and values have stages of their own.
  static constexpr int kTwoStagesBytes = Keys::kBytes + (kWidensValues ? Values::kBytes : Keys::kBytes);
  static constexpr int kWideAt = kStagesAt + kStages / 2 * kTwoStagesBytes + kStages % 2 * Keys::kBytes;
  static constexpr int kStatesAt = kWideAt + kWideStages * MultipliedValues::kBytes;
  static constexpr int kWorkAt = kStatesAt + kRows * 8;
  static constexpr int kTensorAddressAt = kWorkAt + kWorkSlots * static_cast<int>(sizeof(TileWork));
  static constexpr int kBarriersAt = kTensorAddressAt + 16;
  static constexpr int kLandedBarriers = kClearsValues ? kStages : 0;
  static constexpr int kBarriers =
      3 * kQueryStages + 2 * kStages + 6 * kHalves + 2 * kWorkSlots + 1 + 2 * kWideStages + kLandedBarriers;
  static constexpr int kSharedBytes = kBarriersAt + 8 * kBarriers;
  static_assert(kSharedBytes <= 232448);

  // Columns of tensor memory, of each half of the rows. 16-bit weights lie over the upper half of their own scores.
  VARLEN_DEVICE static constexpr std::uint32_t scores(int half) { return static_cast<std::uint32_t>(half * kKeys); }
  VARLEN_DEVICE static constexpr std::uint32_t weights(int half) { return scores(half) + kKeys / 2; }
  VARLEN_DEVICE static constexpr std::uint32_t out(int half) {
    return static_cast<std::uint32_t>(kHalves * kKeys + half * 128);
  }
};

/// A matrix from `row` (a multiple of 8) on, for products; along_rows_bytes() or across_rows_bytes() further on.
template <class Matrix>
VARLEN_DEVICE gpu::TensorMatrix tensor_matrix(const Matrix& matrix, int row) {
  return gpu::tensor_matrix(matrix.base + static_cast<std::uint32_t>(row) * Matrix::kRowBytes, Matrix::kPanelBytes,
                            8 * Matrix::kRowBytes);
}

template <class Shape_>
struct Tcgen05Memory {
  using Shape = Shape_;
  static constexpr bool kEmptiedByCommits = true;

  VARLEN_DEVICE static typename Shape::Queries queries(int stage) { return {at(stage * Shape::Queries::kBytes)}; }
  /// Where the loader puts a tile's queries.
  VARLEN_DEVICE static Stage<typename Shape::Queries> loaded_queries(const Ring<Shape::kQueryStages>& ring) {
    const int stage = ring.stage();
    return {queries(stage), query_full(stage), query_empty(stage), ring.parity()};
  }
  VARLEN_DEVICE static typename Shape::Results results(int stage) { return {at(stage * Shape::Queries::kBytes)}; }
  /// The states of two rows of a half, the even one and the one after it: reference and sum of each.
  VARLEN_DEVICE static gpu::SharedAddress states(int half, int row) {
    return at(Shape::kStatesAt + (half * Shape::kHalfRows + row) / 2 * 16);
  }
  VARLEN_DEVICE static gpu::SharedAddress work(int slot) {
    return at(Shape::kWorkAt + slot * static_cast<int>(sizeof(TileWork)));
  }
  VARLEN_DEVICE static gpu::SharedAddress tensor_address() { return at(Shape::kTensorAddressAt); }

  // The barriers: forward_tcgen05.hpp has a table of them.
  VARLEN_DEVICE static gpu::SharedAddress query_full(int stage) { return barrier(stage); }
  VARLEN_DEVICE static gpu::SharedAddress query_empty(int stage) { return barrier(Shape::kQueryStages + stage); }
  VARLEN_DEVICE static gpu::SharedAddress result_full(int stage) { return barrier(2 * Shape::kQueryStages + stage); }
  VARLEN_DEVICE static gpu::SharedAddress stage_full(int stage) { return barrier(kStageBarriers + stage); }
  VARLEN_DEVICE static gpu::SharedAddress stage_empty(int stage) {
    return barrier(kStageBarriers + Shape::kStages + stage);
  }
  VARLEN_DEVICE static gpu::SharedAddress score_full(int half) { return half_barrier(0, half); }
  VARLEN_DEVICE static gpu::SharedAddress weight_full(int half) { return half_barrier(1, half); }
  VARLEN_DEVICE static gpu::SharedAddress out_full(int half) { return half_barrier(2, half); }
  VARLEN_DEVICE static gpu::SharedAddress out_empty(int half) { return half_barrier(3, half); }
  VARLEN_DEVICE static gpu::SharedAddress state_full(int half) { return half_barrier(4, half); }
  VARLEN_DEVICE static gpu::SharedAddress state_empty(int half) { return half_barrier(5, half); }
  VARLEN_DEVICE static gpu::SharedAddress work_full(int slot) { return barrier(kWorkBarriers + slot); }
  VARLEN_DEVICE static gpu::SharedAddress work_empty(int slot) {
    return barrier(kWorkBarriers + Shape::kWorkSlots + slot);
  }
  VARLEN_DEVICE static gpu::SharedAddress work_wanted() { return barrier(kWorkBarriers + 2 * Shape::kWorkSlots); }
  VARLEN_DEVICE static gpu::SharedAddress wide_full(int place) { return barrier(kWideBarriers + place); }
  VARLEN_DEVICE static gpu::SharedAddress wide_empty(int place) {
    return barrier(kWideBarriers + Shape::kWideStages + place);
  }
  VARLEN_DEVICE static gpu::SharedAddress value_landed(int stage) {
    return barrier(kWideBarriers + 2 * Shape::kWideStages + stage);
  }

  /// By one thread.
  VARLEN_DEVICE static void init_barriers() {
    constexpr int kWarps = gpu::kWarpgroupThreads / gpu::kWarpThreads;  // of one half's softmax, and of the finishers
    constexpr int kReaders = 3 * kWarps + 3;                            // of work
    for (int stage = 0; stage < Shape::kQueryStages; ++stage) {
      gpu::init_barrier(query_full(stage), 1);
      gpu::init_barrier(query_empty(stage), 1);
      gpu::init_barrier(result_full(stage), kWarps);
    }
    for (int stage = 0; stage < Shape::kStages; ++stage) {
      gpu::init_barrier(stage_full(stage), 1);
      gpu::init_barrier(stage_empty(stage), 1);
      if constexpr (Shape::kClearsValues) gpu::init_barrier(value_landed(stage), 1);
    }
    for (int half = 0; half < Shape::kHalves; ++half) {
      gpu::init_barrier(score_full(half), 1);
      gpu::init_barrier(weight_full(half), kWarps);
      gpu::init_barrier(out_full(half), 1);
      gpu::init_barrier(out_empty(half), kWarps);
      gpu::init_barrier(state_full(half), kWarps);
      gpu::init_barrier(state_empty(half), kWarps);
    }
    for (int slot = 0; slot < Shape::kWorkSlots; ++slot) {
      gpu::init_barrier(work_full(slot), 1);
      gpu::init_barrier(work_empty(slot), kReaders * gpu::kWarpThreads);
    }
    gpu::init_barrier(work_wanted(), 1);
    for (int place = 0; place < Shape::kWideStages; ++place) {
      gpu::init_barrier(wide_full(place), kWarps);
      gpu::init_barrier(wide_empty(place), 1);
    }
    gpu::fence_barriers();
  }

  /// Keys and values of one step after another, in one ring of stages: K0 V0 K1 V1 ….
  class Steps {
   public:
    VARLEN_DEVICE Stage<typename Shape::Keys> keys() const { return stage<typename Shape::Keys>(ring_); }
    VARLEN_DEVICE Stage<typename Shape::Values> values() const { return stage<typename Shape::Values>(value_ring()); }
    VARLEN_DEVICE int value_stage() const { return value_ring().stage(); }
    VARLEN_DEVICE void advance() {
      ring_.advance();
      ring_.advance();
    }

    /// Until nobody uses any stage, after the last step.
    VARLEN_DEVICE void drain() {
      for (int stage = 0; stage < Shape::kStages; ++stage) {
        wait_together(stage_empty(ring_.stage()), ring_.parity() ^ 1U);
        ring_.advance();
      }
    }

   private:
    VARLEN_DEVICE Cycle<Shape::kStages> value_ring() const {
      Cycle<Shape::kStages> next = ring_;
      next.advance();
      return next;
    }
    template <class Matrix>
    VARLEN_DEVICE static Stage<Matrix> stage(const Cycle<Shape::kStages>& ring) {
      const int stage = ring.stage();
      return {{stage_memory(stage)}, stage_full(stage), stage_empty(stage), ring.parity()};
    }

    Cycle<Shape::kStages> ring_;
  };

  /// Values of one step after another as products want them, if those that are loaded are widened first.
  class WideSteps {
   public:
    VARLEN_DEVICE Stage<typename Shape::MultipliedValues> values() const {
      const int place = ring_.stage();
      return {{at(Shape::kWideAt + place * Shape::MultipliedValues::kBytes)},
              wide_full(place),
              wide_empty(place),
              ring_.parity()};
    }
    VARLEN_DEVICE void advance() { ring_.advance(); }

    /// Until nobody uses any place, after the last step.
    VARLEN_DEVICE void drain() {
      for (int place = 0; place < Shape::kWideStages; ++place) {
        wait_together(wide_empty(ring_.stage()), ring_.parity() ^ 1U);
        ring_.advance();
      }
    }

   private:
    Ring<kWidePlaces> ring_;
  };

 private:
  static constexpr int kStageBarriers = 3 * Shape::kQueryStages;
  static constexpr int kHalfBarriers = kStageBarriers + 2 * Shape::kStages;
  static constexpr int kWorkBarriers = kHalfBarriers + 6 * Shape::kHalves;
  static constexpr int kWideBarriers = kWorkBarriers + 2 * Shape::kWorkSlots + 1;

  VARLEN_DEVICE static gpu::SharedAddress at(int bytes) {
    return gpu::shared_memory() + static_cast<std::uint32_t>(bytes);
  }
  VARLEN_DEVICE static gpu::SharedAddress stage_memory(int stage) {
    if constexpr (Shape::kWidensValues) {  // the general case; the other one takes fewer instructions
      return at(Shape::kStagesAt + stage / 2 * Shape::kTwoStagesBytes + stage % 2 * Shape::Keys::kBytes);
    } else {
      return at(Shape::kStagesAt + stage * Shape::Keys::kBytes);
    }
  }
  VARLEN_DEVICE static gpu::SharedAddress barrier(int index) { return at(Shape::kBarriersAt + 8 * index); }
  VARLEN_DEVICE static gpu::SharedAddress half_barrier(int kind, int half) {
    return barrier(kHalfBarriers + kind * Shape::kHalves + half);
  }
};

}  // namespace varlen::kernel
