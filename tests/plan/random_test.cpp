// Random batches of any size, each checked tile by tile with intervals.
//
// 100,000 batches at VARLEN_TEST_EFFORT=100, in shards that ctest runs side by side. A failure prints its case number:
// VARLEN_TEST_CASE=<number> runs that one alone.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "effort.hpp"
#include "plan_checker.hpp"
#include "plan_sums.hpp"
#include "random_case.hpp"
#include "varlen/plan.hpp"

namespace varlen::plan_test {
namespace {

constexpr std::int64_t kBatches = 100'000;
constexpr std::int64_t kLargeBatches = 200;
constexpr std::int64_t kShards = 8;
constexpr std::int64_t kMaxItems = 20'000;

/// Items at random indices are those of the walk in order.
std::string addressing_fault(const Plan& plan, const PlanOutput& output, RandomCase& random) {
  const std::int64_t count = plan.item_count();
  for (int i = 0; i < 20 && count > 0; ++i) {
    const std::int64_t index = random.uniform(0, count - 1);
    const WorkItem item = plan.item(index);
    const WorkItem& walked = output.items[static_cast<std::size_t>(index)];
    if (!same_item(item, walked)) return fmt::format("item({}) = {}, then {}", index, describe(walked), describe(item));
    if (plan.item_cost(item) != cost_of(plan.target(), item)) {
      return fmt::format("item_cost(item({})) = {}, must be {}", index, plan.item_cost(item),
                         cost_of(plan.target(), item));
    }
  }
  return "";
}

/// The same input gives the same items and merges.
std::string repetition_fault(const PlanOutput& output, const PlanOutput& again) {
  if (output.items.size() != again.items.size() || output.partial_rows != again.partial_rows)
    return "a second plan differs";
  if (!std::equal(output.items.begin(), output.items.end(), again.items.begin(), same_item)) {
    return "a second plan's items differ";
  }
  if (!std::equal(output.merges.begin(), output.merges.end(), again.merges.begin(), again.merges.end(), same_merge)) {
    return "a second plan's merges differ";
  }
  return "";
}

/// Without batch_invariant a plan's memory and splits are bounded by its requests and workers, not by heads or lengths.
std::string size_fault(const BatchCase& batch, const PlanReport& report) {
  if (batch.batch_invariant) return "";
  if (report.partial_slots > 2 * report.workers) {
    return fmt::format("{} parts of split tiles for {} workers", report.partial_slots, report.workers);
  }
  if (report.plan_bytes > plan_bytes_bound(report)) return fmt::format("plan_bytes = {}", report.plan_bytes);
  return "";
}

struct Counts {
  std::int64_t plans = 0;
  std::int64_t requests = 0;
  std::int64_t items = 0;
  std::int64_t split_plans = 0;
  std::int64_t splits = 0;
  std::int64_t blind_tiles = 0;
  std::int64_t invariant_splits = 0;  // in batch-invariant plans
  std::int64_t most_items = 0;
};

std::string case_fault(RandomCase& random, Counts& counts) {
  const Plan plan = make_plan(random.batch.view(), random.target);
  const PlanOutput output = collect(plan);
  const auto items = static_cast<std::int64_t>(output.items.size());
  ++counts.plans;
  counts.requests += random.batch.requests();
  counts.items += items;
  counts.most_items = std::max(counts.most_items, items);
  if (std::string found = plan_fault(random.batch, random.target, output); !found.empty()) return found;

  const PlanReport report = plan.report();
  counts.splits += report.splits;
  counts.split_plans += report.splits > 0 ? 1 : 0;
  counts.blind_tiles += report.blind_tiles;
  if (random.batch.batch_invariant) counts.invariant_splits += report.splits;
  if (std::string found = report_fault(random.batch, random.target, output, report); !found.empty()) return found;
  if (std::string found = size_fault(random.batch, report); !found.empty()) return found;
  if (std::string found = simulation_fault(random.target, output, plan.simulate()); !found.empty()) return found;
  if (std::string found = addressing_fault(plan, output, random); !found.empty()) return found;
  if (random.one_in(8)) {
    const PlanOutput again = collect(make_plan(random.batch.view(), random.target));
    if (std::string found = repetition_fault(output, again); !found.empty()) return found;
  }
  if (random.batch.batch_invariant && random.batch.requests() > 0) {
    for (int i = 0; i < 2; ++i) {
      const std::int64_t request = random.uniform(0, random.batch.requests() - 1);
      const PlanOutput alone = collect(make_plan(random.batch.alone(request).view(), random.target));
      if (std::string found = invariance_fault(output, request, alone); !found.empty()) return found;
    }
  }
  return "";
}

class Random : public testing::TestWithParam<std::int64_t> {
 protected:
  void TearDown() override {
    fmt::print(
        "{} plans of {} requests, {} items (at most {} in one), {} split tiles ({} batch-invariant) in {} plans, {} "
        "blind "
        "tiles\n",
        counts_.plans, counts_.requests, counts_.items, counts_.most_items, counts_.splits, counts_.invariant_splits,
        counts_.split_plans, counts_.blind_tiles);
  }

  /// Runs this shard's numbers of [first, first + batches). draw(random) draws the batch of one.
  template <class Draw>
  void run(std::int64_t first, std::int64_t batches, const Draw& draw) {
    const char* only = std::getenv("VARLEN_TEST_CASE");
    for (std::int64_t number = first + GetParam(); number < first + batches; number += kShards) {
      if (only != nullptr && std::atoll(only) != number) continue;
      RandomCase random(static_cast<std::uint64_t>(number));
      draw(random);
      if (const std::string found = case_fault(random, counts_); !found.empty()) {
        FAIL() << found << "\n  VARLEN_TEST_CASE=" << number << " " << describe(random.batch, random.target);
      }
    }
  }

 private:
  Counts counts_;
};

TEST_P(Random, Batches) {
  run(1'000'000, test::scaled_by_effort(kBatches), [](RandomCase& random) {
    // Most are small, so that odd combinations are many.
    random.draw(std::min(random.log_uniform(1, kMaxItems), random.log_uniform(1, kMaxItems)));
  });
}

TEST_P(Random, LargeBatches) {
  run(9'000'000, test::scaled_by_effort(kLargeBatches), [](RandomCase& random) {
    do {
      random.draw(random.log_uniform(kMaxItems, 8 * kMaxItems));
    } while (make_plan(random.batch.view(), random.target).item_count() <= kMaxItems);
  });
}

INSTANTIATE_TEST_SUITE_P(Plan, Random, testing::Range<std::int64_t>(0, kShards));

// Small batches once more, drawn by RapidCheck for the sake of its shrinking: a failure is shown as the smallest it
// finds.
RC_GTEST_PROP(RandomSmall, ShrinksToTheSmallestFault, ()) {
  BatchCase batch;
  PlanTarget target;
  target.name = "shrinking";
  const auto lengths = *rc::gen::container<std::vector<std::pair<std::int64_t, std::int64_t>>>(
      rc::gen::pair(rc::gen::inRange<std::int64_t>(0, 32), rc::gen::inRange<std::int64_t>(0, 32)));
  for (const auto& [query, key] : lengths) {
    batch.query_lengths.push_back(query);
    batch.key_lengths.push_back(key);
  }
  batch.kv_heads = *rc::gen::inRange(1, 4);
  batch.group = *rc::gen::inRange(1, 9);
  batch.mask.left = *rc::gen::inRange<std::int64_t>(-1, 33);
  batch.mask.right = *rc::gen::inRange<std::int64_t>(-1, 33);
  batch.batch_invariant = *rc::gen::arbitrary<bool>();
  const auto rows = *rc::gen::inRange(1, 17);
  target.tile_shapes = {{rows, 16}};
  if (rows > 1) target.tile_shapes.push_back({*rc::gen::inRange(1, rows), 11});
  target.key_block = *rc::gen::inRange(1, 9);
  target.workers = *rc::gen::inRange(1, 33);
  target.item_cost = *rc::gen::inRange<Cost>(0, 33);
  target.split_cost = *rc::gen::inRange<Cost>(0, 33);
  target.l2_bytes = *rc::gen::inRange<std::int64_t>(0, 100'000);

  const Plan plan = make_plan(batch.view(), target);
  const PlanOutput output = collect(plan);
  RC_LOG(describe(batch, target));
  RC_ASSERT(plan_fault(batch, target, output) == "");
  RC_ASSERT(bitmap_fault(batch, target, output) == "");
  RC_ASSERT(report_fault(batch, target, output, plan.report()) == "");
}

}  // namespace
}  // namespace varlen::plan_test
