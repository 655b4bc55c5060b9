// L2 footprints, against looking at every item at every time.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "plan/plan_data.hpp"
#include "random_plan.hpp"

namespace varlen {
namespace {

TEST(L2Footprint, IsWhatRunsAtOnce) {
  std::mt19937_64 random(7);
  int compared = 0;
  for (int round = 0; round < 600; ++round) {
    const Plan plan = report_test::random_plan(random, 300);
    if (plan.item_count() == 0 || plan.item_count() > 400) continue;
    const std::vector<ScheduledItem> schedule = plan.simulate();
    std::set<Cost> times;
    for (const ScheduledItem& item : schedule) times.insert({item.begin, item.end});
    double most = 0;
    double weighted = 0;
    for (auto time = times.begin(); std::next(time) != times.end(); ++time) {
      std::set<std::pair<std::int32_t, std::int32_t>> in_flight;
      for (const ScheduledItem& scheduled : schedule) {
        if (scheduled.begin > *time || scheduled.end <= *time) continue;
        const WorkItem item = plan.item(scheduled.item);
        in_flight.insert({item.request, item.kv_head});
      }
      double bytes = 0;
      for (const auto& [request, head] : in_flight) {
        bytes +=
            2 * 64 * 2 * static_cast<double>(plan.data().batch.requests[static_cast<std::size_t>(request)].key_length);
      }
      most = std::max(most, bytes);
      weighted += bytes * static_cast<double>(*std::next(time) - *time);
    }
    const PlanReport report = plan.report();
    ASSERT_EQ(report.l2_footprint_max, static_cast<std::int64_t>(most)) << "round " << round;
    ASSERT_NEAR(report.l2_footprint_mean, weighted / static_cast<double>(*times.rbegin()), 1e-9 * (1 + most))
        << "round " << round;
    ASSERT_EQ(report.simulated_items, report.items);
    ++compared;
  }
  EXPECT_GT(compared, 200);
}

}  // namespace
}  // namespace varlen
