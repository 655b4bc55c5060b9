#include "gpu/emulator/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <utility>

#include "gpu/emulator/operations.hpp"
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
                                    "copy_async_16"};
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

void Machine::fail_deadlocked() const {
  constexpr auto kOperations = static_cast<std::size_t>(Operation::kCopyAsync) + 1;
  int waiting[kOperations] = {};
  int first = launch_.threads;
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    const Warp& warp = warps_[w];
    waiting[static_cast<std::size_t>(warp.operation)] += std::popcount(warp.in_operation);
    waiting[static_cast<std::size_t>(Operation::kSyncBlock)] += std::popcount(warp.at_barrier);
    const int lane = std::countr_zero(warp.in_operation | warp.at_barrier);
    if (lane < kWarpThreads) first = std::min(first, static_cast<int>(w) * kWarpThreads + lane);
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
  const std::string request = request_name(threads_[static_cast<std::size_t>(first)]);
  fail_with(fmt::format("block {} is deadlocked: {}; the first that waits is warp {}, lane {} (thread {}), {}", block_,
                        message, first / kWarpThreads, first % kWarpThreads, first, request));
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
  shared_.reset(launch_.shared_bytes);
  warps_.assign(threads / kWarpThreads, {kAllLanes, 0, 0, Operation::kNone});
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
    unwind_all();
    if (error_ == nullptr) fail_deadlocked();
  }
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
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

/// The rest of a warp first, then the other warps; nobody left: launch(), which knows whether all have finished.
Fiber& Machine::next_fiber() {
  const std::size_t begin = running_ == nullptr ? 0 : static_cast<std::size_t>(running_->index / kWarpThreads);
  for (std::size_t step = 0; step < warps_.size(); ++step) {
    const std::size_t w = (begin + step) % warps_.size();
    if (warps_[w].runnable == 0) continue;
    return threads_[w * kWarpThreads + static_cast<std::size_t>(std::countr_zero(warps_[w].runnable))];
  }
  return main_;
}

void Machine::resume(Fiber& self, Fiber& next) {
  previous_ = &self;
  announce_switch(&self, next);
  boost::context::fiber from = std::move(next.context).resume();
  complete_switch(self, *previous_);
  previous_->context = std::move(from);
}

void Machine::wait() {
  Thread& self = *running_;
  warp_of(self).runnable &= ~lane_bit(self);
  resume(self, next_fiber());
  running_ = &self;
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
    wait();
    return;
  }
  at_barrier_ = 0;
  shared_.pass_barrier();
  for (Warp& each : warps_) {
    each.runnable = kAllLanes;
    each.at_barrier = 0;
  }
}

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
    wait();
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
  const auto fault = shared_.write(to.value, self.index, self.index / kWarpThreads);
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
  const auto fault = shared_.begin_copy(to.value, self.index, self.index / kWarpThreads);
  if (fault) fail(self, Operation::kCopyAsync, *fault);
  self.copies.push_back({to.value, present ? from : nullptr, self.groups});
}

void Machine::copy_async_wait(int pending) {
  Thread& self = *running_;
  std::size_t arrived = 0;
  for (; arrived < self.copies.size() && self.copies[arrived].group < self.groups - pending; ++arrived) {
    const AsyncCopy& copy = self.copies[arrived];
    if (copy.from == nullptr) {
      std::memset(shared_.data(copy.to), 0, kGranuleBytes);
    } else {
      std::memcpy(shared_.data(copy.to), copy.from, kGranuleBytes);
    }
    shared_.arrive(copy.to);
  }
  self.copies.erase(self.copies.begin(), self.copies.begin() + static_cast<std::ptrdiff_t>(arrived));
}

}  // namespace varlen::gpu::emulator
