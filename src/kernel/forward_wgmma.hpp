// Attention by wgmma, for Hopper (sm_90a): blocks of three warpgroups draw items of the plan. One warpgroup, the
// producer, draws, loads and stores; two consumers of 64 rows each multiply. A fourth one makes fp16 of fp8. The
// division of labour, the order of a consumer's steps and the products from registers are those of FlashAttention-3
// (arXiv:2407.08608). All that comes from tensors and most of what goes to them is copied by the tensor memory
// accelerator, in boxes that end where the request does (KeyBoxes).
//
//   warp            does                                                              file
//   0               loads queries, keys and values                                    box_producer.hpp
//   1               draws items and looks them up                                     box_producer.hpp
//   2               stores results                                                    box_producer.hpp
//   3               with windows: clears values that no row of the tile sees          hidden_values.hpp
//                   (not of fp8, where wideners do)
//   4 … 11          scores, weights and sums of their 16 rows                         wgmma_consumer.hpp
//   12 … 15         of fp8: what has landed to fp16                                   wgmma_widener.hpp
//
// Shared memory (wgmma_memory.hpp): kQueryStages × queries, kStages × keys, kStages × values, kWorkSlots × TileWork,
// then the barriers. A tile's results take the place of its queries. A stage is full when its copies have landed (and,
// of fp8, have been widened), and empty when all warps of the consumers are done with it:
//
//   barrier           arrivals                      protects
//   query_full[q]     loader, and bytes             queries of a tile, before the consumers' first product
//                     (of fp8: 4 wideners)
//   result_full[q]    8 consumer warps              queries until nobody needs them; results before they are stored
//   query_empty[q]    storer                        results until they are stored and queries take their place
//   key_full[s]       loader, and bytes             one step's keys
//                     (of fp8: 4 wideners)
//   key_empty[s]      8 consumer warps              the same memory, from the step's scores on
//   value_full[s]     like key_full; where keys     one step's values
//                     are hidden, warp 3
//   value_empty[s]    8 consumer warps              the same memory, from the step's sums on
//   query_landed[q],  loader, and bytes             the same memory, before it is widened (fp8 only)
//   key_landed[s]
//   value_landed[s]   loader, and bytes             values of hidden keys, before they are cleared; of fp8, all values
//   work_full[w]      scheduler                     what an item is
//   work_empty[w]     every lane of consumers,      the same memory, until the next but kWorkSlots − 1
//                     wideners or warp 3, loader,
//                     storer
//   work_wanted       loader                        the next item from being drawn too early
//   turn (1 + c)      256 consumer threads          consumer c's turn to give the tensor cores work
//   results (3 + c)   128 threads of consumer c     its queries, before results take their place
#pragma once

#include "gpu/operations.hpp"
#include "kernel/box_producer.hpp"
#include "kernel/hidden_values.hpp"
#include "kernel/pipeline.hpp"
#include "kernel/wgmma_consumer.hpp"
#include "kernel/wgmma_memory.hpp"
#include "kernel/wgmma_widener.hpp"

namespace varlen::kernel {

/// Every thread of every block.
template <class Shape>
VARLEN_DEVICE void forward_wgmma(const ForwardParameters& parameters) {
  using Memory = WgmmaMemory<Shape>;
  const bool clears_values = Shape::kClearsValues && may_hide_keys(parameters);
  if (gpu::thread_index() == 0) Memory::init_barriers(clears_values);
  clear_queries<Shape>();
  gpu::sync_block();  // all threads: the barriers are there, queries are clear
  const int warpgroup = gpu::thread_index() / gpu::kWarpgroupThreads;
  if (1 <= warpgroup && warpgroup <= Shape::kConsumers) {
    gpu::take_registers<Shape::kConsumerRegisters>();
    WgmmaConsumer<Shape>(parameters).run();
    return;
  }
  gpu::give_back_registers<Shape::kProducerRegisters>();
  if constexpr (Shape::kWidens) {
    if (warpgroup > Shape::kConsumers) {
      WgmmaWidener<Shape>(parameters).run();
      return;
    }
  }
  switch (gpu::warp_index()) {
    case 0:
      Loader<Memory>(parameters).run();
      break;
    case 1:
      Scheduler<Memory>::run(parameters);
      break;
    case 2:
      Storer<Memory>::run(parameters);
      break;
    default:
      if constexpr (Shape::kClearsValues) {
        if (clears_values) HiddenValues<Memory>::run();
      }
      break;
  }
}

}  // namespace varlen::kernel
