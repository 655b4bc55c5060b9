// Kernels whose threads do not wait for each other as they must, and what the emulator says.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "emulator/small_kernel.hpp"

namespace varlen::gpu::emulator::test {
namespace {

SharedAddress own_granule() { return shared_memory() + static_cast<std::uint32_t>(thread_index()) * 16; }

TEST(OrderFaults, LanesInDifferentOperations) {
  EXPECT_EQ(fault_of({1, 64, 0},
                     [] {
                       if (thread_index() != 36) {
                         shuffle_xor(1.0F, 1);
                       } else {
                         float sum[4] = {};
                         const std::uint32_t a[4] = {};
                         multiply_add_16x8x16<Float16>(sum, a, 0, 0);
                       }
                     }),
            "block 0, warp 1, lane 4 (thread 36), no request: multiply_add_16x8x16 (fp16) diverges: 4 lanes of this "
            "warp wait in shuffle_xor, the first of them lane 0");
}

TEST(OrderFaults, LanesInOperationAndBarrier) {
  EXPECT_EQ(fault_of({1, 32, 0}, [] { lane_index() == 0 ? sync_block() : void(shuffle_xor(1.0F, 1)); }),
            "block 0, warp 0, lane 1 (thread 1), no request: shuffle_xor diverges: 1 lane of this warp waits in "
            "sync_block, the first of them lane 0");
  EXPECT_EQ(fault_of({1, 32, 0}, [] { lane_index() == 5 ? sync_block() : void(shuffle_xor(1.0F, 1)); }),
            "block 0, warp 0, lane 5 (thread 5), no request: sync_block diverges: 5 lanes of this warp wait in "
            "shuffle_xor, the first of them lane 0");
}

TEST(OrderFaults, DeadlockAtABarrier) {
  EXPECT_EQ(fault_of({1, 128, 0},
                     [] {
                       enter_item(7, 3);
                       if (warp_index() != 2) sync_block();
                     }),
            "block 0 is deadlocked: 96 threads wait at sync_block, 32 have finished; the first that waits is warp 0, "
            "lane 0 (thread 0), item 7, request 3");
}

TEST(OrderFaults, DeadlockInAWarp) {
  EXPECT_EQ(fault_of({1, 32, 0},
                     [] {
                       if (lane_index() != 0) shuffle_xor(1.0F, 1);
                     }),
            "block 0 is deadlocked: 31 threads wait at shuffle_xor, 1 has finished; the first that waits is warp 0, "
            "lane 1 (thread 1), no request");
}

TEST(OrderFaults, DeadlockAcrossWarps) {
  EXPECT_EQ(fault_of({1, 64, 0},
                     [] {
                       if (warp_index() == 0) sync_block();
                       if (lane_index() != 0) shuffle_xor(1.0F, 1);
                     }),
            "block 0 is deadlocked: 32 threads wait at sync_block, 31 threads wait at shuffle_xor, 1 has finished; "
            "the first that waits is warp 0, lane 0 (thread 0), no request");
}

TEST(OrderFaults, ReadWithoutABarrierAfterAWrite) {
  EXPECT_EQ(fault_of({1, 64, 1024},
                     [] {
                       store_shared(own_granule(), {});
                       shuffle_xor(1.0F, 1);
                       std::uint32_t matrix[4];
                       load_matrices(matrix, own_granule());
                     }),
            "block 0, warp 0, lane 0 (thread 0), no request: load_matrices reads shared byte 0, which thread 0 wrote "
            "with no barrier since then");
}

TEST(OrderFaults, WriteWithoutABarrierAfterARead) {
  EXPECT_EQ(fault_of({1, 64, 1024},
                     [] {
                       store_shared(own_granule(), {});
                       sync_block();
                       std::uint32_t matrix[4];
                       if (warp_index() == 1) load_matrices(matrix, own_granule());
                       if (warp_index() == 0) store_shared(own_granule() + 512, {});
                     }),
            "block 0, warp 0, lane 0 (thread 0), no request: store_shared writes shared byte 512, which warp 1 read "
            "with no barrier since then");
}

TEST(OrderFaults, TwoWritersWithoutABarrier) {
  EXPECT_EQ(fault_of({1, 32, 1024}, [] { store_shared(shared_memory(), {}); }),
            "block 0, warp 0, lane 1 (thread 1), no request: store_shared writes shared byte 0, which thread 0 wrote "
            "with no barrier since then");
}

TEST(OrderFaults, ImpossibleLaunch) {
  EXPECT_EQ(fault_of({1, 48, 0}, [] {}), "a launch of 48 threads a block: whole warps, at most 1024, are possible");
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
