// The wideners of forward_tcgen05: values of fp8 become fp16. They are the finishers, between two items' results.
//
// Scores are products of fp8 as it is. But weights of fp8 would be off by up to 2^-4, and small ones lost, which a row
// of many keys is made of. So weights are fp16, and what they are multiplied by must be, too; fp16 holds every value.
#pragma once

#include <cstdint>

#include "gpu/tensor_operations.hpp"
#include "kernel/row_range.hpp"
#include "kernel/tcgen05_memory.hpp"
#include "kernel/widen_row.hpp"

namespace varlen::kernel {

template <class Shape>
class Tcgen05Widener {
  using Memory = Tcgen05Memory<Shape>;
  using Narrow = typename Shape::Values;
  using Wide = typename Shape::MultipliedValues;
  static constexpr int kBarrier = 1;  // the only named one
  static_assert(Shape::kKeys == gpu::kWarpgroupThreads);

 public:
  /// All values of an item. Each thread has one key of every step.
  VARLEN_DEVICE void widen(const TileWork& work) {
    std::int32_t hidden = work.hidden_keys();
    for (std::int32_t keys = work.keys; keys > 0; keys -= Shape::kKeys) {
      const Stage<Narrow> narrow = steps_.values();
      const Stage<Wide> wide = wide_.values();
      wait_together(narrow.full, narrow.parity);
      wait_together(wide.empty, wide.parity ^ 1U);
      const RowRange shown = {greatest(hidden, 0), keys};
      hidden -= Shape::kKeys;
      if (shown.contain(key())) {
        widen_row(narrow.matrix, wide.matrix, key());
      } else {
        wide.matrix.clear_row(key());  // of keys that the item does not have, too: products read them
      }
      gpu::fence_shared_for_products();
      arrive_together(wide.full);
      gpu::sync_threads(kBarrier, gpu::kWarpgroupThreads);  // all four warps have read the step's values
      if (key() == 0) gpu::arrive(narrow.empty);
      steps_.advance();
      wide_.advance();
    }
  }

 private:
  VARLEN_DEVICE static int key() { return gpu::thread_index() % gpu::kWarpgroupThreads; }

  typename Memory::Steps steps_;
  typename Memory::WideSteps wide_;
};

}  // namespace varlen::kernel
