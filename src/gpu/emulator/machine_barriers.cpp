// The machine's barriers: those in shared memory, which count arrivals and bytes, and the named ones of whole warps.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

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
  if (const auto fault = shared_.make_barrier(barrier.value, actor(self))) fail(self, Operation::kInitBarrier, *fault);
  Barrier made;
  made.arrivals = made.missing = arrivals;
  made.maker = self.index;
  made.made = warp_of(self).clock[static_cast<std::size_t>(self.index / kWarpThreads)];
  made.component = components_++;
  made.arriving = made.arrived = made.arriving_past = made.arrived_past = Clock(warps_.size(), 0);
  made.seen.resize(warps_.size());
  if (!barriers_.try_emplace(barrier.value, made).second) {
    fail(self, Operation::kInitBarrier, fmt::format("is at shared byte {}, where a barrier is", barrier.value));
  }
  events_.init_barrier(barrier.value, arrivals);
}

void Machine::fence_barriers() {
  for (auto& [address, barrier] : barriers_) barrier.fenced |= barrier.maker == running_->index;
}

Machine::Barrier& Machine::barrier_at(const Thread& thread, Operation operation, SharedAddress barrier) {
  const auto found = barriers_.find(barrier.value);
  if (found == barriers_.end()) {
    fail(thread, operation, fmt::format("is at shared byte {}, where no barrier is", barrier.value));
  }
  const Barrier& made = found->second;
  const Thread& maker = threads_[static_cast<std::size_t>(made.maker)];
  const std::uint32_t known = warp_of(thread).clock[static_cast<std::size_t>(made.maker / kWarpThreads)];
  const bool is_own_warp = &warp_of(thread) == &warp_of(maker);
  if (made.maker != thread.index && (is_own_warp ? known <= made.made : known < made.made)) {
    fail(thread, operation,
         fmt::format("is at shared byte {}, where thread {} made a barrier with no barrier since then", barrier.value,
                     made.maker));
  }
  return found->second;
}

Clock Machine::past_of(const Warp& warp) {
  Clock past = warp.clock;
  merge_clock(past, warp.past);
  return past;
}

void Machine::arrive_at(SharedAddress address, Barrier& barrier, const Clock& clock, const Clock& past) {
  merge_clock(barrier.arriving, clock);
  merge_clock(barrier.arriving_past, past);
  --barrier.missing;
  complete_phase_if_all_is_there(address, barrier);
}

/// A phase is about to be complete. Who has waited for the one before must have said since then that it has gone on: it
/// might still wait, and from now on for ever. (PTX ISA: mbarrier.test_wait with a parity tells the phase that is under
/// way from the one before it, and no others.) It does not matter here what memory it has made visible: a commit of
/// products tells others nothing of its thread's, but it comes after.
void Machine::check_seen(SharedAddress address, const Barrier& barrier) {
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    const Seen& seen = barrier.seen[w];
    if (seen.phase != std::int64_t{barrier.phases} - 1 || barrier.arriving_past[w] >= seen.time || error_ != nullptr)
      continue;
    error_ = fault(threads_[w * kWarpThreads], Operation::kWaitFor,
                   fmt::format("for phase {} of {} may go on only after the next phase is "
                               "complete: nothing orders the two",
                               seen.phase, barrier_name(address.value, launch_.barrier_names)));
  }
}

void Machine::complete_phase_if_all_is_there(SharedAddress address, Barrier& barrier) {
  if (barrier.missing > 0 || barrier.missing_bytes != 0) return;
  check_seen(address, barrier);
  barrier.missing = barrier.arrivals;
  ++barrier.phases;
  if (barrier.arriving.size() <= barrier.component) barrier.arriving.resize(barrier.component + 1, 0);
  barrier.arriving[barrier.component] = barrier.phases;
  barrier.arrived = barrier.arriving;
  barrier.arrived_past = barrier.arriving_past;
  for (const Thread* thread : barrier.waiting) {
    warp_of(*thread).runnable |= lane_bit(*thread);
    note_seen(barrier, *thread);
  }
  barrier.waiting.clear();
}

/// The last of a warp's lanes counts: they need not go on together.
void Machine::note_seen(Barrier& barrier, const Thread& thread) {
  const auto w = static_cast<std::size_t>(thread.index / kWarpThreads);
  barrier.seen[w] = {std::int64_t{barrier.phases} - 1, warp_of(thread).clock[w]};
}

void Machine::arrive_expecting(SharedAddress barrier, std::uint32_t bytes) {
  maybe_switch();
  Thread& self = *running_;
  Warp& warp = warp_of(self);
  Barrier& reached = barrier_at(self, Operation::kArrive, barrier);
  if (reached.missing == 0) {
    fail(self, Operation::kArrive,
         fmt::format("is one more than the {} arrivals of {}", reached.arrivals,
                     barrier_name(barrier.value, launch_.barrier_names)));
  }
  reached.missing_bytes += bytes;
  arrive_at(barrier, reached, warp.clock, past_of(warp));
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
  merge_clock(warp_of(self).past, waited.arrived_past);
  note_seen(waited, self);
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
  if (std::find(barrier.arrived.begin(), barrier.arrived.end(), &self) != barrier.arrived.end()) {
    fail(self, operation, fmt::format("of barrier {} comes a second time before the others have arrived", id));
  }
  merge_clock(barrier.clock, warp_of(self).clock);
  merge_clock(barrier.past, past_of(warp_of(self)));
  barrier.arrived.push_back(&self);
  const bool is_last = std::ssize(barrier.arrived) == threads;
  if (operation == Operation::kArriveThreads) observe(operation, named_barrier(id));
  events_.arrive_named(id, self.index, is_last);
  if (!is_last) return false;
  for (const Thread* thread : barrier.waiting) {
    warp_of(*thread).runnable |= lane_bit(*thread);
    merge_clock(warp_of(*thread).clock, barrier.clock);
    merge_clock(warp_of(*thread).past, barrier.past);
  }
  barrier.waiting.clear();
  barrier.arrived.clear();
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
    merge_clock(warp_of(self).past, barrier.past);
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
