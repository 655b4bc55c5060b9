// Closed forms over runs against a walk over the items.
#include "plan/item_sums.hpp"

#include <gtest/gtest.h>

#include "random_plan.hpp"

namespace varlen {
namespace {

TEST(ItemSums, OfRunsAreThoseOfTheirItems) {
  std::mt19937_64 random(13);
  std::int64_t items = 0;
  std::int64_t in_runs = 0;
  std::int64_t cut_runs = 0;
  std::int64_t blind = 0;
  for (int round = 0; round < 4000; ++round) {
    const Plan plan = report_test::random_plan(random, round % 10 == 0 ? 20'000 : 700);
    const PlanData& data = plan.data();
    const ItemSums walked = sum_items(data);
    const ItemSums summed = sum_runs(data);
    ASSERT_EQ(summed.tiles, walked.tiles) << "round " << round;
    ASSERT_EQ(summed.blind_tiles, walked.blind_tiles) << "round " << round;
    ASSERT_EQ(summed.live_rows, walked.live_rows) << "round " << round;
    ASSERT_EQ(summed.tile_rows, walked.tile_rows) << "round " << round;
    ASSERT_EQ(summed.key_blocks, walked.key_blocks) << "round " << round;
    ASSERT_EQ(summed.cost, walked.cost) << "round " << round;
    ASSERT_TRUE(summed == walked) << "round " << round;
    items += plan.item_count();
    in_runs += data.run_items;
    blind += walked.blind_tiles;
    for (const varlen::Run& run : data.runs) {
      const RequestExtent& request = data.batch.requests[static_cast<std::size_t>(run.request)];
      cut_runs +=
          run.tiles < tiles_of(run.cut, data.batch.group, request.query_length, request.key_length).tiles ? 1 : 0;
    }
  }
  EXPECT_GT(in_runs, items / 4);
  EXPECT_GT(cut_runs, 50);  // whose other tiles are listed
  EXPECT_GT(blind, 1000);
}

}  // namespace
}  // namespace varlen
