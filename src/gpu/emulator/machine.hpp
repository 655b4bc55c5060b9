// A GPU in one thread: runs the threads of a block as fibers, one block after another, and watches what they do.
//
// A fiber runs until it waits for others: at a barrier or in an operation of its whole warp. There each lane leaves its
// operands; the last one to come computes for all and runs on. By default the order is fixed, and what is asynchronous
// happens as late as it may: products when they are waited for, copies when nobody can go on without them. Under
// another schedule (schedule.hpp) fibers also stop before operations that others can observe. Every run can be
// repeated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "gpu/emulator/events.hpp"
#include "gpu/emulator/fiber.hpp"
#include "gpu/emulator/global_memory.hpp"
#include "gpu/emulator/schedule.hpp"
#include "gpu/emulator/shared_memory.hpp"
#include "gpu/emulator/stack_arena.hpp"
#include "gpu/emulator/tensor_memory.hpp"
#include "gpu/emulator/word_memory.hpp"
#include "gpu/operations.hpp"

namespace varlen::gpu::emulator {

class Registers;
class TensorRegisters;

/// What threads of a warp wait in together; and, for messages, every other operation.
enum class Operation : std::uint8_t {
  kNone,
  kSyncBlock,
  kSyncWarp,
  kLoadMatrices,
  kLoadMatricesTransposed,
  kStoreMatrices,
  kMultiplyAddFloat16,
  kMultiplyAddBFloat16,
  kShuffleXor,
  kCountVotes,
  kBroadcast,
  kElectOne,
  kStoreShared,
  kLoadShared,
  kLoadGlobal,
  kStoreGlobal,
  kDraw,
  kTryLock,
  kCopyAsync,
  kInitBarrier,
  kArrive,
  kWaitFor,
  kCopyAsyncArrive,
  kWarpgroupMultiply,
  kWarpgroupMultiplyAdd,
  kWarpgroupWait,
  kSetRegisters,
  kSyncThreads,
  kArriveThreads,
  kLoadBox,
  kStoreBox,
  kShuffle,
  kMatchAny,
  kLoadWord,
  kStoreWord,
  kAllocateTensorMemory,
  kGiveUpTensorAllocation,
  kFreeTensorMemory,
  kLoadTensor,
  kWaitTensorLoads,
  kStoreTensor,
  kWaitTensorStores,
  kTensorMultiply,
  kCommitTensorProducts,
};
inline constexpr std::size_t kOperations = static_cast<std::size_t>(Operation::kCommitTensorProducts) + 1;
const char* operation_name(Operation operation) noexcept;

/// What a lane brings to an operation of its warp.
struct Operands {
  SharedAddress row;
  std::uint32_t* matrix;
  float* sum;
  const std::uint32_t* a;
  std::uint32_t b[2];
  std::uint32_t stored[4];
  float value;
  int lane_mask;
  bool vote;
  int votes;
  std::int64_t wide;
  TensorRegisters* tensor;
  const std::uint32_t* words;
};

struct AsyncCopy {
  std::uint32_t to;
  const void* from;  // null: zeros
  std::int64_t group;
};

struct BoxStore {
  std::uint32_t from;
  void* to;
};

/// Copies of a thread that land together and arrive at a barrier then.
struct Delivery {
  std::vector<AsyncCopy> copies;
  std::int64_t box_bytes;  // 0: by a thread, which arrives
  std::uint32_t barrier;
  int thread;
  Clock clock;               // of the thread's warp when it asked for this
  std::uint64_t issued = 0;  // step
  Clock past = {};           // what had happened before
  std::uint32_t commit = 0;  // of products in tensor memory, and of nothing else; 0: none
};

/// A lane's part of a product of its warpgroup.
struct Product {
  Operation operation;
  bool is_bfloat16;
  bool add;
  int tiles;
  Registers* sums;
  float* sum;                // [tiles][4], of these
  const Fragment* fragment;  // of kWarpgroupMultiplyAdd
  std::uint64_t a_matrix;    // of kWarpgroupMultiply
  std::uint64_t b_matrix;
  std::int64_t group;
};

/// A product in tensor memory, as its thread has issued it.
struct TensorProduct {
  enum class Element : std::uint8_t { kFloat16, kBFloat16, kFloat8E4M3 };

  Element element;
  bool a_in_tensor;
  bool add;
  std::uint32_t sum;
  std::uint64_t a;  // a TensorMatrix, or an address in tensor memory
  std::uint64_t b;  // a TensorMatrix
  std::uint32_t shape;
  int thread;
  std::uint32_t commit;  // that tells when it is done, 0: not committed
};

/// A load or a store of a warp that it has not waited for.
struct TensorTransfer {
  TensorRange range;
  std::array<TensorRegisters*, kWarpThreads> registers;  // of each lane; null: they have ended. Of loads
  std::vector<std::uint32_t> words;                      // [lane][column]. Of stores
};

struct Thread : Fiber {
  int index = 0;
  std::int64_t item = -1;
  std::int32_t request = -1;
  bool finished = false;
  Operands operands{};
  std::vector<AsyncCopy> copies;  // by group
  std::int64_t groups = 0;        // committed
  Clock landed;                   // those that arrived at barriers
  std::vector<BoxStore> stores;   // not waited for
  std::vector<Product> products;  // not waited for, by group
  std::int64_t product_groups = 0;
  std::uint64_t fences = 0;       // warpgroup_fence()s
  bool lost_registers = false;    // some ended while a product had them
  std::uint64_t seen_writes = 0;  // writes to shared memory before the last fence_shared_for_products()
  Clock seen;                     // of the warp at that fence
  Clock tensor_view;              // of the warp at the last fence_tensor_after_sync()
  Operation waiting = Operation::kNone;
  std::uint32_t waiting_for = 0;  // barrier, or group of products
};

class Trace;

struct Launch {
  int blocks = 1;
  int threads = kWarpThreads;
  std::int64_t shared_bytes = 0;
  std::int64_t draws = 0;  // from the counter that mean work; later ones come back as this many and more
  std::uint64_t seed = 1;  // of who draws what, if the schedule is fixed
  Schedule schedule = {};
  Trace* trace = nullptr;                       // gets what every block does
  const BarrierNames* barrier_names = nullptr;  // for what is told of them; may be null, outlives the trace
};

struct Box;

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
  int thread_count() const { return launch_.threads; }
  void enter_item(std::int64_t item, std::int32_t request) {
    running_->item = item;
    running_->request = request;
  }

  void sync_block();
  void sync_threads(int id, int threads);
  void arrive_threads(int id, int threads);
  /// By every lane of a warp. Returns with the results in place, in what the operands point at or in what comes back.
  const Operands& join_warp(Operation operation, const Operands& operands);
  void store_shared(SharedAddress to, const Words4& value);
  Words4 load_shared(SharedAddress from);
  void load_word(SharedAddress from, void* to, std::size_t bytes);
  void store_word(SharedAddress to, const void* from, std::size_t bytes);
  void access_global(Operation operation, const void* address, std::int64_t bytes, std::int64_t alignment,
                     Direction direction);
  std::int64_t draw(std::int64_t* counter);
  bool try_lock(std::uint32_t* lock);
  void copy_async(SharedAddress to, const void* from, bool present);
  void copy_async_commit() { ++running_->groups; }
  void copy_async_wait(int pending);
  void copy_async_arrive(SharedAddress barrier);

  void init_barrier(SharedAddress barrier, int arrivals);
  void fence_barriers();
  void arrive_expecting(SharedAddress barrier, std::uint32_t bytes);
  void load_box(SharedAddress to, const TensorMap& map, const BoxPlace& place, SharedAddress barrier);
  void store_box(const TensorMap& map, const BoxPlace& place, SharedAddress from);
  void store_box_wait();
  void wait_for(SharedAddress barrier, std::uint32_t parity);

  void warpgroup_fence() { ++running_->fences; }
  void fence_shared_for_products();
  void multiply(Product product);
  /// Registers end that products of the running thread have: these are given up.
  void abandon(const Registers& registers);
  void warpgroup_commit() { ++running_->product_groups; }
  void warpgroup_wait(int pending);
  void set_registers(int registers);

  void fence_tensor_before_sync();
  void fence_tensor_after_sync();
  void multiply(TensorProduct product);
  void commit_tensor_products(SharedAddress barrier);
  /// Registers end that a load of the running thread has not reached yet.
  void abandon(const TensorRegisters& registers);

  // For the operations of a warp.
  void allocate_tensor_memory(Thread* lanes);
  void give_up_tensor_allocation(const Thread* lanes);
  void free_tensor_memory(const Thread* lanes);
  void load_tensor(Thread* lanes);
  void wait_tensor_loads(Thread* lanes);
  void store_tensor(const Thread* lanes);
  void wait_tensor_stores(const Thread* lanes);
  TensorMemory& tensor();
  SharedMemory& shared() { return shared_; }
  void store_shared_by(const Thread& thread, Operation operation, SharedAddress to, const Words4& value);
  Actor actor(const Thread& thread) const {
    const int warp = thread.index / kWarpThreads;
    return {thread.index, warp, &warps_[static_cast<std::size_t>(warp)].clock};
  }
  const Thread& thread(int index) const { return threads_[static_cast<std::size_t>(index)]; }
  const Thread& running() const { return *running_; }
  /// Fails unless products and boxes of `reader` may access what was written last at `address`.
  void check_fenced(const Thread& reader, Operation operation, std::uint32_t address) const;
  std::exception_ptr fault(const Thread& thread, Operation operation, const std::string& what) const;
  [[noreturn]] void fail(const Thread& thread, Operation operation, const std::string& what) const {
    std::rethrow_exception(fault(thread, operation, what));
  }

 private:
  struct Warp {
    std::uint32_t runnable;
    std::uint32_t in_operation;  // lanes that wait in `operation`
    std::uint32_t at_barrier;    // of the block
    Operation operation;
    Clock clock;
    Clock past;                // what has happened before, whether or not anything makes its memory visible
    std::uint32_t paused = 0;  // lanes that had their turn
    std::array<std::uint8_t, kWarpThreads> turn{};  // operations that each lane may still do in this turn
    std::uint8_t first_lane = 0;
    std::uint32_t tensor_fenced = 0;  // lanes that have called fence_tensor_before_sync() since the last access
    std::vector<TensorTransfer> tensor_loads = {};  // not waited for
    std::vector<TensorTransfer> tensor_stores = {};
  };
  /// The newest phase that a warp has seen complete, and when in the warp's time.
  struct Seen {
    std::int64_t phase = -2;  // −1: the one before the first
    std::uint32_t time = 0;
  };
  struct Barrier {
    int arrivals = 0;
    int missing = 0;
    std::int64_t missing_bytes = 0;  // of boxes; negative if they came before they were expected
    std::uint32_t phases = 0;        // complete
    int maker = 0;                   // the thread that made it
    std::uint32_t made = 0;          // when in the time of its warp
    bool fenced = false;             // fence_barriers() came after
    std::size_t component = 0;       // its place in clocks
    Clock arriving;                  // what is known to those who arrived
    Clock arrived;                   // the same when the newest complete phase was
    Clock arriving_past;             // what had happened before they arrived
    Clock arrived_past;
    std::vector<Seen> seen;  // by warp
    std::vector<Thread*> waiting;
    std::int64_t committed = -1;  // the last phase that a commit of products arrived in
  };
  struct NamedBarrier {
    int threads;  // 0: nobody has arrived
    Clock clock;  // what is known to those who arrived
    Clock past;
    std::vector<const Thread*> arrived;
    std::vector<Thread*> waiting;
  };
  struct Stopped {};  // unwinds the other fibers after a fault

  static constexpr std::uint32_t kAllLanes = 0xFFFFFFFFU;
  static std::uint32_t lane_bit(const Thread& thread) { return 1U << (thread.index % kWarpThreads); }
  Warp& warp_of(const Thread& thread) { return warps_[static_cast<std::size_t>(thread.index / kWarpThreads)]; }
  void share_draws();
  void run_block(const std::function<void()>& kernel);
  Fiber& run_thread(Thread& thread, const std::function<void()>& kernel);
  void wait(Operation operation);
  void tick(Warp& warp);
  Barrier& barrier_at(const Thread& thread, Operation operation, SharedAddress barrier);
  void arrive_at(SharedAddress address, Barrier& barrier, const Clock& clock, const Clock& past);
  /// Of what happened before what this warp does next.
  static Clock past_of(const Warp& warp);
  void complete_phase_if_all_is_there(SharedAddress address, Barrier& barrier);
  void note_seen(Barrier& barrier, const Thread& thread);
  void check_seen(SharedAddress address, const Barrier& barrier);
  bool arrive_at_named(Operation operation, int id, int threads);
  Box box_at(Operation operation, const TensorMap& map, const BoxPlace& place, SharedAddress shared) const;
  void bring(const AsyncCopy& copy);
  void deliver(std::size_t which);
  void end_products(Thread& thread);
  TensorRange tensor_range(Operation operation, const Thread* lanes) const;
  /// Calls use(actor) with who the warp is to tensor memory: it knows what all of its lanes know.
  template <class Use>
  void as_tensor_actor(const Thread* lanes, const Use& use) const;
  void do_tensor_products(std::uint32_t commit);
  void check_tensor_memory() const;
  void check_registers() const;
  void resume(Fiber& self, Fiber& next);
  Fiber& next_fiber() {
    if (error_ != nullptr) return main_;
    return scheduled_ ? next_by_schedule() : next_in_order();
  }
  Fiber& next_in_order();
  Fiber& next_by_schedule();
  Fiber& next_lane(std::size_t warp);
  /// Before an operation that others can observe: under a schedule that is not fixed others may go first.
  void maybe_switch() {
    if (scheduled_) count_operation();
  }
  void count_operation();
  void observe(Operation operation, std::uint32_t subject = 0, std::uint32_t value = 0) {
    events_.add(running_->index, Event::Kind::kDoes, operation, subject, value);
  }
  void observe_arrival(std::uint32_t barrier, std::uint32_t phases) {
    events_.arrive(barrier, running_->index, false, phases);
  }
  void observe_copy(Operation operation);
  void observe_wait(const Thread& thread, Event::Kind kind);
  std::vector<std::string> describe_waits() const;
  std::vector<std::string> describe_events(const std::string& message) const;
  void note_fault();
  [[noreturn]] void throw_fault(const std::exception_ptr& thrown);
  bool deliver_by_schedule();
  void unwind_all();
  [[noreturn]] void fail_divergent(const Thread& thread, Operation operation, std::uint32_t others, Operation theirs);
  std::exception_ptr deadlock() const;
  void check_aligned(const Thread& thread, Operation operation, std::uintptr_t address, std::int64_t alignment,
                     const char* memory) const;

  GlobalMemory& global_;
  SharedMemory shared_;
  WordMemory words_;
  StackArena stacks_;
  Launch launch_;
  int launches_ = 0;
  Scheduler scheduler_;
  bool scheduled_ = false;  // otherwise the order is fixed
  EventLog events_;
  std::vector<std::string> fault_events_;
  int block_ = 0;
  std::unique_ptr<Thread[]> threads_;
  std::vector<Warp> warps_;
  Fiber main_;                 // launch() itself
  Fiber* previous_ = nullptr;  // the one that the last switch left
  Thread* running_ = nullptr;
  std::unordered_map<std::uint32_t, Barrier> barriers_;  // by address
  std::size_t components_ = 0;                           // of clocks
  TensorMemory tensor_;                                  // of this block once it is in use
  bool uses_tensor_ = false;
  std::size_t tensor_fences_ = 0;  // where in clocks: of each warp; of commits
  std::size_t tensor_commits_ = 0;
  std::uint32_t commits_ = 0;                  // made
  std::deque<TensorProduct> tensor_products_;  // not done, by the order of issue
  std::array<NamedBarrier, 16> named_barriers_;
  std::deque<Delivery> deliveries_;
  std::vector<std::deque<std::int64_t>> draws_;  // of each block, to come
  std::vector<int> registers_;                   // of a thread of each warpgroup, 0: as launched
  int finished_ = 0;
  int at_barrier_ = 0;
  bool stopping_ = false;
  std::exception_ptr error_;

  static constinit thread_local Machine* current_;
};

/// Computes an operation for all lanes of a warp.
void execute_warp(Machine& machine, Operation operation, Thread* lanes);
/// From here on the warp of the thread, its first one, reads what the product needs of shared memory.
void begin_reading(Machine& machine, const Thread& thread, const Product& product);
/// Computes all products of a warpgroup's threads of groups before `group`, and forgets them.
void execute_products(Machine& machine, Thread* threads, std::int64_t group);
/// From here on the product has what it reads and writes; it fails if something is wrong with it.
void begin_product(Machine& machine, const Thread& thread, const TensorActor& actor, const TensorProduct& product);
/// Computes it; `product.commit` tells of it.
void execute_product(Machine& machine, const TensorProduct& product);

}  // namespace varlen::gpu::emulator
