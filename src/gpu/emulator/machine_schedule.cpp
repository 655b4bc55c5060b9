// Which fiber goes on when one stops, and when copies land, if the order is not the fixed one.
#include <bit>
#include <utility>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/operations.hpp"

namespace varlen::gpu::emulator {

/// The rest of a warp's turn first, then the next turn.
Fiber& Machine::next_by_schedule() {
  if (running_ != nullptr) {
    Warp& own = warp_of(*running_);
    if (own.runnable != 0) return next_lane(static_cast<std::size_t>(running_->index / kWarpThreads));
    own.runnable = std::exchange(own.paused, 0);
  }
  if (scheduler_.landing() == Scheduler::Landing::kEarly) {
    while (deliver_by_schedule()) {
    }
  } else if (scheduler_.landing() == Scheduler::Landing::kUnordered) {
    while (scheduler_.lands_one() && deliver_by_schedule()) {
    }
  }
  for (;;) {
    std::uint32_t runnable = 0;
    for (std::size_t w = 0; w < warps_.size(); ++w) runnable |= (warps_[w].runnable != 0 ? 1U : 0U) << w;
    if (runnable != 0) {
      const Turn turn = scheduler_.next_turn(runnable);
      Warp& warp = warps_[static_cast<std::size_t>(turn.warp)];
      warp.turn.fill(turn.operations);
      warp.first_lane = turn.first_lane;
      return next_lane(static_cast<std::size_t>(turn.warp));
    }
    if (!deliver_by_schedule()) return main_;
  }
}

/// Of a warp with runnable lanes.
Fiber& Machine::next_lane(std::size_t warp) {
  const std::uint32_t first = warps_[warp].first_lane;
  const auto after_first =
      static_cast<std::uint32_t>(std::countr_zero(std::rotr(warps_[warp].runnable, static_cast<int>(first))));
  return threads_[warp * kWarpThreads + (first + after_first) % kWarpThreads];
}

/// The lane's turn may be over. What it does from here on is then later than all that others do meanwhile.
void Machine::count_operation() {
  Thread& self = *running_;
  Warp& warp = warp_of(self);
  if (scheduler_.landing() == Scheduler::Landing::kEarly) {
    while (deliver_by_schedule()) {
    }
  }
  std::uint8_t& left = warp.turn[static_cast<std::size_t>(self.index % kWarpThreads)];
  if (left == 0) {
    warp.runnable &= ~lane_bit(self);
    warp.paused |= lane_bit(self);
    resume(self, next_fiber());
    running_ = &self;
    if (stopping_) throw Stopped{};
  }
  --left;
}

/// Copies in flight of threads (PTX ISA: cp.async) arrive at a barrier when all that their thread has started before
/// have arrived, too (cp.async.mbarrier.arrive); between boxes there is no order at all (cp.async.bulk.tensor, "no
/// ordering guarantee"). False if there are none.
bool Machine::deliver_by_schedule() {
  if (deliveries_.empty()) return false;
  std::size_t which = scheduler_.next_copy(deliveries_.size());
  if (deliveries_[which].box_bytes == 0) {
    const int thread = deliveries_[which].thread;
    std::size_t oldest = 0;
    while (deliveries_[oldest].box_bytes != 0 || deliveries_[oldest].thread != thread) ++oldest;
    which = oldest;
  }
  deliver(which);
  return true;
}

}  // namespace varlen::gpu::emulator
