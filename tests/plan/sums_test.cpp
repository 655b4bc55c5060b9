// The checker's sums and simulation: right on a plan worked out by hand, and a report that differs anywhere is refused.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "plan_checker.hpp"
#include "plan_sums.hpp"

namespace varlen::plan_test {
namespace {

// One head; tiles of 4 rows and key blocks of 2 keys; two workers; no mask.
//   request 0: 6 queries on 7 keys: tokens 0-3 in two parts of 3 and 1 blocks, tokens 4-5 whole, 4 blocks
//   request 1: 1 query on no keys
struct Example {
  BatchCase batch;
  PlanTarget target;
  PlanOutput plan;
  PlanReport report;
};

Example example() {
  Example e;
  e.batch.query_lengths = {6, 1};
  e.batch.key_lengths = {7, 0};
  e.target.tile_shapes = {{4, 16}, {2, 10}};
  e.target.key_block = 2;
  e.target.workers = 2;
  e.target.item_cost = 24;
  e.target.split_cost = 32;
  e.plan.items = {
      {0, 4, 0, 6, 0, 0, 0, 0, 1, 0, 0, 2, 0},    // 3 · 16 + 24 + 32 = 104: worker 0 from 0 to 104
      {4, 2, 0, 7, -1, 0, 0, 0, 1, 1, 0, 1, -1},  // 4 · 10 + 24 = 64: worker 1 from 0 to 64
      {0, 4, 6, 7, 4, 0, 0, 0, 1, 0, 1, 2, 0},    // 1 · 16 + 24 + 32 = 72: worker 1 from 64 to 136
      {0, 1, 0, 0, -1, 1, 0, 0, 1, 1, 0, 1, -1},  // 24: worker 0 from 104 to 128
  };
  e.plan.merges = {{0, 4, 0, 0, 0, 0, 1, 2, 0}};
  e.plan.partial_rows = 8;
  e.report.requests = 2;
  e.report.tiles = 3;
  e.report.blind_tiles = 1;
  e.report.items = 4;
  e.report.simulated_items = 4;
  e.report.splits = 1;
  e.report.partial_slots = 2;
  e.report.partial_rows = 8;
  e.report.live_rows = 7;
  e.report.tile_rows = 8;
  e.report.key_blocks = 8;
  e.report.padded_tiles = 4;
  e.report.workers = 2;
  e.report.mean = 264.0 / 16 / 2;
  e.report.makespan = 136.0 / 16;
  e.report.makespan_over_mean = 136.0 / 132;
  e.report.makespan_over_unsplit_mean = 136.0 / 88;  // without 2 · 32 for splitting and 24 for the second part
  return e;
}

TEST(PlanSums, AgreeWithAPlanWorkedOutByHand) {
  const Example e = example();
  ASSERT_EQ(plan_fault(e.batch, e.target, e.plan), "");
  EXPECT_EQ(report_fault(e.batch, e.target, e.plan, e.report), "");
  const std::vector<ScheduledItem> scheduled = {{0, 0, 0, 104}, {1, 1, 0, 64}, {2, 1, 64, 136}, {3, 0, 104, 128}};
  EXPECT_EQ(simulation_fault(e.target, e.plan, scheduled), "");
}

TEST(PlanSums, RefuseAReportThatDiffersInOneField) {
  const std::vector<std::function<void(PlanReport&)>> changes = {
      [](PlanReport& r) { ++r.requests; },
      [](PlanReport& r) { --r.tiles; },
      [](PlanReport& r) { ++r.empty_tiles; },
      [](PlanReport& r) { --r.blind_tiles; },
      [](PlanReport& r) { ++r.items; },
      [](PlanReport& r) { --r.simulated_items; },
      [](PlanReport& r) { ++r.splits; },
      [](PlanReport& r) { --r.partial_slots; },
      [](PlanReport& r) { ++r.partial_rows; },
      [](PlanReport& r) { --r.live_rows; },
      [](PlanReport& r) { ++r.tile_rows; },
      [](PlanReport& r) { ++r.key_blocks; },
      [](PlanReport& r) { --r.padded_tiles; },
      [](PlanReport& r) { ++r.workers; },
      [](PlanReport& r) { r.mean += 0.0625; },
      [](PlanReport& r) { r.makespan -= 0.0625; },
      [](PlanReport& r) { r.makespan_over_mean = 1; },
      [](PlanReport& r) { r.makespan_over_unsplit_mean = r.makespan_over_mean; },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Example e = example();
    changes[i](e.report);
    EXPECT_NE(report_fault(e.batch, e.target, e.plan, e.report), "") << "change " << i;
  }
}

TEST(PlanSums, RefuseADishonestSimulation) {
  const Example e = example();
  const std::vector<std::vector<ScheduledItem>> dishonest = {
      {{0, 0, 0, 104}, {1, 1, 0, 64}, {2, 1, 64, 136}},                    // an item left out
      {{0, 0, 0, 104}, {1, 1, 0, 64}, {2, 1, 64, 136}, {3, 1, 104, 128}},  // two items on one worker at once
      {{0, 0, 0, 104}, {1, 1, 0, 64}, {2, 1, 64, 136}, {3, 1, 136, 160}},  // not the worker that is free first
      {{0, 0, 0, 104}, {1, 1, 0, 64}, {2, 1, 64, 104}, {3, 0, 104, 128}},  // a part without its cost of splitting
      {{0, 0, 0, 104}, {1, 1, 0, 64}, {2, 1, 64, 136}, {3, 2, 104, 128}},  // a worker too many
      {{1, 0, 0, 104}, {0, 1, 0, 64}, {2, 1, 64, 136}, {3, 0, 104, 128}},  // not ordered by item
  };
  for (std::size_t i = 0; i < dishonest.size(); ++i) {
    EXPECT_NE(simulation_fault(e.target, e.plan, dishonest[i]), "") << "schedule " << i;
  }
}

TEST(PlanSums, RefuseSplitsThatDependOnOtherRequests) {
  const Example e = example();
  PlanOutput alone = e.plan;
  alone.items.pop_back();
  EXPECT_EQ(invariance_fault(e.plan, 0, alone), "");
  alone.items[0].key_end = 4;
  alone.items[2].key_begin = 4;
  EXPECT_NE(invariance_fault(e.plan, 0, alone), "");
  alone = e.plan;
  alone.items = {alone.items[1], {0, 4, 0, 7, -1, 0, 0, 0, 1, 0, 0, 1, -1}};
  EXPECT_NE(invariance_fault(e.plan, 0, alone), "");
  alone.items.clear();
  EXPECT_NE(invariance_fault(e.plan, 0, alone), "");
}

}  // namespace
}  // namespace varlen::plan_test
