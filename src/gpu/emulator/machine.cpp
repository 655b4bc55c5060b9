#include "gpu/emulator/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <utility>

#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/trace.hpp"
#include "varlen/error.hpp"

namespace varlen::gpu::emulator {
namespace {

/// What the thread works on.
std::string work_name(const Thread& thread) {
  if (thread.request < 0) return "no request";
  if (thread.item < 0) return fmt::format("request {}", thread.request);
  return fmt::format("item {}, request {}", thread.item, thread.request);
}

/// Of more than a warp: operations of a warp are one event when they are done, and no wait.
bool is_told(Operation wait) {
  return wait == Operation::kWaitFor || wait == Operation::kSyncThreads || wait == Operation::kWarpgroupWait ||
         wait == Operation::kSyncBlock;
}

/// Shared or tensor memory.
bool reads_or_writes_shared(Operation operation) {
  return operation == Operation::kLoadMatrices || operation == Operation::kLoadMatricesTransposed ||
         operation == Operation::kStoreMatrices || operation >= Operation::kAllocateTensorMemory;
}

[[noreturn]] void fail_with(const std::string& message) {
  throw Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", message);
}

}  // namespace

constinit thread_local Machine* Machine::current_ = nullptr;

const char* operation_name(Operation operation) noexcept {
  constexpr const char* kNames[] = {"nothing",
                                    "sync_block",
                                    "sync_warp",
                                    "load_matrices",
                                    "load_matrices_transposed",
                                    "store_matrices",
                                    "multiply_add_16x8x16 (fp16)",
                                    "multiply_add_16x8x16 (bf16)",
                                    "shuffle_xor",
                                    "count_votes",
                                    "broadcast",
                                    "elect_one",
                                    "store_shared",
                                    "load_shared",
                                    "load_global",
                                    "store_global",
                                    "draw",
                                    "try_lock",
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
                                    "load_box",
                                    "store_box",
                                    "shuffle",
                                    "match_any",
                                    "load_word",
                                    "store_word",
                                    "allocate_tensor_memory",
                                    "give_up_tensor_allocation",
                                    "free_tensor_memory",
                                    "load_tensor",
                                    "wait_tensor_loads",
                                    "store_tensor",
                                    "wait_tensor_stores",
                                    "tensor_multiply",
                                    "commit_tensor_products"};
  static_assert(std::size(kNames) == kOperations);
  return kNames[static_cast<std::size_t>(operation)];
}

std::exception_ptr Machine::fault(const Thread& thread, Operation operation, const std::string& what) const {
  const std::string message =
      fmt::format("block {}, warp {}, lane {} (thread {}), {}: {} {}", block_, thread.index / kWarpThreads,
                  thread.index % kWarpThreads, thread.index, work_name(thread), operation_name(operation), what);
  return std::make_exception_ptr(Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", message));
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
    barrier = fmt::format(", for {} of {} arrivals and {} bytes at {}", missing.missing, missing.arrivals,
                          missing.missing_bytes, barrier_name(first->waiting_for, launch_.barrier_names));
  }
  const std::string what = fmt::format(
      "block {} is deadlocked: {}; the first that waits is warp {}, lane {} (thread {}), {}{}", block_, message,
      first->index / kWarpThreads, first->index % kWarpThreads, first->index, work_name(*first), barrier);
  return std::make_exception_ptr(Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", what));
}

void Machine::launch(const Launch& launch, const std::function<void()>& kernel) {
  if (launch.threads <= 0 || launch.threads % kWarpThreads != 0 || launch.threads > 1024) {
    fail_with(fmt::format("a launch of {} threads a block: whole warps, at most 1024, are possible", launch.threads));
  }
  launch_ = launch;
  scheduler_ = Scheduler(launch.schedule);
  scheduled_ = !scheduler_.is_fixed();
  stacks_.reserve(launch.threads);
  share_draws();
  struct Restore {
    Machine* previous;
    ~Restore() { current_ = previous; }
  } const restore{std::exchange(current_, this)};
  for (block_ = 0; block_ < launch.blocks; ++block_) run_block(kernel);
  ++launches_;
}

/// Blocks run one after another here: drawn as they come, the first would have all the work. So who draws what is
/// decided before, at random; each block's draws rise, as on a GPU.
void Machine::share_draws() {
  draws_.assign(static_cast<std::size_t>(launch_.blocks), {});
  if (scheduled_) {
    scheduler_.share_draws(launch_.draws, draws_);
    return;
  }
  std::mt19937_64 random(launch_.seed);
  for (std::int64_t drawn = 0; drawn < launch_.draws; ++drawn) draws_[random() % draws_.size()].push_back(drawn);
}

void Machine::run_block(const std::function<void()>& kernel) {
  const auto threads = static_cast<std::size_t>(launch_.threads);
  const std::size_t warps = threads / kWarpThreads;
  shared_.reset(launch_.shared_bytes, static_cast<int>(warps));
  words_.reset(launch_.shared_bytes, static_cast<int>(warps));
  warps_.assign(warps, {kAllLanes, 0, 0, Operation::kNone, Clock(warps, 0), Clock(warps, 0)});
  scheduler_.begin_block(launches_, block_, static_cast<int>(warps));
  events_.begin_block(block_, static_cast<int>(warps), launch_.trace != nullptr, launch_.barrier_names);
  for (std::size_t w = 0; w < warps; ++w) warps_[w].clock[w] = 1;
  barriers_.clear();
  components_ = warps;
  uses_tensor_ = false;
  commits_ = 0;
  tensor_products_.clear();
  named_barriers_.fill({0, Clock(warps, 0), Clock(warps, 0), {}, {}});
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
    note_fault();
    unwind_all();
  }
  if (error_ != nullptr) throw_fault(std::exchange(error_, nullptr));
  if (launch_.trace != nullptr) launch_.trace->add(events_.take());
  check_registers();
  check_tensor_memory();
}

Fiber& Machine::run_thread(Thread& thread, const std::function<void()>& kernel) {
  running_ = &thread;
  try {
    if (!stopping_) {
      kernel();
      if (!thread.stores.empty()) fail(thread, Operation::kStoreBox, "is not waited for before the thread ends");
      if (!thread.copies.empty()) fail(thread, Operation::kCopyAsync, "is not waited for before the thread ends");
      if (thread.lost_registers) {
        fail(thread, Operation::kWarpgroupMultiply, "has registers that ended before it was waited for");
      }
      if (!thread.products.empty()) {
        fail(thread, thread.products.front().operation, "is not waited for before the thread ends");
      }
    }
  } catch (const Stopped&) {
    // Unwound.
  } catch (...) {
    error_ = std::current_exception();
  }
  end_products(thread);
  thread.finished = true;
  if (stopping_ || error_ != nullptr) return main_;
  ++finished_;
  warp_of(thread).runnable &= ~lane_bit(thread);
  return next_fiber();
}

/// The rest of a warp first, then the other warps, then whoever a copy lets run on; nobody left: launch(), which knows
/// whether all have finished.
Fiber& Machine::next_in_order() {
  const std::size_t begin = running_ == nullptr ? 0 : static_cast<std::size_t>(running_->index / kWarpThreads);
  for (;;) {
    for (std::size_t step = 0; step < warps_.size(); ++step) {
      const std::size_t w = (begin + step) % warps_.size();
      if (warps_[w].runnable == 0) continue;
      return threads_[w * kWarpThreads + static_cast<std::size_t>(std::countr_zero(warps_[w].runnable))];
    }
    if (deliveries_.empty()) return main_;
    deliver(0);  // what has waited longest
  }
}

void Machine::resume(Fiber& self, Fiber& next) {
  if (&self == &next) return;  // a copy that landed, or its next turn, lets it go on
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
  if (is_told(operation)) observe_wait(self, Event::Kind::kWaits);
  resume(self, next_fiber());
  running_ = &self;
  if (stopping_) throw Stopped{};
  // The loop in wait_for() may have it wait again, and ends with an event of its own.
  if (operation != Operation::kWaitFor && is_told(operation)) observe_wait(self, Event::Kind::kDoes);
  self.waiting = Operation::kNone;
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
  Clock past;
  for (const Warp& each : warps_) merge_clock(past, past_of(each));
  for (Warp& each : warps_) {
    each.runnable = kAllLanes;
    each.at_barrier = 0;
    each.clock = all;
    each.past = past;
    tick(each);
  }
  observe(Operation::kSyncBlock);
}

/// What the warp does from here on is later than what it has let others know.
void Machine::tick(Warp& warp) { ++warp.clock[static_cast<std::size_t>(&warp - warps_.data())]; }

const Operands& Machine::join_warp(Operation operation, const Operands& operands) {
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
    return self.operands;
  }
  if (reads_or_writes_shared(operation)) maybe_switch();
  execute_warp(*this, operation, &self - self.index % kWarpThreads);
  if (operation == Operation::kSyncWarp) tick(warp);
  events_.add_warp(self.index / kWarpThreads, operation);
  warp.in_operation = 0;
  warp.runnable = kAllLanes;
  return self.operands;
}

void Machine::check_aligned(const Thread& thread, Operation operation, std::uintptr_t address, std::int64_t alignment,
                            const char* memory) const {
  const auto over = static_cast<std::int64_t>(address % static_cast<std::uintptr_t>(alignment));
  if (over == 0) return;
  fail(thread, operation, fmt::format("has a {} address {} bytes past a multiple of {}", memory, over, alignment));
}

}  // namespace varlen::gpu::emulator
