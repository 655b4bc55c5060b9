// Stacks of a block's threads: mapped once, reused by one block after another, each behind a page that faults.
#pragma once

#include <boost/context/stack_context.hpp>
#include <cstddef>

namespace varlen::gpu::emulator {

class StackArena {
 public:
  StackArena() = default;
  ~StackArena();
  StackArena(const StackArena&) = delete;
  StackArena& operator=(const StackArena&) = delete;

  /// Makes room for this many stacks. None may be in use.
  void reserve(int stacks);
  boost::context::stack_context stack(int index) const;

 private:
  void release() noexcept;

  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
  int stacks_ = 0;
};

/// A Boost.Context stack allocator that hands out one stack of an arena.
class ArenaStack {
 public:
  explicit ArenaStack(boost::context::stack_context stack) : stack_(stack) {}
  boost::context::stack_context allocate() const { return stack_; }
  void deallocate(boost::context::stack_context& /*stack*/) const noexcept {}

 private:
  boost::context::stack_context stack_;
};

}  // namespace varlen::gpu::emulator
