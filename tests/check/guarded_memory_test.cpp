#include "check/guarded_memory.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace varlen::check {
namespace {

TEST(GuardedMemory, BeginsOrEndsAtTheGuard) {
  for (const std::size_t bytes : {1U, 7U, 4095U, 4096U, 4097U, 100'000U}) {
    for (const auto side : {GuardedMemory::Side::kFront, GuardedMemory::Side::kBack}) {
      GuardedMemory memory(bytes, 1, side);
      std::memset(memory.data(), 1, bytes);
      EXPECT_TRUE(memory.canaries_intact());
      const std::byte* const guard = side == GuardedMemory::Side::kFront ? memory.data() : memory.data() + bytes;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(guard) % 4096, 0U);
    }
  }
}

TEST(GuardedMemoryDeathTest, AccessBeyondEitherGuardEndsTheProcess) {
  GuardedMemory back(100, 4, GuardedMemory::Side::kBack);
  EXPECT_DEATH(*const_cast<volatile std::byte*>(back.data() + 100) = std::byte{0}, "");
  GuardedMemory front(100, 4, GuardedMemory::Side::kFront);
  EXPECT_DEATH(*const_cast<volatile std::byte*>(front.data() - 1) = std::byte{0}, "");
  GuardedMemory empty(0, 64, GuardedMemory::Side::kBack);
  EXPECT_DEATH(*const_cast<volatile std::byte*>(empty.data()) = std::byte{0}, "");
}

TEST(GuardedMemory, AlignsTheBeginningAndWatchesTheRest) {
  GuardedMemory memory(100, 64, GuardedMemory::Side::kBack);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.data()) % 64, 0U);
  memory.data()[100] = std::byte{7};
  EXPECT_FALSE(memory.canaries_intact());
  GuardedMemory before(100, 64, GuardedMemory::Side::kBack);
  before.data()[-1] = std::byte{7};
  EXPECT_FALSE(before.canaries_intact());
}

TEST(WatchedMemory, AcceptsOnlyWhatItWasTold) {
  WatchedMemory memory(64, 4, GuardedMemory::Side::kBack);
  std::memset(memory.data(), 0, 64);
  memory.watch();
  EXPECT_TRUE(memory.unchanged());
  memory.data()[10] = std::byte{1};
  EXPECT_FALSE(memory.unchanged());
  memory.accept(memory.data() + 8, 4);
  EXPECT_TRUE(memory.unchanged());
  memory.data()[12] = std::byte{1};
  EXPECT_FALSE(memory.unchanged());
}

}  // namespace
}  // namespace varlen::check
