#include "gpu/emulator/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>

#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/tensor_map.hpp"
#include "varlen/error.hpp"

namespace varlen::gpu::emulator {
namespace {

constexpr std::uint32_t kAllLanes = 0xFFFFFFFFU;

std::uint32_t lane_bit(const Thread& thread) { return 1U << (thread.index % kWarpThreads); }

std::string request_name(const Thread& thread) {
  return thread.request < 0 ? "no request" : fmt::format("request {}", thread.request);
}

[[noreturn]] void fail_with(const std::string& message) {
  throw Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", message);
}

}  // namespace

constinit thread_local Machine* Machine::current_ = nullptr;

const char* operation_name(Operation operation) noexcept {
  constexpr const char* kNames[] = {"nothing",
                                    "sync_block",
                                    "load_matrices",
                                    "load_matrices_transposed",
                                    "multiply_add_16x8x16 (fp16)",
                                    "multiply_add_16x8x16 (bf16)",
                                    "shuffle_xor",
                                    "store_shared",
                                    "load_global",
                                    "store_global",
                                    "copy_async_16",
                                    "init_barrier",
                                    "arrive",
                                    "wait_for",
                                    "copy_async_arrive",
                                    "warpgroup_multiply",
                                    "warpgroup_multiply_add",
                                    "warpgroup_wait",
                                    "take_registers or give_back_registers",
                                    "sync_threads",
                                    "arrive_threads",
                                    "copy_box"};
  static_assert(std::size(kNames) == kOperations);
  return kNames[static_cast<std::size_t>(operation)];
}

void Machine::fail(const Thread& thread, Operation operation, const std::string& what) const {
  fail_with(fmt::format("block {}, warp {}, lane {} (thread {}), {}: {} {}", block_, thread.index / kWarpThreads,
                        thread.index % kWarpThreads, thread.index, request_name(thread), operation_name(operation),
                        what));
}

void Machine::fail_divergent(const Thread& thread, Operation operation, std::uint32_t others, Operation theirs) {
  fail(thread, operation,
       fmt::format("diverges: {} lane{} of this warp wait{} in {}, the first of them lane {}", std::popcount(others),
                   std::has_single_bit(others) ? "" : "s", std::has_single_bit(others) ? "s" : "",
                   operation_name(theirs), std::countr_zero(others)));
}

std::exception_ptr Machine::deadlock() const {
  int waiting[kOperations] = {};
  const Thread* first = nullptr;
  for (int i = 0; i < launch_.threads; ++i) {
    const Thread& each = thread(i);
    if (each.waiting == Operation::kNone) continue;
    ++waiting[static_cast<std::size_t>(each.waiting)];
    if (first == nullptr) first = &each;
  }
  const auto count = [](int threads, const std::string& rest) {
    return fmt::format("{} thread{} {}", threads, threads == 1 ? "" : "s", rest);
  };
  std::string message;
  for (std::size_t o = 0; o < kOperations; ++o) {
    if (waiting[o] == 0) continue;
    const std::string where =
        fmt::format("wait{} at {}", waiting[o] == 1 ? "s" : "", operation_name(static_cast<Operation>(o)));
    message += count(waiting[o], where) + ", ";
  }
  message += finished_ == 1 ? "1 has finished" : fmt::format("{} have finished", finished_);
  std::string barrier;
  if (first->waiting == Operation::kWaitFor) {
    const Barrier& missing = barriers_.at(first->waiting_for);
    barrier = fmt::format(", for {} of {} arrivals and {} bytes at the barrier at shared byte {}", missing.missing,
                          missing.arrivals, missing.missing_bytes, first->waiting_for);
  }
  const std::string what = fmt::format(
      "block {} is deadlocked: {}; the first that waits is warp {}, lane {} (thread {}), {}{}", block_, message,
      first->index / kWarpThreads, first->index % kWarpThreads, first->index, request_name(*first), barrier);
  return std::make_exception_ptr(Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", what));
}

void Machine::launch(const Launch& launch, const std::function<void()>& kernel) {
  if (launch.threads <= 0 || launch.threads % kWarpThreads != 0 || launch.threads > 1024) {
    fail_with(fmt::format("a launch of {} threads a block: whole warps, at most 1024, are possible", launch.threads));
  }
  launch_ = launch;
  stacks_.reserve(launch.threads);
  struct Restore {
    Machine* previous;
    ~Restore() { current_ = previous; }
  } const restore{std::exchange(current_, this)};
  for (block_ = 0; block_ < launch.blocks; ++block_) run_block(kernel);
}

void Machine::run_block(const std::function<void()>& kernel) {
  const auto threads = static_cast<std::size_t>(launch_.threads);
  const std::size_t warps = threads / kWarpThreads;
  shared_.reset(launch_.shared_bytes, static_cast<int>(warps));
  warps_.assign(warps, {kAllLanes, 0, 0, Operation::kNone, Clock(warps, 0)});
  for (std::size_t w = 0; w < warps; ++w) warps_[w].clock[w] = 1;
  barriers_.clear();
  named_barriers_.fill({0, 0, Clock(warps, 0), {}});
  deliveries_.clear();
  registers_.assign((warps + 3) / 4, 0);
  threads_ = std::make_unique<Thread[]>(threads);
  finished_ = 0;
  at_barrier_ = 0;
  stopping_ = false;
  running_ = nullptr;
  for (std::size_t i = 0; i < threads; ++i) {
    Thread& thread = threads_[i];
    thread.index = static_cast<int>(i);
    const auto stack = stacks_.stack(thread.index);
    thread.stack = static_cast<std::byte*>(stack.sp) - stack.size;
    thread.stack_bytes = stack.size;
    thread.context = boost::context::fiber(std::allocator_arg, ArenaStack(stack),
                                           [this, &thread, &kernel](boost::context::fiber&& from) {
                                             Fiber& previous = *previous_;
                                             complete_switch(thread, previous);
                                             previous.context = std::move(from);
                                             Fiber& next = run_thread(thread, kernel);
                                             previous_ = &thread;
                                             announce_switch(nullptr, next);
                                             return std::move(next.context);
                                           });
  }
  resume(main_, next_fiber());
  if (finished_ < launch_.threads) {
    if (error_ == nullptr) error_ = deadlock();
    unwind_all();
  }
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
  check_registers();
}

Fiber& Machine::run_thread(Thread& thread, const std::function<void()>& kernel) {
  running_ = &thread;
  try {
    if (!stopping_) kernel();
  } catch (const Stopped&) {
    // Unwound.
  } catch (...) {
    error_ = std::current_exception();
  }
  thread.finished = true;
  if (stopping_ || error_ != nullptr) return main_;
  ++finished_;
  warp_of(thread).runnable &= ~lane_bit(thread);
  return next_fiber();
}

/// The rest of a warp first, then the other warps, then whoever a copy lets run on; nobody left: launch(), which knows
/// whether all have finished.
Fiber& Machine::next_fiber() {
  const std::size_t begin = running_ == nullptr ? 0 : static_cast<std::size_t>(running_->index / kWarpThreads);
  do {
    for (std::size_t step = 0; step < warps_.size(); ++step) {
      const std::size_t w = (begin + step) % warps_.size();
      if (warps_[w].runnable == 0) continue;
      return threads_[w * kWarpThreads + static_cast<std::size_t>(std::countr_zero(warps_[w].runnable))];
    }
  } while (deliver());
  return main_;
}

void Machine::resume(Fiber& self, Fiber& next) {
  previous_ = &self;
  announce_switch(&self, next);
  boost::context::fiber from = std::move(next.context).resume();
  complete_switch(self, *previous_);
  previous_->context = std::move(from);
}

void Machine::wait(Operation operation) {
  Thread& self = *running_;
  warp_of(self).runnable &= ~lane_bit(self);
  self.waiting = operation;
  resume(self, next_fiber());
  running_ = &self;
  self.waiting = Operation::kNone;
  if (stopping_) throw Stopped{};
}

void Machine::unwind_all() {
  stopping_ = true;
  for (int i = 0; i < launch_.threads; ++i) {
    Thread& thread = threads_[static_cast<std::size_t>(i)];
    if (!thread.finished) resume(main_, thread);
  }
}

void Machine::sync_block() {
  Thread& self = *running_;
  Warp& warp = warp_of(self);
  if (warp.in_operation != 0) fail_divergent(self, Operation::kSyncBlock, warp.in_operation, warp.operation);
  if (++at_barrier_ < launch_.threads) {
    warp.at_barrier |= lane_bit(self);
    wait(Operation::kSyncBlock);
    return;
  }
  at_barrier_ = 0;
  Clock all = warp.clock;
  for (const Warp& each : warps_) merge_clock(all, each.clock);
  for (Warp& each : warps_) {
    each.runnable = kAllLanes;
    each.at_barrier = 0;
    each.clock = all;
    tick(each);
  }
}

/// What the warp does from here on is later than what it has let others know.
void Machine::tick(Warp& warp) { ++warp.clock[static_cast<std::size_t>(&warp - warps_.data())]; }

void Machine::join_warp(Operation operation, const Operands& operands) {
  Thread& self = *running_;
  Warp& warp = warp_of(self);
  if (warp.at_barrier != 0) fail_divergent(self, operation, warp.at_barrier, Operation::kSyncBlock);
  if (warp.in_operation != 0 && warp.operation != operation) {
    fail_divergent(self, operation, warp.in_operation, warp.operation);
  }
  self.operands = operands;
  warp.operation = operation;
  warp.in_operation |= lane_bit(self);
  if (warp.in_operation != kAllLanes) {
    wait(operation);
    return;
  }
  execute_warp(*this, operation, &self - self.index % kWarpThreads);
  warp.in_operation = 0;
  warp.runnable = kAllLanes;
}

void Machine::check_aligned(const Thread& thread, Operation operation, std::uintptr_t address, std::int64_t alignment,
                            const char* memory) const {
  const auto over = static_cast<std::int64_t>(address % static_cast<std::uintptr_t>(alignment));
  if (over == 0) return;
  fail(thread, operation, fmt::format("has a {} address {} bytes past a multiple of {}", memory, over, alignment));
}

void Machine::access_global(Operation operation, const void* address, std::int64_t bytes, std::int64_t alignment,
                            Direction direction) {
  const Thread& self = *running_;
  check_aligned(self, operation, reinterpret_cast<std::uintptr_t>(address), alignment, "global");
  const auto fault = global_.access(address, bytes, direction, self.request);
  if (fault) fail(self, operation, fmt::format("of {} bytes {}", bytes, *fault));
}

void Machine::store_shared(SharedAddress to, const Words4& value) {
  const Thread& self = *running_;
  check_aligned(self, Operation::kStoreShared, to.value, kGranuleBytes, "shared");
  const auto fault = shared_.write(to.value, actor(self));
  if (fault) fail(self, Operation::kStoreShared, *fault);
  std::memcpy(shared_.data(to.value), &value, kGranuleBytes);
}

void Machine::copy_async(SharedAddress to, const void* from, bool present) {
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
}

void Machine::land(const AsyncCopy& copy, const Actor& actor) {
  if (copy.from == nullptr) {
    std::memset(shared_.data(copy.to), 0, kGranuleBytes);
  } else {
    std::memcpy(shared_.data(copy.to), copy.from, kGranuleBytes);
  }
  shared_.arrive(copy.to, actor);
}

void Machine::copy_async_wait(int pending) {
  Thread& self = *running_;
  std::size_t arrived = 0;
  for (; arrived < self.copies.size() && self.copies[arrived].group < self.groups - pending; ++arrived) {
    land(self.copies[arrived], actor(self));
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + static_cast<std::ptrdiff_t>(arrived));
}

void Machine::copy_async_arrive(SharedAddress barrier) {
  Thread& self = *running_;
  barrier_at(self, Operation::kCopyAsyncArrive, barrier);
  Warp& warp = warp_of(self);
  deliveries_.push_back({std::exchange(self.copies, {}), 0, barrier.value, self.index, warp.clock});
  tick(warp);
}

/// The copies that have waited longest land. False if there are none.
bool Machine::deliver() {
  if (deliveries_.empty()) return false;
  const Delivery delivery = std::move(deliveries_.front());
  deliveries_.pop_front();
  const Actor actor{delivery.thread, delivery.thread / kWarpThreads, &delivery.clock};
  Barrier& barrier = barriers_.at(delivery.barrier);
  for (const AsyncCopy& copy : delivery.copies) {
    land(copy, actor);
    if (delivery.box_bytes > 0) shared_.arrive_for_products(copy.to, actor);
  }
  if (delivery.box_bytes == 0) {
    arrive_at(barrier, delivery.clock);
  } else {
    merge_clock(barrier.arriving, delivery.clock);
    barrier.missing_bytes -= delivery.box_bytes;
    complete_phase_if_all_is_there(barrier);
  }
  return true;
}

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
  tick(warp);
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
  Thread& self = *running_;
  const bool complete = arrive_at_named(Operation::kSyncThreads, id, threads);
  NamedBarrier& barrier = named_barriers_[static_cast<std::size_t>(id)];
  if (complete) {
    merge_clock(warp_of(self).clock, barrier.clock);
  } else {
    barrier.waiting.push_back(&self);
    wait(Operation::kSyncThreads);
  }
  tick(warp_of(self));
}

void Machine::arrive_threads(int id, int threads) {
  arrive_at_named(Operation::kArriveThreads, id, threads);
  tick(warp_of(*running_));
}

void Machine::copy_box(SharedAddress to, const TensorMap& map, const std::int32_t (&coordinates)[4],
                       SharedAddress barrier) {
  Thread& self = *running_;
  barrier_at(self, Operation::kCopyBox, barrier);
  check_aligned(self, Operation::kCopyBox, to.value, 1024, "shared");
  const Box box = decode_tensor_map(map);
  if (!box.touches_tensor(coordinates)) {
    fail(self, Operation::kCopyBox,
         fmt::format("is of a box at ({}) that lies wholly outside of the tensor of ({})", fmt::join(coordinates, ", "),
                     fmt::join(box.sizes, ", ")));
  }
  Warp& warp = warp_of(self);
  Delivery delivery{{}, 0, barrier.value, self.index, warp.clock};
  const Actor self_actor = actor(self);
  box.visit_chunks(coordinates, [&](std::int64_t offset, const void* from) {
    if (from != nullptr) {
      access_global(Operation::kCopyBox, from, kGranuleBytes, kGranuleBytes, Direction::kRead);
    }
    const std::uint32_t place = swizzled(to.value + static_cast<std::uint32_t>(offset));
    const auto fault = shared_.begin_copy(place, self_actor);
    if (fault) fail(self, Operation::kCopyBox, *fault);
    delivery.copies.push_back({place, from, 0});
    delivery.box_bytes += kGranuleBytes;
  });
  deliveries_.push_back(std::move(delivery));
  tick(warp);
}

void Machine::wait_for(SharedAddress barrier, std::uint32_t parity) {
  Thread& self = *running_;
  Barrier& waited = barrier_at(self, Operation::kWaitFor, barrier);
  if (parity > 1) fail(self, Operation::kWaitFor, fmt::format("has the parity {}", parity));
  while (waited.phases % 2 == parity) {
    waited.waiting.push_back(&self);
    self.waiting_for = barrier.value;
    wait(Operation::kWaitFor);
  }
  merge_clock(warp_of(self).clock, waited.arrived);
}

void Machine::multiply(Product product) {
  Thread& self = *running_;
  if (!self.fenced) fail(self, product.operation, "comes without a warpgroup_fence since products were waited for");
  product.group = self.product_groups;
  self.products.push_back(product);
}

void Machine::warpgroup_wait(int pending) {
  constexpr Operation kWait = Operation::kWarpgroupWait;
  Thread& self = *running_;
  self.fenced = false;
  Warp& warp = warp_of(self);
  const std::size_t first = static_cast<std::size_t>(self.index) / kWarpgroupThreads * 4;
  if (first + 4 > warps_.size()) fail(self, kWait, "is called by warps that are no warpgroup");
  if (warp.at_barrier != 0) fail_divergent(self, kWait, warp.at_barrier, Operation::kSyncBlock);
  if (warp.in_operation != 0 && warp.operation != kWait) {
    fail_divergent(self, kWait, warp.in_operation, warp.operation);
  }
  warp.operation = kWait;
  warp.in_operation |= lane_bit(self);
  for (std::size_t w = first; w < first + 4; ++w) {
    if (warps_[w].in_operation == kAllLanes && warps_[w].operation == kWait) continue;
    wait(kWait);
    return;
  }
  execute_products(*this, &threads_[first * kWarpThreads], self.product_groups - pending);
  for (std::size_t w = first; w < first + 4; ++w) {
    warps_[w].in_operation = 0;
    warps_[w].runnable = kAllLanes;
  }
}

void Machine::set_registers(int registers) {
  const Thread& self = *running_;
  if (registers < 24 || registers > 256 || registers % 8 != 0) {
    fail(self, Operation::kSetRegisters,
         fmt::format("asks for {} registers, which is not a multiple of 8 from 24 to 256", registers));
  }
  registers_[static_cast<std::size_t>(self.index / kWarpgroupThreads)] = registers;
}

void Machine::check_registers() const {
  constexpr int kRegisters = 65536;
  int sum = 0;
  for (const int registers : registers_) sum += registers * kWarpgroupThreads;
  if (sum > kRegisters) {
    fail_with(fmt::format("block {}: its warpgroups have {} registers together, of which there are {}", block_, sum,
                          kRegisters));
  }
}

}  // namespace varlen::gpu::emulator
