// What is told of a fault beside its one line, and the page that shows what happened when.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "emulator/small_kernel.hpp"
#include "gpu/emulator/trace.hpp"

namespace varlen::gpu::emulator::test {
namespace {

struct Told {
  std::string message;
  std::vector<std::string> events;
  std::string page;

  bool has_event(const std::string& part) const {
    return std::any_of(events.begin(), events.end(),
                       [&](const std::string& line) { return line.find(part) != std::string::npos; });
  }
};

Told run(const Launch& launch, const std::function<void()>& kernel) {
  GlobalMemory none({});
  Trace trace;
  Launch traced = launch;
  traced.trace = &trace;
  Told told;
  std::vector<std::string> events;
  for (const Launch& each : {launch, traced}) {
    Machine machine(none);
    try {
      machine.launch(each, kernel);
    } catch (const EmulatorFault& fault) {
      told.message = fault.what();
      told.events = fault.events();
    }
    if (each.trace == nullptr) events = told.events;
  }
  EXPECT_EQ(told.events, events) << "a trace changes nothing";
  told.page = trace.page("a test");
  return told;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

constexpr SharedAddress kBarrier{64};

/// Warp 1 waits for a second arrival at a barrier that warp 0 arrives at once.
Told deadlock() {
  return run({1, 64, 128}, [] {
    if (thread_index() == 0) init_barrier(kBarrier, 2);
    sync_block();
    if (thread_index() == 0) {
      store_shared({0}, {});
      arrive(kBarrier);
    }
    if (warp_index() == 1) wait_for(kBarrier, 0);
  });
}

TEST(Events, ADeadlockTellsWhoWaitsForWhatAndWhoArrivedLast) {
  const Told told = deadlock();
  ASSERT_FALSE(told.events.empty());
  EXPECT_EQ(
      told.events[0].rfind("warp 1 waits in wait_for for the barrier at shared byte 64: 0 phases are complete, the "
                           "next lacks 1 of 2 arrivals and 0 bytes; the last to come was warp 0 in step ",
                           0),
      0)
      << told.events[0];
  EXPECT_TRUE(told.has_event("warp  1: waits in wait_for parity 0 of the barrier at shared byte 64 (all lanes)"));
  EXPECT_TRUE(told.has_event("warp  0: arrive at the barrier at shared byte 64 (lane 0)"));
  EXPECT_TRUE(told.has_event("warp  0: store_shared at shared byte 0 (lane 0)"));
}

TEST(Events, AFaultTellsOfBothParties) {
  const Told told = run({1, 96, 128}, [] {
    if (thread_index() == 64) store_shared({32}, {});
    if (thread_index() == 32) store_shared({16}, {});
    if (thread_index() != 0) return;
    arrive_threads(1, 64);
    load_shared({16});
  });
  // Warp 0 is first in the fixed order, so nothing is there to be read yet.
  EXPECT_EQ(
      told.message,
      "block 0, warp 0, lane 0 (thread 0), no request: load_shared reads shared byte 16, which was never written");
  EXPECT_TRUE(told.has_event("warp  0: arrive_threads at barrier 1 (lane 0)"));
  const Told race = run({1, 96, 128}, [] {
    if (thread_index() == 32) load_shared({16});
    if (thread_index() == 0) store_shared({16}, {});
    if (thread_index() == 64) store_shared({32}, {});
  });
  EXPECT_NE(race.message.find("which thread 0 wrote with no barrier since then"), std::string::npos);
  EXPECT_TRUE(race.has_event("warp  0: store_shared at shared byte 16 (lane 0)"));
  EXPECT_FALSE(race.has_event("warp  2")) << "no party";
}

TEST(Events, LanesAndRepetitionsAreOneEvent) {
  const Told told = run({1, 32, 2048}, [] {
    for (std::uint32_t i = 0; i < 3; ++i) {
      store_shared({512 * i + 16 * static_cast<std::uint32_t>(lane_index())}, {});
    }
    arrive_threads(1, 64);
    sync_threads(1, 96);
  });
  EXPECT_EQ(told.events,
            (std::vector<std::string>{"step     1, warp  0: store_shared at shared byte 0 and others, 3 times (lane 0)",
                                      "step     2, warp  0: arrive_threads at barrier 1 (lane 0)"}));
}

TEST(Events, OnlyTheLastOnesAreTold) {
  const Told told = run({1, 32, 64}, [] {
    if (lane_index() != 0) return;
    init_barrier({0}, 1);
    for (std::uint32_t i = 0; i < 200; ++i) {
      arrive({0});
      wait_for({0}, i % 2);
    }
    wait_for({0}, 0);
  });
  EXPECT_LE(told.events.size(), 9);
  EXPECT_TRUE(told.has_event("step   401, warp  0: waits in wait_for parity 0")) << told.events.back();
}

TEST(TracePage, ShowsWarpsBarriersAndWhoWaitsToTheEnd) {
  const Told told = deadlock();
  EXPECT_NE(told.page.find("block 0 is deadlocked: 32 threads wait at wait_for"), std::string::npos);
  EXPECT_EQ(count(told.page, "class=\"stuck\""), 2) << "one in the legend";
  EXPECT_EQ(count(told.page, "class=\"stuck-link\""), 1);
  EXPECT_EQ(count(told.page, ">warp 0</text>"), 1);
  EXPECT_EQ(count(told.page, ">warp 1</text>"), 1);
  EXPECT_EQ(count(told.page, ">barrier at byte 64</text>"), 1);
  EXPECT_NE(told.page.find("phase 0 (parity 0), not complete"), std::string::npos);
  EXPECT_EQ(count(told.page, "http"), 1) << "nothing is loaded from elsewhere, but for the namespace";
}

TEST(TracePage, ShowsGroupsOfProducts) {
  const Told told = run({1, 128, 16384}, [] {
    for (std::uint32_t i = 0; i < 8; ++i) {
      store_shared({16 * static_cast<std::uint32_t>(thread_index()) + 2048 * i}, {});
    }
    fence_shared_for_products();
    sync_block();
    Sums<1> sum;
    for (int group = 0; group < 2; ++group) {
      warpgroup_fence();
      warpgroup_multiply<Float16, 1>(sum, matrix_descriptor({0}, 1024, 1024), matrix_descriptor({8192}, 1024, 1024),
                                     false);
      warpgroup_commit();
      warpgroup_wait<0>();
    }
  });
  EXPECT_EQ(told.message, "");
  EXPECT_NE(told.page.find("products of group 0"), std::string::npos);
  EXPECT_NE(told.page.find("products of group 1"), std::string::npos);
  EXPECT_EQ(told.page.find("never waited for"), std::string::npos);
}

TEST(TracePage, SaysWhatItLeavesOut) {
  const auto busy = [](bool fails) {
    return run({4, 32, 64}, [fails] {
      if (lane_index() != 0) return;
      init_barrier({0}, 1);
      for (std::uint32_t i = 0; i < 3000; ++i) {
        arrive({0});
        wait_for({0}, i % 2);
      }
      if (fails && block_index() == 2) wait_for({0}, 0);
    });
  };
  EXPECT_NE(busy(false).page.find("3 more blocks are not shown: a page holds at most 12,000 events"),
            std::string::npos);
  const std::string page = busy(true).page;
  EXPECT_EQ(page.find("not shown"), std::string::npos);
  EXPECT_NE(page.find("block 2: 6,001 steps"), std::string::npos);
  EXPECT_LT(page.size(), 4'000'000);
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
