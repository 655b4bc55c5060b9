// Orders other than the fixed one: different by seed, the same for the same seed, and what only they show.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "emulator/small_kernel.hpp"
#include "gpu/emulator/tensor_map.hpp"

namespace varlen::gpu::emulator::test {
namespace {

constexpr SchedulePolicy kPolicies[] = {SchedulePolicy::kFixed,    SchedulePolicy::kRandom, SchedulePolicy::kPriority,
                                        SchedulePolicy::kStarve,   SchedulePolicy::kEarly,  SchedulePolicy::kLate,
                                        SchedulePolicy::kUnordered};
constexpr std::uint64_t kSeeds = 40;

Launch launch_under(const Schedule& schedule, int threads, std::int64_t shared_bytes, int blocks = 1) {
  Launch launch{blocks, threads, shared_bytes};
  launch.schedule = schedule;
  return launch;
}

/// Warps by the order in which they arrive at a barrier, four times each.
std::vector<int> order_of_arrivals(const Schedule& schedule, int block = 0) {
  std::vector<int> order;
  EXPECT_EQ(fault_of(launch_under(schedule, 128, 64, block + 1),
                     [&] {
                       if (thread_index() == 0) init_barrier({0}, 16);
                       sync_block();
                       for (int i = 0; i < 4 && lane_index() == 0; ++i) {
                         arrive({0});
                         if (block_index() == block) order.push_back(warp_index());
                       }
                     }),
            "");
  return order;
}

TEST(Schedules, TheOrderDependsOnTheSeedAndOnNothingElse) {
  for (const SchedulePolicy policy : kPolicies) {
    std::set<std::vector<int>> orders;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      const std::vector<int> order = order_of_arrivals({policy, seed});
      EXPECT_EQ(order, order_of_arrivals({policy, seed})) << schedule_policy_name(policy) << ' ' << seed;
      orders.insert(order);
    }
    if (policy == SchedulePolicy::kFixed) {
      EXPECT_EQ(orders.size(), 1);
    } else {
      EXPECT_GT(orders.size(), 10) << schedule_policy_name(policy);
    }
  }
}

TEST(Schedules, BlocksDiffer) {
  for (const SchedulePolicy policy : kPolicies) {
    int different = 0;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      different += order_of_arrivals({policy, seed}, 0) != order_of_arrivals({policy, seed}, 1) ? 1 : 0;
    }
    EXPECT_EQ(different > 0, policy != SchedulePolicy::kFixed) << schedule_policy_name(policy);
  }
}

TEST(Schedules, StarvedWarpsAndWarpgroupsComeLast) {
  std::set<std::set<int>> last;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    std::vector<int> order;
    fault_of(launch_under({SchedulePolicy::kStarve, seed}, 256, 64), [&] {
      if (thread_index() == 0) init_barrier({0}, 1000);
      sync_block();
      for (int i = 0; i < 8 && lane_index() == 0; ++i) {
        arrive({0});
        order.push_back(warp_index());
      }
    });
    ASSERT_EQ(order.size(), 64);
    // The one that completes sync_block() goes on for one operation before it is starved.
    std::size_t starved = seed < 8 ? 7 : 31;
    last.insert(std::set<int>(order.end() - static_cast<std::ptrdiff_t>(starved), order.end()));
  }
  const std::set<std::set<int>> expected = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}, {0, 1, 2, 3}, {4, 5, 6, 7}};
  EXPECT_EQ(last, expected);
}

TEST(Schedules, LanesOfAWarpStayTogether) {
  for (const SchedulePolicy policy : kPolicies) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      EXPECT_EQ(fault_of(launch_under({policy, seed}, 64, 64),
                         [] {
                           if (thread_index() == 0) {
                             init_barrier({0}, 1);
                             init_barrier({8}, 1);
                           }
                           sync_block();
                           const bool produces = warp_index() == 0;
                           for (std::uint32_t i = 0; i < 20; ++i) {
                             if (produces) wait_for({8}, i % 2 ^ 1);
                             if (!produces) wait_for({0}, i % 2);
                             sync_warp();  // or one lane might go ahead of the others by a whole phase
                             if (lane_index() == 0) arrive({produces ? 0U : 8U});
                           }
                         }),
                "")
          << schedule_policy_name(policy) << ' ' << seed;
    }
  }
}

/// Sixteen tokens of one head of 64 elements.
struct Rows {
  alignas(16) std::uint16_t in[16 * 64] = {};
  GlobalMemory global{{{0, 16, 0, 16}}};
  TensorMap map;

  Rows() {
    global.add({Role::kKey, in, 2, 64, {}, {16, 64}, {1, 64}});
    map = encode_tensor_map(
        {reinterpret_cast<std::uint64_t>(in), {64, 1, 16, 1, 1}, {128, 128, 128, 128}, {64, 1, 8, 1, 1}});
  }
};

constexpr SharedAddress kBarriers{3072};
void make_two_barriers() {
  if (thread_index() == 0) {
    init_barrier(kBarriers, 1);
    init_barrier(kBarriers + 8, 1);
    fence_barriers();
  }
  sync_block();
}

/// Two boxes at a barrier each; the order in which their copies are seen to have landed, and whether at once.
std::string landings(const Schedule& schedule) {
  Rows rows;
  std::string seen;
  const std::string fault = fault_of(rows.global, launch_under(schedule, 96, 4096), [&] {
    enter_item(0, 0);
    make_two_barriers();
    if (thread_index() == 64) {
      for (std::uint32_t i = 0; i < 2; ++i) {
        arrive_expecting(kBarriers + 8 * i, 1024);
        load_box(shared_memory() + 1024 * i, rows.map, {0, 0, static_cast<std::int32_t>(8 * i), 0, 0},
                 kBarriers + 8 * i);
      }
      arrive_threads(1, 64);  // something that others can observe
      seen += '.';
    } else if (warp_index() < 2 && lane_index() == 0) {
      wait_for(kBarriers + 8 * static_cast<std::uint32_t>(warp_index()), 0);
      seen += static_cast<char>('a' + warp_index());
    }
  });
  EXPECT_EQ(fault, "");
  return seen;
}

TEST(Schedules, CopiesLandEarlyLateAndInAnyOrder) {
  std::set<std::string> early;
  std::set<std::string> late;
  std::set<std::string> unordered;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    early.insert(landings({SchedulePolicy::kEarly, seed}));
    late.insert(landings({SchedulePolicy::kLate, seed}));
    unordered.insert(landings({SchedulePolicy::kUnordered, seed}));
  }
  EXPECT_EQ(landings({}), ".ab");
  EXPECT_EQ(late, (std::set<std::string>{".ab"})) << "nobody waits for them until all others have finished";
  EXPECT_TRUE(early.contains("ab.") || early.contains("a.b")) << "before the thread that issues them goes on";
  EXPECT_TRUE(unordered.contains(".ab") && unordered.contains(".ba"));
  EXPECT_GT(unordered.size(), 3);
}

/// The first seed of a policy that shows a fault.
struct Found {
  Schedule schedule;
  std::string fault;
};
template <class Run>
Found find_fault(SchedulePolicy policy, const Run& run) {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    std::string fault = run(Schedule{policy, seed});
    if (!fault.empty()) return {{policy, seed}, std::move(fault)};
  }
  return {};
}

/// A loader brings eight rows at a time and tells a consumer; both count steps. With `waits` it first waits until the
/// consumer is done with the step before the last: without, it may be two phases ahead, and the consumer waits for one
/// that is over. In the fixed order copies land so late that this never happens.
std::string run_loader(const Schedule& schedule, bool waits) {
  Rows rows;
  constexpr std::uint32_t kSteps = 6;
  constexpr SharedAddress kLanded{8192};
  constexpr SharedAddress kFull{8200};
  constexpr SharedAddress kEmpty{8208};
  return fault_of(rows.global, launch_under(schedule, 64, 8320), [&] {
    enter_item(0, 0);
    if (thread_index() == 0) {
      for (const SharedAddress barrier : {kLanded, kFull, kEmpty}) init_barrier(barrier, 1);
      fence_barriers();
    }
    sync_block();
    if (lane_index() != 0) return;
    for (std::uint32_t step = 0; step < kSteps; ++step) {
      const SharedAddress place = shared_memory() + 1024 * step;
      if (warp_index() == 0) {
        if (waits) wait_for(kEmpty, step % 2 ^ 1);
        arrive_expecting(kLanded, 1024);
        load_box(place, rows.map, {0, 0, static_cast<std::int32_t>(step % 2 * 8), 0, 0}, kLanded);
        wait_for(kLanded, step % 2);
        arrive(kFull);
      } else {
        wait_for(kFull, step % 2);
        load_shared(place);
        arrive(kEmpty);
      }
    }
  });
}

TEST(PlantedOrderBugs, NobodyWaitsUntilAStageIsEmpty) {
  const auto faulty = [](const Schedule& schedule) { return run_loader(schedule, false); };
  const auto right = [](const Schedule& schedule) { return run_loader(schedule, true); };
  for (const SchedulePolicy policy : kPolicies) {
    EXPECT_EQ(find_fault(policy, right).fault, "") << schedule_policy_name(policy);
    const Found found = find_fault(policy, faulty);
    EXPECT_NE(found.fault.find("may go on only after the next phase is complete: nothing orders the two"),
              std::string::npos)
        << schedule_policy_name(policy) << ": " << found.fault;
    EXPECT_EQ(faulty(found.schedule), found.fault) << "the same once more";
  }
}

/// Reads both of two boxes when the second has landed: right if copies landed in order.
std::string run_in_order_reader(const Schedule& schedule, bool waits_for_both) {
  Rows rows;
  return fault_of(rows.global, launch_under(schedule, 64, 4096), [&] {
    enter_item(0, 0);
    make_two_barriers();
    if (thread_index() == 0) {
      for (std::uint32_t i = 0; i < 2; ++i) {
        const SharedAddress barrier = kBarriers + 8 * i;
        arrive_expecting(barrier, 1024);
        load_box(shared_memory() + 1024 * i, rows.map, {0, 0, static_cast<std::int32_t>(8 * i), 0, 0}, barrier);
      }
    } else if (thread_index() == 32) {
      if (waits_for_both) wait_for(kBarriers, 0);
      wait_for(kBarriers + 8, 0);
      load_shared({0});
      load_shared({1024});
    }
  });
}

/// In whichever order they land: one barrier says nothing of what lands with the other.
TEST(PlantedOrderBugs, CopiesAreThoughtToLandInOrder) {
  const auto faulty = [](const Schedule& schedule) { return run_in_order_reader(schedule, false); };
  for (const SchedulePolicy policy : kPolicies) {
    const std::string fault = find_fault(policy, faulty).fault;
    EXPECT_NE(fault.find("load_shared reads shared byte 0, "), std::string::npos) << fault;
    EXPECT_TRUE(fault.find("to which a copy of thread 0 is in flight") != std::string::npos ||
                fault.find("which a copy of thread 0 wrote with no wait for its barrier since then") !=
                    std::string::npos)
        << schedule_policy_name(policy) << ": " << fault;
    EXPECT_EQ(find_fault(policy, [](const Schedule& schedule) { return run_in_order_reader(schedule, true); }).fault,
              "");
  }
}

TEST(Schedules, CopiesOfAThreadArriveInOrder) {
  // cp.async.mbarrier.arrive is for all copies that the thread has started, also those of the arrival before.
  alignas(16) static std::uint16_t key[2 * 8] = {};
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    GlobalMemory global{{{0, 2, 0, 2}}};
    global.add({Role::kKey, key, 2, 8, {}, {2, 8}, {1, 8}});
    EXPECT_EQ(fault_of(global, launch_under({SchedulePolicy::kUnordered, seed}, 32, 128),
                       [] {
                         enter_item(0, 0);
                         if (lane_index() == 0) {
                           init_barrier({64}, 1);
                           init_barrier({72}, 1);
                           for (std::uint32_t i = 0; i < 2; ++i) {
                             copy_async_16({16 * i}, key + 8 * i, true);
                             copy_async_arrive({64 + 8 * i});
                           }
                           wait_for({72}, 0);
                           load_shared({0});
                         }
                       }),
              "")
        << seed;
  }
}

TEST(Schedules, DrawsAreSharedOutBySeed) {
  std::set<std::vector<int>> shares;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    std::int64_t counter = 0;
    GlobalMemory global({});
    global.add({Role::kCounter, &counter, 8, 1, {}, {}, {}});
    Launch launch = launch_under({SchedulePolicy::kRandom, seed}, 32, 0, 4);
    launch.draws = 40;
    std::vector<int> drawn(4);
    std::set<std::int64_t> all;
    EXPECT_EQ(fault_of(global, launch,
                       [&] {
                         if (lane_index() != 0) return;
                         for (std::int64_t last = -1, now = 0; (now = draw(&counter)) < 40; last = now) {
                           EXPECT_GT(now, last);
                           all.insert(now);
                           ++drawn[static_cast<std::size_t>(block_index())];
                         }
                       }),
              "");
    EXPECT_EQ(all.size(), 40);
    shares.insert(drawn);
  }
  EXPECT_GT(shares.size(), 20);
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
