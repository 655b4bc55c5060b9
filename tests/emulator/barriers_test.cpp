// Barriers in shared memory, barriers of some warps, and what goes wrong with them.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "emulator/small_kernel.hpp"

namespace varlen::gpu::emulator::test {
namespace {

constexpr SharedAddress kBarrier{64};

std::string fault_with_barrier(int threads, int arrivals, const std::function<void()>& kernel) {
  return fault_of({1, threads, 128}, [&] {
    if (thread_index() == 0) init_barrier(kBarrier, arrivals);
    fence_barriers();
    sync_block();
    kernel();
  });
}

TEST(Barriers, HoldThoseWhoWaitUntilAllHaveArrived) {
  int arrived = 0;
  std::vector<int> seen;
  EXPECT_EQ(fault_with_barrier(96, 32,
                               [&] {
                                 if (warp_index() == 2) {
                                   for (std::uint32_t phase = 0; phase < 3; ++phase) {
                                     wait_for(kBarrier, phase % 2);
                                     if (lane_index() == 0) seen.push_back(arrived);
                                     sync_threads(1, 64);
                                   }
                                 } else if (warp_index() == 1) {
                                   for (int phase = 0; phase < 3; ++phase) {
                                     ++arrived;
                                     arrive(kBarrier);
                                     sync_threads(1, 64);
                                   }
                                 }
                               }),
            "");
  EXPECT_EQ(seen, (std::vector<int>{32, 64, 96}));
}

TEST(Barriers, ParityOneIsCompleteBeforeTheFirstPhase) {
  EXPECT_EQ(fault_with_barrier(32, 1, [] { wait_for(kBarrier, 1); }), "");
}

TEST(Barriers, WhatWasWrittenBeforeAnArrivalIsSeenAfterTheWait) {
  const auto kernel = [](bool wait) {
    return fault_with_barrier(64, 1, [wait] {
      if (thread_index() == 0) {
        store_shared(shared_memory(), {});
        arrive(kBarrier);
      }
      if (warp_index() == 1) {
        if (wait) wait_for(kBarrier, 0);
        load_shared(shared_memory());
      }
    });
  };
  EXPECT_EQ(kernel(true), "");
  const std::string fault = kernel(false);
  EXPECT_NE(fault.find("load_shared reads shared byte 0, which was never written"), std::string::npos) << fault;
}

TEST(Barriers, DeadlockTellsWhatIsMissing) {
  EXPECT_EQ(
      fault_with_barrier(32, 40,
                         [] {
                           arrive(kBarrier);
                           wait_for(kBarrier, 0);
                         }),
      "block 0 is deadlocked: 32 threads wait at wait_for, 0 have finished; the first that waits is warp 0, lane 0 "
      "(thread 0), no request, for 8 of 40 arrivals and 0 bytes at the barrier at shared byte 64");
}

TEST(Barriers, WrongParityIsADeadlock) {
  EXPECT_NE(fault_with_barrier(32, 32,
                               [] {
                                 arrive(kBarrier);
                                 wait_for(kBarrier, 0);
                                 wait_for(kBarrier, 1);  // of the phase that nobody arrives in
                               })
                .find("deadlocked: 32 threads wait at wait_for"),
            std::string::npos);
}

TEST(Barriers, Misused) {
  EXPECT_EQ(fault_of({1, 32, 128}, [] { arrive({8}); }),
            "block 0, warp 0, lane 0 (thread 0), no request: arrive is at shared byte 8, where no barrier is");
  EXPECT_EQ(fault_of({1, 32, 128}, [] { init_barrier({4}, 1); }),
            "block 0, warp 0, lane 0 (thread 0), no request: init_barrier has a shared address 4 bytes past a multiple "
            "of 8");
  EXPECT_EQ(
      fault_of({1, 32, 128}, [] { init_barrier({128}, 1); }),
      "block 0, warp 0, lane 0 (thread 0), no request: init_barrier is at shared byte 128, of which the block has "
      "128");
  EXPECT_EQ(fault_of({1, 32, 128}, [] { init_barrier({0}, 0); }),
            "block 0, warp 0, lane 0 (thread 0), no request: init_barrier has 0 arrivals");
  EXPECT_EQ(fault_of({1, 32, 128}, [] { init_barrier({0}, 1); }),
            "block 0, warp 0, lane 1 (thread 1), no request: init_barrier is at shared byte 0, where a barrier is");
  EXPECT_EQ(fault_with_barrier(32, 1,
                               [] {
                                 if (lane_index() == 0) arrive_expecting(kBarrier, 16);
                                 if (lane_index() == 1) arrive(kBarrier);
                               }),
            "block 0, warp 0, lane 1 (thread 1), no request: arrive is one more than the 1 arrivals of the barrier at "
            "shared byte 64");
}

TEST(NamedBarriers, HoldThoseWhoWaitButNotThoseWhoArrive) {
  std::vector<int> order;
  EXPECT_EQ(fault_of({1, 64, 0},
                     [&] {
                       if (warp_index() == 0) {
                         sync_threads(3, 64);
                         if (lane_index() == 0) order.push_back(2);
                       } else {
                         if (lane_index() == 0) order.push_back(1);
                         arrive_threads(3, 64);
                       }
                     }),
            "");
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(NamedBarriers, Misused) {
  EXPECT_EQ(fault_of({1, 32, 0}, [] { sync_threads(16, 32); }),
            "block 0, warp 0, lane 0 (thread 0), no request: sync_threads has the id 16, which is not from 1 to 15");
  EXPECT_EQ(fault_of({1, 64, 0}, [] { sync_threads(2, warp_index() == 0 ? 64 : 32); }),
            "block 0, warp 1, lane 0 (thread 32), no request: sync_threads of barrier 2 counts 32 threads, but others "
            "count 64");
  EXPECT_EQ(fault_of({1, 32, 0}, [] { sync_threads(2, 64); }),
            "block 0 is deadlocked: 32 threads wait at sync_threads, 0 have finished; the first that waits is warp 0, "
            "lane 0 (thread 0), no request");
}

TEST(SyncWarp, OrdersTheLanesAccesses) {
  const auto kernel = [](bool sync) {
    return fault_of({1, 32, 512}, [sync] {
      store_shared(shared_memory() + static_cast<std::uint32_t>(16 * lane_index()), {});
      count_votes(true);  // all lanes have written, but what one wrote others need not see
      if (sync) sync_warp();
      load_shared(shared_memory() + static_cast<std::uint32_t>(16 * (lane_index() ^ 1)));
    });
  };
  EXPECT_EQ(kernel(true), "");
  const std::string fault = kernel(false);
  EXPECT_NE(fault.find("wrote with no barrier since then"), std::string::npos) << fault;
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
