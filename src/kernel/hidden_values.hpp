// Values of keys that no row of a tile sees. A product multiplies them by weights of 0, which makes NaN of NaN and of
// infinity: they are cleared before. Only the first step of a sliding window has such keys, mostly.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/pipeline.hpp"
#include "kernel/row_range.hpp"

namespace varlen::kernel {

/// Clears them where nothing else passes over the values; wideners leave them out. By one warp.
template <class Memory>
class HiddenValues {
  using Shape = typename Memory::Shape;

 public:
  /// Of all items, by a warp that does nothing else.
  VARLEN_DEVICE static void run() {
    HiddenValues values;
    for_each_work<Memory>([&](const TileWork& work, gpu::SharedAddress) { values.clear(work); });
  }

  VARLEN_DEVICE void clear(const TileWork& work) {
    std::int32_t hidden = work.hidden_keys();
    for (std::int32_t keys = work.keys; keys > 0; keys -= Shape::kKeys) {
      if (hidden > 0) clear_step({hidden, keys});
      hidden -= Shape::kKeys;
      steps_.advance();
    }
  }

 private:
  /// Rows past the item's keys as well: they may be copies of hidden ones (Loader::load_step()).
  VARLEN_DEVICE void clear_step(const RowRange& shown) {
    const int stage = steps_.value_stage();
    const auto values = steps_.values();
    // A phase of this barrier ends only in steps with hidden keys, so its parity is not that of the ring.
    wait_together(Memory::value_landed(stage), landed_parities_ >> stage & 1U);
    landed_parities_ ^= 1U << stage;
    for (int row = gpu::lane_index(); row < Shape::kKeys; row += gpu::kWarpThreads) {
      if (!shown.contain(row)) values.matrix.clear_row(row);
    }
    gpu::fence_shared_for_products();
    arrive_together(values.full);
  }

  typename Memory::Steps steps_;
  std::uint32_t landed_parities_ = 0;  // by stage
};

}  // namespace varlen::kernel
