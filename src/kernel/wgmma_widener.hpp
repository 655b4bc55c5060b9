// The wideners of forward_wgmma: queries, keys and values of fp8 become fp16, in the places where they have landed.
// Only there can wgmma have them from, and as fp8 it would sum them less exactly than attention needs
// (docs/decisions/0011-fp8-on-gpus.md).
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/hidden_values.hpp"
#include "kernel/pipeline.hpp"
#include "kernel/wgmma_memory.hpp"
#include "kernel/widen_row.hpp"

namespace varlen::kernel {

template <class Shape>
class WgmmaWidener {
  using Memory = WgmmaMemory<Shape>;
  static_assert(Shape::kRows == gpu::kWarpgroupThreads && Shape::kKeys == gpu::kWarpgroupThreads);

 public:
  VARLEN_DEVICE explicit WgmmaWidener(const ForwardParameters& parameters) : parameters_(parameters) {}

  VARLEN_DEVICE void run() {
    for_each_work<Memory>([&](const TileWork& work, gpu::SharedAddress) {
      if (work.keys == 0) return;
      widen(Memory::loaded_queries(queries_), Memory::queries(queries_.stage()), Memory::query_full(queries_.stage()),
            parameters_.boxes.queries.rows[work.box]);
      queries_.advance();
      std::int32_t hidden = work.hidden_keys();
      for (std::int32_t keys = work.keys; keys > 0; keys -= Shape::kKeys) {
        const int stage = steps_.stage();
        widen(steps_.keys(), Memory::keys(stage), Memory::key_full(stage), Shape::kKeys);
        if (hidden > 0) clear_hidden_values(shown_values<Shape>(hidden, keys));
        hidden -= Shape::kKeys;
        widen(steps_.values(), Memory::values(stage), Memory::value_full(stage), Shape::kKeys);
        steps_.advance();
      }
    });
  }

 private:
  VARLEN_DEVICE static int row() { return gpu::thread_index() % gpu::kWarpgroupThreads; }

  /// Before they are widened. By the whole warp, each thread one row.
  VARLEN_DEVICE void clear_hidden_values(const RowRange& shown) const {
    const auto values = steps_.values();
    wait_together(values.full, values.parity);
    if (!shown.contain(row())) values.matrix.clear_row(row());
  }

  /// By the whole warp, each thread one row. Rows that were not loaded are not widened: they are zeros, or what was
  /// there before.
  template <class Narrow, class Wide>
  VARLEN_DEVICE static void widen(const Stage<Narrow>& landed, const Wide& wide, gpu::SharedAddress full,
                                  std::int32_t loaded_rows) {
    wait_together(landed.full, landed.parity);
    if (row() < loaded_rows) widen_row(landed.matrix, wide, row());
    gpu::fence_shared_for_products();
    arrive_together(full);
  }

  const ForwardParameters& parameters_;
  Ring<Shape::kQueryStages> queries_;
  typename Memory::Steps steps_;
};

}  // namespace varlen::kernel
