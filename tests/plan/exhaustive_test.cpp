// Every small batch there is, checked with bitmaps of rows × keys.
//
// The space: up to 3 requests with 0 … 5 queries and keys each, 1 or 2 KV heads, groups of 1 … 3 query heads, tiles of
// 2 × 2 and 3 × 2 (query rows × keys) alone and together, windows of 0 … 5 and unlimited to either side, 1, 2, 3 or 7
// workers: 169,305,192 plans. The 4,702,824 with up to 2 requests are all made on every run. Of the 164,602,368 with 3
// requests a run draws every triple of lengths, each with several settings of the rest, evenly spread over all of them;
// it prints how many. VARLEN_TEST_EFFORT=4900 makes every plan, in about ten minutes of processor time.
//
// batch_invariant is left to the random test: it never cuts tiles of so few keys.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "effort.hpp"
#include "plan_checker.hpp"
#include "plan_sums.hpp"
#include "varlen/plan.hpp"

namespace varlen::plan_test {
namespace {

constexpr std::int64_t kLengths = 6;                    // 0 … 5
constexpr std::int64_t kExtents = kLengths * kLengths;  // (query length, key length) of one request
constexpr std::int64_t kSettings = 2 * 7 * 7 * 4;       // KV heads, windows, workers
constexpr std::int64_t kTriples = kExtents * kExtents * kExtents;
constexpr std::int64_t kSettingsPerTriple = 8;  // of the 392, at 100 % effort
constexpr std::int32_t kWorkers[] = {1, 2, 3, 7};

/// Takes the last digit of a number in a mixed radix.
std::int64_t digit(std::int64_t& number, std::int64_t radix) {
  const std::int64_t value = number % radix;
  number /= radix;
  return value;
}

/// The tiles' rows: 1: 2, 2: 3, 3: both.
PlanTarget small_target(int tiles) {
  PlanTarget target;
  target.name = "small";
  if ((tiles & 2) != 0) target.tile_shapes.push_back({3, kCostPerBlock});
  if ((tiles & 1) != 0) target.tile_shapes.push_back({2, tiles == 3 ? 11 : kCostPerBlock});
  target.key_block = 2;
  // At the usual costs no tile of up to 3 key blocks is worth splitting.
  target.item_cost = 2;
  target.split_cost = 1;
  target.l2_bytes = 64;
  return target;
}

class Exhaustive : public testing::TestWithParam<std::tuple<int, int>> {
 protected:
  void SetUp() override {
    target_ = small_target(std::get<0>(GetParam()));
    batch_.group = std::get<1>(GetParam());
  }

  /// Sets everything but the lengths.
  void apply_settings(std::int64_t number) {
    batch_.kv_heads = static_cast<std::int32_t>(digit(number, 2)) + 1;
    batch_.mask.left = digit(number, 7) - 1;  // −1 is Mask::kUnlimited
    batch_.mask.right = digit(number, 7) - 1;
    target_.workers = kWorkers[digit(number, 4)];
  }

  /// Request by request, its queries and keys.
  void set_lengths(std::int64_t number) {
    for (std::size_t request = 0; request < batch_.query_lengths.size(); ++request) {
      batch_.query_lengths[request] = digit(number, kLengths);
      batch_.key_lengths[request] = digit(number, kLengths);
    }
  }

  /// Plans `plans` of all batches with `requests` requests, in a step that is coprime to their number: it goes through
  /// all lengths (the lowest digits) before it comes to one of them again, and once through the settings.
  void check_spread(std::int64_t requests, std::int64_t all_lengths, std::int64_t plans) {
    const std::int64_t space = all_lengths * kSettings;
    std::int64_t step = space / plans;
    while (std::gcd(step, space) != 1) ++step;
    space_ += space;
    batch_.query_lengths.assign(static_cast<std::size_t>(requests), 0);
    batch_.key_lengths.assign(static_cast<std::size_t>(requests), 0);
    std::int64_t number = 0;
    for (std::int64_t i = 0; i < plans; ++i, number = (number + step) % space) {
      apply_settings(number / all_lengths);
      set_lengths(number % all_lengths);
      if (const std::string found = fault(); !found.empty()) {
        ADD_FAILURE() << found << "\n  " << describe(batch_, target_);
        return;
      }
    }
  }

  std::string fault() {
    const Plan plan = make_plan(batch_.view(), target_);
    collect(plan, output_);
    ++plans_;
    items_ += static_cast<std::int64_t>(output_.items.size());
    splits_ += static_cast<std::int64_t>(output_.merges.size());
    if (std::string found = bitmap_fault(batch_, target_, output_); !found.empty()) return found;
    if (batch_.requests() > 2 && plans_ % 8 != 0) return "";  // a report takes as long as all the rest
    return report_fault(batch_, target_, output_, plan.report());
  }

  void TearDown() override {
    fmt::print("{} plans of {}, {} items, {} split tiles\n", plans_, space_, items_, splits_);
    EXPECT_GT(items_, plans_);
    EXPECT_GT(splits_, 0);
  }

  BatchCase batch_;
  PlanTarget target_;
  PlanOutput output_;
  std::int64_t space_ = 0;
  std::int64_t plans_ = 0;
  std::int64_t items_ = 0;
  std::int64_t splits_ = 0;
};

TEST_P(Exhaustive, UpToTwoRequests) {
  std::int64_t all_lengths = 1;
  for (std::int64_t requests = 0; requests <= 2; ++requests, all_lengths *= kExtents) {
    check_spread(requests, all_lengths, all_lengths * std::min(kSettings, test::scaled_by_effort(kSettings)));
  }
}

TEST_P(Exhaustive, ThreeRequests) {
  check_spread(3, kTriples, kTriples * std::min(kSettings, test::scaled_by_effort(kSettingsPerTriple)));
}

std::string parameter_name(const testing::TestParamInfo<std::tuple<int, int>>& tiles_and_group) {
  constexpr const char* kTiles[] = {"", "Rows2", "Rows3", "Rows3And2"};
  return fmt::format("{}Group{}", kTiles[std::get<0>(tiles_and_group.param)], std::get<1>(tiles_and_group.param));
}

INSTANTIATE_TEST_SUITE_P(Plan, Exhaustive, testing::Combine(testing::Values(1, 2, 3), testing::Values(1, 2, 3)),
                         parameter_name);

}  // namespace
}  // namespace varlen::plan_test
