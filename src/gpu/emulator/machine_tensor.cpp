// What the machine does with tensor memory: allocation, loads and stores of warps, and products that one thread issues.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/tensor_operations.hpp"
#include "varlen/error.hpp"

namespace varlen::gpu::emulator {

/// Its entries in clocks exist from its first use on.
TensorMemory& Machine::tensor() {
  if (!uses_tensor_) {
    uses_tensor_ = true;
    tensor_fences_ = components_;
    tensor_commits_ = components_ + warps_.size();
    components_ += warps_.size() + 1;
    tensor_.reset(static_cast<int>(warps_.size()), tensor_fences_, tensor_commits_);
    shared_.set_commits(tensor_commits_);
  }
  return tensor_;
}

template <class Use>
void Machine::as_tensor_actor(const Thread* lanes, const Use& use) const {
  Clock view = lanes[0].tensor_view;
  for (int lane = 1; lane < kWarpThreads; ++lane) {
    const Clock& other = lanes[lane].tensor_view;
    view.resize(std::min(view.size(), other.size()));
    for (std::size_t i = 0; i < view.size(); ++i) view[i] = std::min(view[i], other[i]);
  }
  const Actor warp = actor(lanes[0]);
  use(TensorActor{warp.thread, warp.warp, warp.clock, &view});
}

void Machine::allocate_tensor_memory(Thread* lanes) {
  constexpr Operation kAllocate = Operation::kAllocateTensorMemory;
  for (int lane = 1; lane < kWarpThreads; ++lane) {
    if (lanes[lane].operands.wide == lanes[0].operands.wide &&
        lanes[lane].operands.row.value == lanes[0].operands.row.value) {
      continue;
    }
    fail(lanes[lane], kAllocate, "is not what lane 0 asks for");
  }
  std::uint32_t first = 0;
  as_tensor_actor(lanes, [&](const TensorActor& actor) {
    const auto fault = tensor().allocate(static_cast<int>(lanes[0].operands.wide), actor, first);
    if (fault) fail(lanes[0], kAllocate, *fault);
  });
  store_shared_by(lanes[0], kAllocate, lanes[0].operands.row, {{first, 0, 0, 0}});
}

void Machine::give_up_tensor_allocation(const Thread* /*lanes*/) { tensor().give_up(); }

void Machine::free_tensor_memory(const Thread* lanes) {
  constexpr Operation kFree = Operation::kFreeTensorMemory;
  as_tensor_actor(lanes, [&](const TensorActor& actor) {
    const auto fault = tensor().free(lanes[0].operands.row.value, static_cast<int>(lanes[0].operands.wide), actor);
    if (fault) fail(lanes[0], kFree, *fault);
  });
}

/// PTX ISA: tcgen05.ld, tcgen05.st, .32x32b: each warp of a warpgroup reaches a quarter of the lanes, all of its
/// threads name the same address.
TensorRange Machine::tensor_range(Operation operation, const Thread* lanes) const {
  const std::uint32_t address = lanes[0].operands.row.value;
  for (int lane = 1; lane < kWarpThreads; ++lane) {
    if (lanes[lane].operands.row.value == address) continue;
    fail(lanes[lane], operation, fmt::format("is at {:#x}, lane 0 at {:#x}", lanes[lane].operands.row.value, address));
  }
  const int quarter = lanes[0].index / kWarpThreads % kTensorQuarters;
  if (static_cast<int>(address >> 16) != quarter * kWarpThreads) {
    fail(lanes[0], operation,
         fmt::format("is of lanes from {} on; its warp reaches those from {} on", address >> 16,
                     quarter * kWarpThreads));
  }
  return {quarter, 1, static_cast<int>(address & 0xFFFFU), static_cast<int>(lanes[0].operands.wide)};
}

void Machine::load_tensor(Thread* lanes) {
  constexpr Operation kLoad = Operation::kLoadTensor;
  TensorTransfer load{tensor_range(kLoad, lanes), {}, {}};
  as_tensor_actor(lanes, [&](const TensorActor& actor) {
    const auto fault = tensor().begin_load(load.range, actor);
    if (fault) fail(lanes[0], kLoad, *fault);
  });
  for (int lane = 0; lane < kWarpThreads; ++lane)
    load.registers[static_cast<std::size_t>(lane)] = lanes[lane].operands.tensor;
  warp_of(lanes[0]).tensor_loads.push_back(std::move(load));
}

void Machine::wait_tensor_loads(Thread* lanes) {
  constexpr Operation kWait = Operation::kWaitTensorLoads;
  Warp& warp = warp_of(lanes[0]);
  for (const TensorTransfer& load : std::exchange(warp.tensor_loads, {})) {
    for (int lane = 0; lane < kWarpThreads; ++lane) {
      TensorRegisters* const registers = load.registers[static_cast<std::size_t>(lane)];
      if (registers == nullptr)
        fail(lanes[lane], Operation::kLoadTensor, "has registers that ended before it was waited for");
      if (!registers->is_named()) fail(lanes[lane], kWait, "does not name registers that a load was to");
      registers->arrive();
      for (int i = 0; i < load.range.columns; ++i) {
        registers->data()[i] = tensor().word(load.range.first_quarter * kWarpThreads + lane, load.range.column + i);
      }
    }
    as_tensor_actor(lanes, [&](const TensorActor& actor) { tensor().end_load(load.range, actor); });
    warp.tensor_fenced = 0;
  }
}

void Machine::store_tensor(const Thread* lanes) {
  constexpr Operation kStore = Operation::kStoreTensor;
  TensorTransfer store{tensor_range(kStore, lanes), {}, {}};
  as_tensor_actor(lanes, [&](const TensorActor& actor) {
    const auto fault = tensor().begin_store(store.range, actor);
    if (fault) fail(lanes[0], kStore, *fault);
  });
  for (int lane = 0; lane < kWarpThreads; ++lane) {
    const std::uint32_t* const words = lanes[lane].operands.words;
    store.words.insert(store.words.end(), words, words + store.range.columns);
  }
  warp_of(lanes[0]).tensor_stores.push_back(std::move(store));
}

void Machine::wait_tensor_stores(const Thread* lanes) {
  Warp& warp = warp_of(lanes[0]);
  for (const TensorTransfer& store : std::exchange(warp.tensor_stores, {})) {
    auto word = store.words.begin();
    for (int lane = 0; lane < kWarpThreads; ++lane) {
      for (int i = 0; i < store.range.columns; ++i) {
        tensor().word(store.range.first_quarter * kWarpThreads + lane, store.range.column + i) = *word++;
      }
    }
    as_tensor_actor(lanes, [&](const TensorActor& actor) { tensor().end_store(store.range, actor); });
    warp.tensor_fenced = 0;
  }
}

/// Each lane's fence orders what that lane has loaded and stored: a warp's accesses are ordered when all have called
/// it. (PTX ISA: tcgen05.fence.)
void Machine::fence_tensor_before_sync() {
  tensor();
  Warp& warp = warp_of(*running_);
  warp.tensor_fenced |= lane_bit(*running_);
  if (warp.tensor_fenced != kAllLanes) return;
  warp.tensor_fenced = 0;
  const std::size_t component = tensor_fences_ + static_cast<std::size_t>(running_->index / kWarpThreads);
  warp.clock.resize(std::max(warp.clock.size(), component + 1), 0);
  ++warp.clock[component];
}

void Machine::fence_tensor_after_sync() { running_->tensor_view = warp_of(*running_).clock; }

void Machine::multiply(TensorProduct product) {
  maybe_switch();
  const Thread& self = *running_;
  product.thread = self.index;
  product.commit = 0;
  if (!tensor_products_.empty() && tensor_products_.back().thread / kWarpThreads != self.index / kWarpThreads) {
    fail(self, Operation::kTensorMultiply,
         fmt::format("is in flight together with one of thread {}: only within a warp their order is known",
                     tensor_products_.back().thread));
  }
  tensor();
  const Actor own = actor(self);
  begin_product(*this, self, {own.thread, own.warp, own.clock, &self.tensor_view}, product);
  tensor_products_.push_back(product);
  observe(Operation::kTensorMultiply, 0, product.sum & 0xFFFFU);
}

/// PTX ISA: tcgen05.commit: tracks the thread's own products that came before, and orders them as a
/// fence_tensor_before_sync() would.
void Machine::commit_tensor_products(SharedAddress barrier) {
  maybe_switch();
  constexpr Operation kCommit = Operation::kCommitTensorProducts;
  const Thread& self = *running_;
  if (!barrier_at(self, kCommit, barrier).fenced) {
    fail(self, kCommit,
         fmt::format("is to arrive at {}, which was made with no fence_barriers since then",
                     barrier_name(barrier.value, launch_.barrier_names)));
  }
  tensor();
  ++commits_;
  for (TensorProduct& product : tensor_products_) {
    if (product.commit == 0 && product.thread == self.index) product.commit = commits_;
  }
  Delivery delivery{{}, 0, barrier.value, self.index, {}};
  delivery.commit = commits_;
  delivery.past = past_of(warp_of(self));
  // Products were issued when boxes that the thread has waited for had landed: what they read, and all the others.
  const Clock& known = warp_of(self).clock;
  for (const auto& [address, each] : barriers_) {
    if (each.component >= known.size()) continue;
    delivery.clock.resize(std::max(delivery.clock.size(), each.component + 1), 0);
    delivery.clock[each.component] = known[each.component];
  }
  deliveries_.push_back(std::move(delivery));
  observe(kCommit, barrier.value);
  tick(warp_of(self));
}

void Machine::do_tensor_products(std::uint32_t commit) {
  while (!tensor_products_.empty() && tensor_products_.front().commit != 0 &&
         tensor_products_.front().commit <= commit) {
    execute_product(*this, tensor_products_.front());
    tensor_products_.pop_front();
  }
}

/// When a block ends nothing of it is allocated, and no commit is still to arrive: its barrier would be gone. (PTX ISA:
/// tcgen05.alloc: what is allocated must be freed before the kernel exits; mbarrier: its memory must be valid.)
void Machine::check_tensor_memory() const {
  if (!uses_tensor_) return;
  const auto fail_block = [this](const std::string& what) {
    throw Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", fmt::format("block {}: {}", block_, what));
  };
  if (const auto leak = tensor_.leak()) fail_block(*leak);
  for (const auto& [address, barrier] : barriers_) {
    const std::int64_t committed = barrier.committed;
    if (committed < 0 || std::any_of(barrier.seen.begin(), barrier.seen.end(),
                                     [committed](const Seen& seen) { return seen.phase >= committed; })) {
      continue;
    }
    fail_block(
        fmt::format("a commit of products arrives at {}, for whose phase {} nobody "
                    "waits: the block may be gone by then",
                    barrier_name(address, launch_.barrier_names), committed));
  }
}

void Machine::abandon(const TensorRegisters& registers) {
  for (TensorTransfer& load : warp_of(*running_).tensor_loads) {
    TensorRegisters*& own = load.registers[static_cast<std::size_t>(running_->index % kWarpThreads)];
    if (own == &registers) own = nullptr;
  }
}

void TensorRegisters::fail_touch() const {
  Machine::current().fail(Machine::current().running(), Operation::kLoadTensor,
                          "is in flight while registers that it is to are touched: it was not waited for");
}
void TensorRegisters::abandon() { Machine::current().abandon(*this); }

}  // namespace varlen::gpu::emulator
