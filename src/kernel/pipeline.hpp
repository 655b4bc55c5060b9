// How the warps of a block hand memory to each other: stages that are full and empty in turns.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/tile_work.hpp"

namespace varlen::kernel {

/// Which of kCount stages is next (or next but `ahead`), and the parity of the phase in which it becomes full.
template <int kCount>
class Ring {
 public:
  static_assert((kCount & (kCount - 1)) == 0);

  VARLEN_DEVICE int stage(std::uint32_t ahead = 0) const { return static_cast<int>((passed_ + ahead) % kCount); }
  VARLEN_DEVICE std::uint32_t parity(std::uint32_t ahead = 0) const { return (passed_ + ahead) / kCount % 2; }
  VARLEN_DEVICE void advance() { ++passed_; }

 private:
  std::uint32_t passed_ = 0;
};

/// The same for any number of stages.
template <int kCount>
class Cycle {
 public:
  VARLEN_DEVICE int stage() const { return stage_; }
  VARLEN_DEVICE std::uint32_t parity() const { return parity_; }
  VARLEN_DEVICE void advance() {
    if (++stage_ < kCount) return;
    stage_ = 0;
    parity_ ^= 1U;
  }

 private:
  int stage_ = 0;
  std::uint32_t parity_ = 0;
};

/// A matrix that becomes full in the phase of `parity`, and may be filled when it was empty in the one before.
template <class Matrix>
struct Stage {
  Matrix matrix;
  gpu::SharedAddress full;
  gpu::SharedAddress empty;
  std::uint32_t parity;
};

/// By every thread of the block: shared memory begins with the queries. Rows that no tile has are multiplied, too,
/// though nobody sees what becomes of them.
template <class Shape>
VARLEN_DEVICE void clear_queries() {
  for (int byte = 16 * gpu::thread_index(); byte < Shape::kQueryStages * Shape::Queries::kBytes;
       byte += 16 * Shape::kThreads) {
    gpu::store_shared(gpu::shared_memory() + static_cast<std::uint32_t>(byte), {});
  }
  gpu::fence_shared_for_products();
}

/// By the whole warp, before one of its lanes goes on for all: a lane that had not seen the phase by then might find
/// the next one complete as well, and wait for ever.
VARLEN_DEVICE void wait_together(gpu::SharedAddress barrier, std::uint32_t parity) {
  gpu::wait_for(barrier, parity);
  gpu::sync_warp();
}

/// By the whole warp, as one arrival, when all its lanes have done what the barrier tells of.
VARLEN_DEVICE void arrive_together(gpu::SharedAddress barrier) {
  gpu::sync_warp();
  if (gpu::lane_index() == 0) gpu::arrive(barrier);
}

/// Calls function(work, place) for the items that the block's scheduler has drawn, in order; `place` is where the work
/// is. By whole warps; each gives every item's place back when it is done with it.
template <class Memory, class Function>
VARLEN_DEVICE void for_each_work(const Function& function) {
  Ring<Memory::Shape::kWorkSlots> slots;
  for (;;) {
    gpu::wait_for(Memory::work_full(slots.stage()), slots.parity());
    const gpu::SharedAddress place = Memory::work(slots.stage());
    const TileWork work = load_work(place);
    if (work.rows == 0) return;
    gpu::enter_item(work.item, work.request);
    function(work, place);
    gpu::arrive(Memory::work_empty(slots.stage()));  // each lane for what it has read
    slots.advance();
  }
}

}  // namespace varlen::kernel
