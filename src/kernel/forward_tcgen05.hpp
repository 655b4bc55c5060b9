// Attention by tcgen05, for Blackwell (sm_100a): blocks of sixteen warps draw items of the plan. Scores, weights and
// sums live in tensor memory; one warp issues all products, and every row has a thread of its own for its softmax. The
// division of labour is that of FlashAttention-4 but for its correction warps: the softmax warps themselves rescale
// sums, which is rare (docs/decisions/0010-who-rescales-sums.md). Items, boxes and the way to a tile's results are
// those of forward_wgmma.
//
// A tile has two halves of 128 rows, or one: nobody does anything for a half that does not exist.
//
//   warp            does                                                              file
//   0 … 3           weights of half 0                                                 tcgen05_softmax.hpp
//   4 … 7           weights of half 1                                                 tcgen05_softmax.hpp
//   8 … 11          results of half 0, then of half 1                                 tcgen05_finisher.hpp
//                   before, one of them clears values that no row sees                hidden_values.hpp
//                   of fp8: all of them bring values to fp16                          tcgen05_widener.hpp
//   12              issues products; allocates tensor memory                          tcgen05_products.hpp
//   13              loads queries, keys and values                                    box_producer.hpp
//   14              draws items and looks them up                                     box_producer.hpp
//   15              stores results                                                    box_producer.hpp
//
// Tensor memory, all 512 columns: scores of half h from column 128 h on, its 16-bit weights over the upper half of
// them, from 128 h + 64 on; its sums from 256 + 128 h on. Warp w reaches the rows from 32 (w % 4) on.
//
// Shared memory (tcgen05_memory.hpp): kQueryStages × queries, kStages × keys or values, of fp8 kWideStages × widened
// values, the states of all rows, kWorkSlots × TileWork, the address of tensor memory, then the barriers. A tile's
// results take the place of its queries, which is too small if they are fp8: then they go to global memory row by row.
// "Products" arrive by a commit: when all that were issued before are done.
//
//   barrier           arrivals                      protects
//   query_full[q]     loader, and bytes             queries of a tile, before the first product, and before results
//                                                   are written over them
//   result_full[q]    4 finisher warps              queries until nobody needs them; results before they are stored
//   query_empty[q]    storer                        results until they are stored and queries take their place
//   stage_full[s]     loader, and bytes; where      keys or values of one step
//                     keys are hidden, a finisher
//   value_landed[s]   loader, and bytes             values of hidden keys, before they are cleared (not of fp8)
//   stage_empty[s]    products of the last half     the same memory, until it is loaded again
//                     (values of fp8: a finisher)
//   wide_full[p]      4 finisher warps              widened values of one step, before they are multiplied (fp8 only)
//   wide_empty[p]     products of the last half     the same memory, until the next but one step's (fp8 only)
//   score_full[h]     products                      scores of one step; sums of the steps before, which are done
//   weight_full[h]    4 softmax warps of the half   weights, before they are multiplied; scores, until they are read;
//                                                   sums, until they are rescaled
//   out_full[h]       products                      sums of an item; the half's queries, until all scores are found
//   out_empty[h]      4 finisher warps              sums until they are read, before the next item's
//   state_full[h]     4 softmax warps of the half   reference and sum of each row
//   state_empty[h]    4 finisher warps              the same memory, until it is read
//   work_full[w]      scheduler                     what an item is
//   work_empty[w]     every lane of softmax,        the same memory, until the next but kWorkSlots − 1
//                     finishers, products, loader
//                     and storer
//   work_wanted       loader                        the next item from being drawn too early
//   1 (a named one)   every lane of the finishers   values of one step, until all of them have read them (fp8 only)
#pragma once

#include "gpu/tensor_operations.hpp"
#include "kernel/box_producer.hpp"
#include "kernel/tcgen05_finisher.hpp"
#include "kernel/tcgen05_memory.hpp"
#include "kernel/tcgen05_products.hpp"
#include "kernel/tcgen05_softmax.hpp"

namespace varlen::kernel {

inline constexpr int kProductWarp = 12;

/// What each warp does between the allocation of tensor memory and its end.
template <class Shape>
VARLEN_DEVICE void run_role(const ForwardParameters& parameters, gpu::TensorAddress tensor) {
  using Memory = Tcgen05Memory<Shape>;
  const int warp = gpu::warp_index();
  if (warp < 8) {
    gpu::take_registers<Shape::kSoftmaxRegisters>();
    Tcgen05Softmax<Shape>(parameters, tensor).run();
    return;
  }
  if (warp < kProductWarp) {
    gpu::give_back_registers<Shape::kFinisherRegisters>();
    Tcgen05Finisher<Shape>(parameters, tensor).run();
    return;
  }
  gpu::give_back_registers<Shape::kOtherRegisters>();
  switch (warp) {
    case kProductWarp:
      Tcgen05Products<Shape>(tensor).run();
      break;
    case 13:
      Loader<Memory>(parameters).run();
      break;
    case 14:
      Scheduler<Memory>::run(parameters);
      break;
    default:
      Storer<Memory>::run(parameters);
      break;
  }
}

/// Every thread of every block.
template <class Shape>
VARLEN_DEVICE void forward_tcgen05(const ForwardParameters& parameters) {
  using Memory = Tcgen05Memory<Shape>;
  if (gpu::thread_index() == 0) Memory::init_barriers();
  clear_queries<Shape>();
  if (gpu::warp_index() == kProductWarp) {
    gpu::allocate_tensor_memory(Memory::tensor_address(), gpu::kTensorColumns);
    gpu::give_up_tensor_allocation();
  }
  gpu::fence_tensor_before_sync();
  gpu::sync_block();  // all threads: barriers and tensor memory are there, queries are clear
  gpu::fence_tensor_after_sync();
  const gpu::TensorAddress tensor = gpu::load_tensor_address(Memory::tensor_address());
  run_role<Shape>(parameters, tensor);
  gpu::fence_tensor_before_sync();
  gpu::sync_block();  // all threads: nobody uses tensor memory any more
  gpu::fence_tensor_after_sync();
  if (gpu::warp_index() == kProductWarp) gpu::free_tensor_memory(tensor, gpu::kTensorColumns);
}

}  // namespace varlen::kernel
