// The wideners of forward_wgmma: queries, keys and values of fp8 become fp16, in the places where they have landed.
// Only there can wgmma have them from, and as fp8 it would sum them less exactly than attention needs
// (docs/decisions/0011-fp8-on-gpus.md).
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/pipeline.hpp"
#include "kernel/row_range.hpp"
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
      const RowRange loaded = {0, parameters_.boxes.queries.rows[work.box]};
      widen<false>(Memory::loaded_queries(queries_), Memory::queries(queries_.stage()),
                   Memory::query_full(queries_.stage()), loaded);
      queries_.advance();
      std::int32_t hidden = work.hidden_keys();
      for (std::int32_t keys = work.keys; keys > 0; keys -= Shape::kKeys) {
        const int stage = steps_.stage();
        widen<false>(steps_.keys(), Memory::keys(stage), Memory::key_full(stage), {0, Shape::kKeys});
        widen<true>(steps_.values(), Memory::values(stage), Memory::value_full(stage), {greatest(hidden, 0), keys});
        hidden -= Shape::kKeys;
        steps_.advance();
      }
    });
  }

 private:
  /// By the whole warp, each thread one row. With `kClears` the rows outside `rows` become zeros. Without, they keep
  /// what they hold, and no result depends on it.
  template <bool kClears, class Narrow, class Wide>
  VARLEN_DEVICE static void widen(const Stage<Narrow>& landed, const Wide& wide, gpu::SharedAddress full,
                                  const RowRange& rows) {
    const int row = gpu::thread_index() % gpu::kWarpgroupThreads;
    wait_together(landed.full, landed.parity);
    if (rows.contain(row)) {
      widen_row(landed.matrix, wide, row);
    } else if constexpr (kClears) {
      wide.clear_row(row);
    }
    gpu::fence_shared_for_products();
    arrive_together(full);
  }

  const ForwardParameters& parameters_;
  Ring<Shape::kQueryStages> queries_;
  typename Memory::Steps steps_;
};

}  // namespace varlen::kernel
