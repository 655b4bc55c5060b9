// A GPU in one thread: runs the threads of a block as fibers, one block after another, and watches what they do.
//
// A fiber runs until it waits for others: at a barrier or in an operation of its whole warp. There each lane leaves its
// operands; the last one to come computes for all and runs on. The order is fixed, so every run is the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gpu/emulator/fiber.hpp"
#include "gpu/emulator/global_memory.hpp"
#include "gpu/emulator/shared_memory.hpp"
#include "gpu/emulator/stack_arena.hpp"
#include "gpu/operations.hpp"

namespace varlen::gpu::emulator {

/// What threads of a warp wait in together; and, for messages, every other operation.
enum class Operation : std::uint8_t {
  kNone,
  kSyncBlock,
  kLoadMatrices,
  kLoadMatricesTransposed,
  kMultiplyAddFloat16,
  kMultiplyAddBFloat16,
  kShuffleXor,
  kStoreShared,
  kLoadGlobal,
  kStoreGlobal,
  kCopyAsync,
};
const char* operation_name(Operation operation) noexcept;

/// What a lane brings to an operation of its warp.
struct Operands {
  SharedAddress row;
  std::uint32_t* matrix;
  float* sum;
  const std::uint32_t* a;
  std::uint32_t b[2];
  float value;
  int lane_mask;
};

struct AsyncCopy {
  std::uint32_t to;
  const void* from;  // null: zeros
  std::int64_t group;
};

struct Thread : Fiber {
  int index = 0;
  std::int32_t request = -1;
  bool finished = false;
  Operands operands{};
  std::vector<AsyncCopy> copies;  // by group
  std::int64_t groups = 0;        // committed
};

struct Launch {
  int blocks = 1;
  int threads = kWarpThreads;
  std::int64_t shared_bytes = 0;
};

class Machine {
 public:
  explicit Machine(GlobalMemory& global) : global_(global) {}

  /// Calls `kernel` in every thread of every block. Throws Error(kInternal) for the first fault of the kernel, and
  /// whatever the kernel throws.
  void launch(const Launch& launch, const std::function<void()>& kernel);

  /// The one that runs on this CPU thread, for the operations.
  static Machine& current() { return *current_; }

  int thread_index() const { return running_->index; }
  int block_index() const { return block_; }
  int block_count() const { return launch_.blocks; }
  void enter_request(std::int32_t request) { running_->request = request; }

  void sync_block();
  /// By every lane of a warp. Returns with the results in place.
  void join_warp(Operation operation, const Operands& operands);
  float shuffle(const Operands& operands) {
    join_warp(Operation::kShuffleXor, operands);
    return running_->operands.value;
  }
  void store_shared(SharedAddress to, const Words4& value);
  void access_global(Operation operation, const void* address, std::int64_t bytes, std::int64_t alignment,
                     Direction direction);
  void copy_async(SharedAddress to, const void* from, bool present);
  void copy_async_commit() { ++running_->groups; }
  void copy_async_wait(int pending);

  // For the operations of a warp.
  SharedMemory& shared() { return shared_; }
  [[noreturn]] void fail(const Thread& thread, Operation operation, const std::string& what) const;

 private:
  struct Warp {
    std::uint32_t runnable;
    std::uint32_t in_operation;  // lanes that wait in `operation`
    std::uint32_t at_barrier;
    Operation operation;
  };
  struct Stopped {};  // unwinds the other fibers after a fault

  Warp& warp_of(const Thread& thread) { return warps_[static_cast<std::size_t>(thread.index / kWarpThreads)]; }
  void run_block(const std::function<void()>& kernel);
  Fiber& run_thread(Thread& thread, const std::function<void()>& kernel);
  void wait();
  void resume(Fiber& self, Fiber& next);
  Fiber& next_fiber();
  void unwind_all();
  [[noreturn]] void fail_divergent(const Thread& thread, Operation operation, std::uint32_t others, Operation theirs);
  [[noreturn]] void fail_deadlocked() const;
  void check_aligned(const Thread& thread, Operation operation, std::uintptr_t address, std::int64_t alignment,
                     const char* memory) const;

  GlobalMemory& global_;
  SharedMemory shared_;
  StackArena stacks_;
  Launch launch_;
  int block_ = 0;
  std::unique_ptr<Thread[]> threads_;
  std::vector<Warp> warps_;
  Fiber main_;                 // launch() itself
  Fiber* previous_ = nullptr;  // the one that the last switch left
  Thread* running_ = nullptr;
  int finished_ = 0;
  int at_barrier_ = 0;
  bool stopping_ = false;
  std::exception_ptr error_;

  static constinit thread_local Machine* current_;
};

/// Computes an operation for all lanes of a warp.
void execute_warp(Machine& machine, Operation operation, Thread* lanes);

}  // namespace varlen::gpu::emulator
