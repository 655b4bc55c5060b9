// Barriers that are used before they are there, again before all have seen them, or twice by one; and global memory
// that nothing orders.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "emulator/small_kernel.hpp"

namespace varlen::gpu::emulator::test {
namespace {

constexpr SharedAddress kFull{64};
constexpr SharedAddress kEmpty{80};

void expect_fault(const std::string& fault, const std::string& expected) {
  EXPECT_NE(fault.find(expected), std::string::npos) << fault;
}

TEST(BarrierFaults, UsedByOthersBeforeTheyKnowThatItIsThere) {
  expect_fault(
      fault_of({1, 64, 128},
               [] {
                 if (thread_index() == 0) init_barrier(kFull, 1);
                 if (thread_index() == 32) arrive(kFull);
               }),
      "warp 1, lane 0 (thread 32), no request: arrive is at shared byte 64, where thread 0 made a barrier with "
      "no barrier since then");
}

TEST(BarrierFaults, ItsMemoryIsNothingElse) {
  expect_fault(fault_of({1, 32, 128},
                        [] {
                          if (thread_index() != 0) return;
                          init_barrier(kFull, 1);
                          store_shared({64}, {});
                        }),
               "store_shared writes shared byte 64, where a barrier is");
  expect_fault(fault_of({1, 32, 128},
                        [] {
                          if (thread_index() != 0) return;
                          init_barrier({72}, 1);
                          load_shared({64});
                        }),
               "load_shared reads shared byte 64, where a barrier is");
  expect_fault(fault_of({1, 64, 128},
                        [] {
                          if (thread_index() == 0) store_shared({64}, {});
                          if (thread_index() == 32) init_barrier(kFull, 1);
                        }),
               "init_barrier writes shared byte 64, which thread 0 wrote with no barrier since then");
}

/// Warp 0 fills again and again, warp 1 empties, which is `acknowledged` by a second barrier or not at all.
std::string fill_and_empty(bool acknowledged) {
  return fault_of({1, 64, 128}, [acknowledged] {
    if (thread_index() == 0) {
      init_barrier(kFull, 1);
      init_barrier(kEmpty, 1);
    }
    fence_barriers();
    sync_block();
    if (lane_index() != 0) return;
    for (std::uint32_t step = 0; step < 4; ++step) {
      if (warp_index() == 1) {
        wait_for(kFull, step % 2);
        if (acknowledged) arrive(kEmpty);
      } else {
        if (acknowledged) wait_for(kEmpty, step % 2 ^ 1U);
        arrive(kFull);
      }
    }
  });
}

TEST(BarrierFaults, ThePhaseAfterMustComeAfterAllHaveSeenThisOne) {
  EXPECT_EQ(fill_and_empty(true), "");
  expect_fault(
      fill_and_empty(false),
      "warp 1, lane 0 (thread 32), no request: wait_for for phase 0 of the barrier at shared byte 64 may go on "
      "only after the next phase is complete: nothing orders the two");
}

TEST(BarrierFaults, OneThatArrivesTwiceAtANamedBarrier) {
  expect_fault(fault_of({1, 64, 0},
                        [] {
                          if (warp_index() == 0) {
                            arrive_threads(3, 64);
                            arrive_threads(3, 64);
                          }
                        }),
               "arrive_threads of barrier 3 comes a second time before the others have arrived");
}

TEST(GlobalOrder, WithinABlockABarrierOrders) {
  const auto kernel = [](bool sync) {
    SmallMemory memory;
    return fault_of(memory.global, {1, 64, 0}, [&] {
      enter_item(0, SmallMemory::kRequest);
      float* const word = memory.partials + 2 * SmallMemory::kRow;
      if (thread_index() == 0) store_global(word, 1.0F);
      if (sync) sync_block();
      if (warp_index() == 1) load_global(word);
    });
  };
  EXPECT_EQ(kernel(true), "");
  expect_fault(kernel(false), "load_global of 4 bytes reads what thread 0 of block 0 wrote with no barrier since then");
}

TEST(GlobalOrder, NothingOrdersTheBlocksOfALaunch) {
  SmallMemory memory;
  Machine machine(memory.global);
  const auto run = [&](bool write, bool read) {
    try {
      machine.launch({2, 32, 0}, [&] {
        enter_item(0, SmallMemory::kRequest);
        float* const word = memory.partials + 2 * SmallMemory::kRow + 1;
        if (write && block_index() == 0 && thread_index() == 0) store_global(word, 1.0F);
        if (read && block_index() == 1) load_global(word);
      });
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(run(true, false), "");
  EXPECT_EQ(run(false, true), "");  // what an earlier launch wrote
  SmallMemory other;
  EXPECT_NE(fault_of(other.global, {2, 32, 0},
                     [&] {
                       enter_item(0, SmallMemory::kRequest);
                       float* const word = other.partials + 2 * SmallMemory::kRow + 1;
                       if (block_index() == 0 && thread_index() == 0) store_global(word, 1.0F);
                       if (block_index() == 1) load_global(word);
                     })
                .find("reads what thread 0 of block 0 wrote with no barrier since then"),
            std::string::npos);
}

/// Warps 1 and 2 read, then thread 0 writes, after a barrier with those of `synced` warps that have read.
TEST(GlobalOrder, WritesAfterReadsNeedABarrierWithAllReaders) {
  const auto kernel = [](int synced) {
    std::int32_t words[8] = {};
    GlobalMemory memory({});
    memory.add({Role::kPlan, words, 4, 8, {}, {}, {}});
    return fault_of(memory, {1, 96, 0}, [&] {
      if (warp_index() > 0) load_global(words);
      if (warp_index() == 0) sync_threads(1, 32 * (synced + 1));
      if (warp_index() > 0 && warp_index() <= synced) arrive_threads(1, 32 * (synced + 1));
      if (thread_index() == 0) store_global(words, 1);
    });
  };
  EXPECT_EQ(kernel(2), "");
  expect_fault(kernel(1), "store_global of 4 bytes writes what thread 95 of block 0 read with no barrier since then");
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
