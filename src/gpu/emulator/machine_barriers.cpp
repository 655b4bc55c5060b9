// The machine's barriers: those in shared memory, which count arrivals and bytes, and the named ones of whole warps.
#include <fmt/format.h>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/operations.hpp"

namespace varlen::gpu::emulator {

void Machine::init_barrier(SharedAddress barrier, int arrivals) {
  const Thread& self = *running_;
  check_aligned(self, Operation::kInitBarrier, barrier.value, 8, "shared");
  if (barrier.value + 8 > launch_.shared_bytes) {
    fail(self, Operation::kInitBarrier,
         fmt::format("is at shared byte {}, of which the block has {}", barrier.value, launch_.shared_bytes));
  }
  if (arrivals <= 0) fail(self, Operation::kInitBarrier, fmt::format("has {} arrivals", arrivals));
  const Clock none(warps_.size(), 0);
  if (!barriers_.try_emplace(barrier.value, Barrier{arrivals, arrivals, 0, 0, none, none, {}}).second) {
    fail(self, Operation::kInitBarrier, fmt::format("is at shared byte {}, where a barrier is", barrier.value));
  }
  events_.init_barrier(barrier.value, arrivals);
}

Machine::Barrier& Machine::barrier_at(const Thread& thread, Operation operation, SharedAddress barrier) {
  const auto found = barriers_.find(barrier.value);
  if (found == barriers_.end()) {
    fail(thread, operation, fmt::format("is at shared byte {}, where no barrier is", barrier.value));
  }
  return found->second;
}

void Machine::arrive_at(Barrier& barrier, const Clock& clock) {
  merge_clock(barrier.arriving, clock);
  --barrier.missing;
  complete_phase_if_all_is_there(barrier);
}

void Machine::complete_phase_if_all_is_there(Barrier& barrier) {
  if (barrier.missing > 0 || barrier.missing_bytes != 0) return;
  barrier.missing = barrier.arrivals;
  ++barrier.phases;
  barrier.arrived = barrier.arriving;
  for (const Thread* thread : barrier.waiting) warp_of(*thread).runnable |= lane_bit(*thread);
  barrier.waiting.clear();
}

void Machine::arrive_expecting(SharedAddress barrier, std::uint32_t bytes) {
  maybe_switch();
  Thread& self = *running_;
  Warp& warp = warp_of(self);
  Barrier& reached = barrier_at(self, Operation::kArrive, barrier);
  if (reached.missing == 0) {
    fail(self, Operation::kArrive,
         fmt::format("is one more than the {} arrivals of the barrier at shared byte {}", reached.arrivals,
                     barrier.value));
  }
  reached.missing_bytes += bytes;
  arrive_at(reached, warp.clock);
  observe(Operation::kArrive, barrier.value, bytes);
  observe_arrival(barrier.value, reached.phases);
  tick(warp);
}

void Machine::wait_for(SharedAddress barrier, std::uint32_t parity) {
  maybe_switch();
  Thread& self = *running_;
  Barrier& waited = barrier_at(self, Operation::kWaitFor, barrier);
  if (parity > 1) fail(self, Operation::kWaitFor, fmt::format("has the parity {}", parity));
  while (waited.phases % 2 == parity) {
    waited.waiting.push_back(&self);
    self.waiting_for = barrier.value;
    wait(Operation::kWaitFor);
  }
  merge_clock(warp_of(self).clock, waited.arrived);
  observe(Operation::kWaitFor, barrier.value, parity);
}

/// True if this completes the barrier.
bool Machine::arrive_at_named(Operation operation, int id, int threads) {
  const Thread& self = *running_;
  if (id < 1 || id > 15) fail(self, operation, fmt::format("has the id {}, which is not from 1 to 15", id));
  NamedBarrier& barrier = named_barriers_[static_cast<std::size_t>(id)];
  if (barrier.threads != 0 && barrier.threads != threads) {
    fail(self, operation,
         fmt::format("of barrier {} counts {} threads, but others count {}", id, threads, barrier.threads));
  }
  barrier.threads = threads;
  merge_clock(barrier.clock, warp_of(self).clock);
  if (operation == Operation::kArriveThreads) observe(operation, named_barrier(id));
  events_.arrive_named(id, self.index, barrier.arrived + 1 == threads);
  if (++barrier.arrived < threads) return false;
  for (const Thread* thread : barrier.waiting) {
    warp_of(*thread).runnable |= lane_bit(*thread);
    merge_clock(warp_of(*thread).clock, barrier.clock);
  }
  barrier.waiting.clear();
  barrier.arrived = 0;
  barrier.threads = 0;
  return true;
}

void Machine::sync_threads(int id, int threads) {
  maybe_switch();
  Thread& self = *running_;
  const bool complete = arrive_at_named(Operation::kSyncThreads, id, threads);
  NamedBarrier& barrier = named_barriers_[static_cast<std::size_t>(id)];
  if (complete) {
    merge_clock(warp_of(self).clock, barrier.clock);
    observe(Operation::kSyncThreads, named_barrier(id));
  } else {
    barrier.waiting.push_back(&self);
    self.waiting_for = named_barrier(id);
    wait(Operation::kSyncThreads);
  }
  tick(warp_of(self));
}

void Machine::arrive_threads(int id, int threads) {
  maybe_switch();
  arrive_at_named(Operation::kArriveThreads, id, threads);
  tick(warp_of(*running_));
}

}  // namespace varlen::gpu::emulator
