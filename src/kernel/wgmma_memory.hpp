// The shape of a forward_wgmma, and where everything lies in its shared memory.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/operands.hpp"
#include "kernel/panel_memory.hpp"
#include "kernel/parameters.hpp"
#include "kernel/pipeline.hpp"
#include "kernel/tile_work.hpp"

namespace varlen::kernel {

/// Element: gpu::Float16, gpu::BFloat16 or gpu::Float8E4M3. Head dims are upper bounds, a multiple of 64 each: columns
/// past a batch's own are zeros in shared memory.
template <class Element_, int kDimQk_, int kDimVo_>
struct ForwardWgmmaShape {
  using Element = Element_;
  static constexpr bool kWidens = gpu::kElementBytes<Element> == 1;  // wgmma_widener.hpp
  static constexpr int kDimQk = kDimQk_;
  static constexpr int kDimVo = kDimVo_;
  static constexpr int kConsumers = 2;
  static constexpr int kConsumerRows = 64;
  static constexpr int kRows = kConsumers * kConsumerRows;
  static_assert(kRows == kWgmmaRows);
  static constexpr int kConsumerThreads = kConsumers * gpu::kWarpgroupThreads;
  static constexpr int kConsumerWarps = kConsumerThreads / gpu::kWarpThreads;
  static constexpr int kWidenerThreads = kWidens ? gpu::kWarpgroupThreads : 0;
  static constexpr bool kClearsValues = !kWidens;  // hidden_values.hpp; wideners clear what they widen
  static constexpr int kThreads = gpu::kWarpgroupThreads + kConsumerThreads + kWidenerThreads;
  static constexpr int kKeys = wgmma_keys(kDimVo);  // in one step
  static constexpr int kStages = kDimQk <= 64 ? 4 : 2;
  static constexpr int kQueryStages = kDimQk <= 128 ? 2 : 1;
  static constexpr int kWorkSlots = 4;
  // Of 65,536 registers.
  static constexpr int kProducerRegisters = kWidens ? 48 : 56;  // of wideners as well
  static constexpr int kConsumerRegisters = kWidens ? 208 : 224;
  // As they are multiplied, and in the same places before, as they are loaded.
  using Queries = PanelMatrix<kRows, kDimQk>;
  using Keys = PanelMatrix<kKeys, kDimQk>;
  using Values = PanelMatrix<kKeys, kDimVo>;
  using LoadedQueries = PanelMatrix<kRows, kDimQk, gpu::kElementBytes<Element>>;
  using LoadedKeys = PanelMatrix<kKeys, kDimQk, gpu::kElementBytes<Element>>;
  using LoadedValues = PanelMatrix<kKeys, kDimVo, gpu::kElementBytes<Element>>;
  using Results = PanelMatrix<kRows, kDimVo>;  // of two bytes, in place of the queries that they answer
  static_assert(kDimVo <= kDimQk);

  static constexpr int kKeysAt = kQueryStages * Queries::kBytes;
  static constexpr int kValuesAt = kKeysAt + kStages * Keys::kBytes;
  static constexpr int kWorkAt = kValuesAt + kStages * Values::kBytes;
  static constexpr int kBarriersAt = kWorkAt + kWorkSlots * static_cast<int>(sizeof(TileWork));
  static constexpr int kLandedBarriers = kWidens ? kQueryStages + 2 * kStages : kStages;
  static constexpr int kBarriers = 3 * kQueryStages + 4 * kStages + 2 * kWorkSlots + 1 + kLandedBarriers;
  static constexpr int kSharedBytes = kBarriersAt + 8 * kBarriers;
  static_assert(kSharedBytes <= 232448);
};

template <class Shape_>
struct WgmmaMemory {
  using Shape = Shape_;
  static constexpr bool kEmptiedByCommits = false;

  VARLEN_DEVICE static typename Shape::Queries queries(int stage) { return {at(stage * Shape::Queries::kBytes)}; }
  VARLEN_DEVICE static typename Shape::Results results(int stage) { return {at(stage * Shape::Queries::kBytes)}; }
  VARLEN_DEVICE static typename Shape::Keys keys(int stage) {
    return {at(Shape::kKeysAt + stage * Shape::Keys::kBytes)};
  }
  VARLEN_DEVICE static typename Shape::Values values(int stage) {
    return {at(Shape::kValuesAt + stage * Shape::Values::kBytes)};
  }
  VARLEN_DEVICE static gpu::SharedAddress work(int slot) {
    return at(Shape::kWorkAt + slot * static_cast<int>(sizeof(TileWork)));
  }

  // The barriers: forward_wgmma.hpp has a table of them.
  VARLEN_DEVICE static gpu::SharedAddress query_full(int stage) { return barrier(stage); }
  VARLEN_DEVICE static gpu::SharedAddress query_empty(int stage) { return barrier(Shape::kQueryStages + stage); }
  VARLEN_DEVICE static gpu::SharedAddress result_full(int stage) { return barrier(2 * Shape::kQueryStages + stage); }
  VARLEN_DEVICE static gpu::SharedAddress key_full(int stage) { return stage_barrier(0, stage); }
  VARLEN_DEVICE static gpu::SharedAddress key_empty(int stage) { return stage_barrier(1, stage); }
  VARLEN_DEVICE static gpu::SharedAddress value_full(int stage) { return stage_barrier(2, stage); }
  VARLEN_DEVICE static gpu::SharedAddress value_empty(int stage) { return stage_barrier(3, stage); }
  VARLEN_DEVICE static gpu::SharedAddress work_full(int slot) { return barrier(kWorkBarriers + slot); }
  VARLEN_DEVICE static gpu::SharedAddress work_empty(int slot) {
    return barrier(kWorkBarriers + Shape::kWorkSlots + slot);
  }
  VARLEN_DEVICE static gpu::SharedAddress work_wanted() { return barrier(kWorkBarriers + 2 * Shape::kWorkSlots); }
  // Copies have landed. Unless they are to be widened, that is all: they are full. Values of hidden keys are to be
  // cleared first (hidden_values.hpp): only then does a step use value_landed without wideners.
  VARLEN_DEVICE static gpu::SharedAddress query_landed(int stage) {
    return Shape::kWidens ? barrier(kLandedBarriers + stage) : query_full(stage);
  }
  VARLEN_DEVICE static gpu::SharedAddress key_landed(int stage) {
    return Shape::kWidens ? barrier(kLandedBarriers + Shape::kQueryStages + stage) : key_full(stage);
  }
  VARLEN_DEVICE static gpu::SharedAddress value_landed(int stage) {
    return barrier(kLandedBarriers + (Shape::kWidens ? Shape::kQueryStages + Shape::kStages : 0) + stage);
  }

  /// By one thread. `clears_values`: warp 3 reads items, too.
  VARLEN_DEVICE static void init_barriers(bool clears_values) {
    constexpr int kWideners = Shape::kWidenerThreads / gpu::kWarpThreads;
    constexpr int kFillers = Shape::kWidens ? kWideners : 1;
    for (int stage = 0; stage < Shape::kQueryStages; ++stage) {
      if constexpr (Shape::kWidens) gpu::init_barrier(query_landed(stage), 1);
      gpu::init_barrier(query_full(stage), kFillers);
      gpu::init_barrier(query_empty(stage), 1);
      gpu::init_barrier(result_full(stage), Shape::kConsumerWarps);
    }
    for (int stage = 0; stage < Shape::kStages; ++stage) {
      if constexpr (Shape::kWidens) gpu::init_barrier(key_landed(stage), 1);
      gpu::init_barrier(value_landed(stage), 1);
      gpu::init_barrier(key_full(stage), kFillers);
      gpu::init_barrier(key_empty(stage), Shape::kConsumerWarps);
      gpu::init_barrier(value_full(stage), kFillers);
      gpu::init_barrier(value_empty(stage), Shape::kConsumerWarps);
    }
    for (int slot = 0; slot < Shape::kWorkSlots; ++slot) {
      gpu::init_barrier(work_full(slot), 1);
      const int readers = 2 + Shape::kConsumerWarps + kWideners + (clears_values ? 1 : 0);
      gpu::init_barrier(work_empty(slot), readers * gpu::kWarpThreads);
    }
    gpu::init_barrier(work_wanted(), 1);
    gpu::fence_barriers();
  }

  /// Where the loader puts a tile's queries.
  VARLEN_DEVICE static Stage<typename Shape::LoadedQueries> loaded_queries(const Ring<Shape::kQueryStages>& ring) {
    const int stage = ring.stage();
    return {{queries(stage).base}, query_landed(stage), query_empty(stage), ring.parity()};
  }
  /// Where the loader puts a step's keys and values.
  class Steps {
   public:
    VARLEN_DEVICE int stage() const { return ring_.stage(); }
    VARLEN_DEVICE Stage<typename Shape::LoadedKeys> keys() const {
      return {{WgmmaMemory::keys(stage()).base}, key_landed(stage()), key_empty(stage()), ring_.parity()};
    }
    VARLEN_DEVICE Stage<typename Shape::LoadedValues> values() const {
      const gpu::SharedAddress full = Shape::kWidens ? value_landed(stage()) : value_full(stage());
      return {{WgmmaMemory::values(stage()).base}, full, value_empty(stage()), ring_.parity()};
    }
    VARLEN_DEVICE int value_stage() const { return stage(); }
    VARLEN_DEVICE void advance() { ring_.advance(); }

   private:
    Ring<Shape::kStages> ring_;
  };

 private:
  static constexpr int kStageBarriers = 3 * Shape::kQueryStages;
  static constexpr int kWorkBarriers = kStageBarriers + 4 * Shape::kStages;
  static constexpr int kLandedBarriers = kWorkBarriers + 2 * Shape::kWorkSlots + 1;

  VARLEN_DEVICE static gpu::SharedAddress at(int bytes) {
    return gpu::shared_memory() + static_cast<std::uint32_t>(bytes);
  }
  VARLEN_DEVICE static gpu::SharedAddress barrier(int index) { return at(Shape::kBarriersAt + 8 * index); }
  VARLEN_DEVICE static gpu::SharedAddress stage_barrier(int kind, int stage) {
    return barrier(kStageBarriers + kind * Shape::kStages + stage);
  }
};

}  // namespace varlen::kernel
