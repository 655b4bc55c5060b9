// What the machine's threads do with memory: single accesses, copies that land later, and boxes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/tensor_map.hpp"

namespace varlen::gpu::emulator {

void Machine::access_global(Operation operation, const void* address, std::int64_t bytes, std::int64_t alignment,
                            Direction direction) {
  const Thread& self = *running_;
  check_aligned(self, operation, reinterpret_cast<std::uintptr_t>(address), alignment, "global");
  const auto fault = global_.access(address, bytes, direction, self.request);
  if (fault) fail(self, operation, fmt::format("of {} bytes {}", bytes, *fault));
  const auto race = global_.order(address, bytes, direction, {actor(self), block_, launches_});
  if (race) fail(self, operation, fmt::format("of {} bytes {}", bytes, *race));
  if (operation == Operation::kLoadGlobal || operation == Operation::kStoreGlobal) observe(operation);
}

void Machine::store_shared(SharedAddress to, const Words4& value) {
  maybe_switch();
  store_shared_by(*running_, Operation::kStoreShared, to, value);
  observe(Operation::kStoreShared, 0, to.value);
}

void Machine::store_shared_by(const Thread& thread, Operation operation, SharedAddress to, const Words4& value) {
  check_aligned(thread, operation, to.value, kGranuleBytes, "shared");
  const auto fault = shared_.write(to.value, actor(thread));
  if (fault) fail(thread, operation, *fault);
  std::memcpy(shared_.data(to.value), &value, kGranuleBytes);
}

Words4 Machine::load_shared(SharedAddress from) {
  maybe_switch();
  const Thread& self = *running_;
  check_aligned(self, Operation::kLoadShared, from.value, kGranuleBytes, "shared");
  const auto fault = shared_.read_alone(from.value, actor(self));
  if (fault) fail(self, Operation::kLoadShared, *fault);
  observe(Operation::kLoadShared, 0, from.value);
  Words4 value;
  std::memcpy(&value, shared_.data(from.value), kGranuleBytes);
  return value;
}

std::int64_t Machine::draw(std::int64_t* counter) {
  maybe_switch();
  access_global(Operation::kDraw, counter, sizeof(std::int64_t), sizeof(std::int64_t), Direction::kWrite);
  auto& own = draws_[static_cast<std::size_t>(block_)];
  if (own.empty()) return launch_.draws + *counter;
  const std::int64_t drawn = own.front();
  own.pop_front();
  observe(Operation::kDraw, 0, static_cast<std::uint32_t>(drawn));
  return drawn;
}

bool Machine::try_lock(std::uint32_t* lock) {
  maybe_switch();
  access_global(Operation::kTryLock, lock, sizeof(*lock), sizeof(*lock), Direction::kWrite);
  observe(Operation::kTryLock);
  return std::exchange(*lock, 1) == 0;
}

void Machine::copy_async(SharedAddress to, const void* from, bool present) {
  maybe_switch();
  Thread& self = *running_;
  check_aligned(self, Operation::kCopyAsync, to.value, kGranuleBytes, "shared");
  if (present) {
    access_global(Operation::kCopyAsync, from, kGranuleBytes, kGranuleBytes, Direction::kRead);
  } else {
    check_aligned(self, Operation::kCopyAsync, reinterpret_cast<std::uintptr_t>(from), kGranuleBytes, "global");
  }
  const auto fault = shared_.begin_copy(to.value, actor(self));
  if (fault) fail(self, Operation::kCopyAsync, *fault);
  self.copies.push_back({to.value, present ? from : nullptr, self.groups});
  observe(Operation::kCopyAsync, 0, to.value);
}

void Machine::bring(const AsyncCopy& copy) {
  if (copy.from == nullptr) {
    std::memset(shared_.data(copy.to), 0, kGranuleBytes);
  } else {
    std::memcpy(shared_.data(copy.to), copy.from, kGranuleBytes);
  }
}

void Machine::copy_async_wait(int pending) {
  maybe_switch();
  Thread& self = *running_;
  std::size_t arrived = 0;
  for (; arrived < self.copies.size() && self.copies[arrived].group < self.groups - pending; ++arrived) {
    bring(self.copies[arrived]);
    shared_.arrive(self.copies[arrived].to, actor(self));
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + static_cast<std::ptrdiff_t>(arrived));
}

void Machine::copy_async_arrive(SharedAddress barrier) {
  maybe_switch();
  Thread& self = *running_;
  barrier_at(self, Operation::kCopyAsyncArrive, barrier);
  Warp& warp = warp_of(self);
  deliveries_.push_back({std::exchange(self.copies, {}), 0, barrier.value, self.index, warp.clock, 0, past_of(warp)});
  observe_copy(Operation::kCopyAsyncArrive);
  tick(warp);
}

void Machine::deliver(std::size_t which) {
  const Delivery delivery = std::move(deliveries_[which]);
  deliveries_.erase(deliveries_.begin() + static_cast<std::ptrdiff_t>(which));
  Barrier& barrier = barriers_.at(delivery.barrier);
  if (delivery.commit > 0) {
    do_tensor_products(delivery.commit);
    Clock done(tensor_commits_ + 1, 0);
    done[tensor_commits_] = delivery.commit;
    merge_clock(done, delivery.clock);
    barrier.committed = barrier.phases;
    arrive_at({delivery.barrier}, barrier, done, delivery.past);
    events_.arrive(delivery.barrier, delivery.thread, true, barrier.phases);
    return;
  }
  const LandedWith landing{delivery.thread, barrier.component, barrier.phases + 1};
  for (const AsyncCopy& copy : delivery.copies) {
    bring(copy);
    if (delivery.box_bytes > 0) {
      shared_.land_for_products(copy.to, landing);
    } else {
      shared_.land(copy.to, landing);
    }
  }
  if (delivery.box_bytes == 0) {
    // All that its thread had started before has landed as well. (PTX ISA: cp.async.mbarrier.arrive.)
    Clock& landed = threads_[static_cast<std::size_t>(delivery.thread)].landed;
    landed.resize(std::max(landed.size(), landing.component + 1), 0);
    landed[landing.component] = landing.phase;
    merge_clock(barrier.arriving, landed);
    arrive_at({delivery.barrier}, barrier, delivery.clock, delivery.past);
  } else {
    // Boxes tell those who wait for them nothing else of the thread that asked for them.
    barrier.missing_bytes -= delivery.box_bytes;
    complete_phase_if_all_is_there({delivery.barrier}, barrier);
  }
  events_.arrive(delivery.barrier, delivery.thread, true, barrier.phases);
  events_.land({delivery.issued, 0, delivery.box_bytes, delivery.barrier, delivery.thread});
}

Box Machine::box_at(Operation operation, const TensorMap& map, const BoxPlace& place, SharedAddress shared) const {
  const Thread& self = *running_;
  check_aligned(self, operation, shared.value, 1024, "shared");
  const Box box = decode_tensor_map(map);
  if (!box.touches_tensor(place)) {
    fail(self, operation,
         fmt::format("is of a box at ({}) that lies wholly outside of the tensor of ({})", fmt::join(place, ", "),
                     fmt::join(box.sizes, ", ")));
  }
  return box;
}

void Machine::load_box(SharedAddress to, const TensorMap& map, const BoxPlace& place, SharedAddress barrier) {
  maybe_switch();
  constexpr Operation kLoad = Operation::kLoadBox;
  Thread& self = *running_;
  if (!barrier_at(self, kLoad, barrier).fenced) {
    fail(self, kLoad,
         fmt::format("is to arrive at {}, which was made with no fence_barriers since then",
                     barrier_name(barrier.value, launch_.barrier_names)));
  }
  Warp& warp = warp_of(self);
  Delivery delivery{{}, 0, barrier.value, self.index, warp.clock};
  const Actor self_actor = actor(self);
  box_at(kLoad, map, place, to).visit_chunks(place, [&](std::int64_t offset, std::uintptr_t address) {
    const auto* const from = reinterpret_cast<const void*>(address);
    if (from != nullptr) access_global(kLoad, from, kGranuleBytes, kGranuleBytes, Direction::kRead);
    const std::uint32_t granule = swizzled(to.value + static_cast<std::uint32_t>(offset));
    if (shared_.is_written(granule)) check_fenced(self, kLoad, granule);
    const auto fault = shared_.begin_copy(granule, self_actor);
    if (fault) fail(self, kLoad, *fault);
    delivery.copies.push_back({granule, from, 0});
    delivery.box_bytes += kGranuleBytes;
  });
  deliveries_.push_back(std::move(delivery));
  observe_copy(kLoad);
  tick(warp);
}

/// Takes the bytes when they are waited for, and watches that nobody changes them until then.
void Machine::store_box(const TensorMap& map, const BoxPlace& place, SharedAddress from) {
  maybe_switch();
  constexpr Operation kStore = Operation::kStoreBox;
  Thread& self = *running_;
  const Actor self_actor = actor(self);
  if (!Box::may_be_stored(place)) {
    fail(self, kStore, fmt::format("is of a box at ({}) that begins before the tensor", fmt::join(place, ", ")));
  }
  box_at(kStore, map, place, from).visit_chunks(place, [&](std::int64_t offset, std::uintptr_t address) {
    if (address == 0) return;
    const std::uint32_t granule = swizzled(from.value + static_cast<std::uint32_t>(offset));
    const auto fault = shared_.read_alone(granule, self_actor);
    if (fault) fail(self, kStore, *fault);
    check_fenced(self, kStore, granule);
    auto* const to = reinterpret_cast<void*>(address);
    access_global(kStore, to, kGranuleBytes, kGranuleBytes, Direction::kWrite);
    shared_.begin_store(granule);
    self.stores.push_back({granule, to});
  });
  observe(kStore, 0, from.value);
}

void Machine::fence_shared_for_products() {
  running_->seen_writes = shared_.writes();
  running_->seen = warp_of(*running_).clock;
}

/// Products and boxes access shared memory by the asynchronous proxy. What the generic proxy wrote there needs a fence
/// between the two, by whoever wrote or, in order after the write, by whoever asks for the access. (PTX ISA:
/// fence.proxy.async.)
void Machine::check_fenced(const Thread& reader, Operation operation, std::uint32_t address) const {
  const int writer = shared_.writer(address);
  if (thread(writer).seen_writes >= shared_.write_number(address)) return;
  if (!reader.seen.empty() &&
      shared_.is_written_before(address, {reader.index, reader.index / kWarpThreads, &reader.seen})) {
    return;
  }
  fail(reader, operation,
       fmt::format("{} shared byte {}, which thread {} wrote with no fence_shared_for_products since then",
                   operation == Operation::kLoadBox ? "writes" : "reads", address, writer));
}

void Machine::store_box_wait() {
  maybe_switch();
  for (const BoxStore& store : running_->stores) {
    std::memcpy(store.to, shared_.data(store.from), kGranuleBytes);
    shared_.end_store(store.from, actor(*running_));
  }
  running_->stores.clear();
}

void Machine::load_word(SharedAddress from, void* to, std::size_t bytes) {
  maybe_switch();
  const Thread& self = *running_;
  check_aligned(self, Operation::kLoadWord, from.value, static_cast<std::int64_t>(bytes), "shared");
  const auto fault = words_.read(from.value, to, bytes, actor(self));
  if (fault) fail(self, Operation::kLoadWord, *fault);
  observe(Operation::kLoadWord, 0, from.value);
}

void Machine::store_word(SharedAddress to, const void* from, std::size_t bytes) {
  maybe_switch();
  const Thread& self = *running_;
  check_aligned(self, Operation::kStoreWord, to.value, static_cast<std::int64_t>(bytes), "shared");
  const auto fault = words_.write(to.value, from, bytes, actor(self));
  if (fault) fail(self, Operation::kStoreWord, *fault);
  observe(Operation::kStoreWord, 0, to.value);
}

}  // namespace varlen::gpu::emulator
