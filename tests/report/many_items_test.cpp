// Plans of more items than a report looks at one by one.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>

#include "plan/item_sums.hpp"
#include "random_plan.hpp"

namespace varlen {
namespace {

constexpr std::int64_t kMostSimulated = std::int64_t{1} << 20;

void expect_close_to_the_whole(const Plan& plan) {
  ASSERT_GT(plan.item_count(), kMostSimulated);
  const PlanReport report = plan.report();
  EXPECT_EQ(report.items, plan.item_count());
  EXPECT_EQ(report.simulated_items, kMostSimulated);
  const ItemSums sums = sum_items(plan.data());
  EXPECT_EQ(report.tiles, sums.tiles);
  EXPECT_EQ(report.live_rows, sums.live_rows);
  EXPECT_EQ(report.key_blocks, sums.key_blocks);
  EXPECT_EQ(report.mean, static_cast<double>(sums.cost) / plan.target().workers / kCostPerBlock);
  Cost makespan = 0;
  Cost longest = 0;
  for (const ScheduledItem& item : plan.simulate()) {
    makespan = std::max(makespan, item.end);
    longest = std::max(longest, item.end - item.begin);
  }
  EXPECT_NEAR(report.makespan * kCostPerBlock, static_cast<double>(makespan), static_cast<double>(longest));
  EXPECT_GT(report.l2_footprint_max, 0);
}

TEST(ManyItems, OfManyRequests) {
  std::vector<std::int64_t> lengths;
  for (std::int64_t r = 0; r < 60'000; ++r) lengths.push_back(1 + r * 7919 % 1500);
  expect_close_to_the_whole(report_test::plan_of(lengths, lengths, 4, 1, Mask::causal(), PlanTarget::h100()));
}

TEST(ManyItems, OfOneRequest) {
  expect_close_to_the_whole(
      report_test::plan_of({9'000'000}, {9'000'000}, 24, 1, Mask::causal_window(4000), PlanTarget::h100()));
}

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST(ManyItems, NeitherTimeNorMemoryGrowsWithThem) {
  const Plan plan = report_test::plan_of({1'000'000'000}, {1}, 32, 1, Mask::full(), PlanTarget::h100());
  ASSERT_EQ(plan.item_count(), 250'000'000);
  const long before = peak_kib();
  const auto start = std::chrono::steady_clock::now();
  const PlanReport report = plan.report();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
  EXPECT_LT(peak_kib() - before, 50'000);
  EXPECT_EQ(report.tiles, 250'000'000);
  EXPECT_EQ(report.live_rows, 32'000'000'000);
  EXPECT_EQ(report.key_blocks, 250'000'000);
  EXPECT_NEAR(report.makespan_over_mean, 1, 1e-5);
}

TEST(ManyItems, AreTooManyForATimeline) {
  const Plan plan = report_test::plan_of({1'000'000'000}, {1}, 32, 1, Mask::full(), PlanTarget::h100());
  try {
    timeline_svg(plan, {});
    ADD_FAILURE() << "drawn";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_EQ(error.field(), "plan.items");
    EXPECT_EQ(error.value(), "250000000");
  }
}

}  // namespace
}  // namespace varlen
