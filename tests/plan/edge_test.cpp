// The bugs that keep coming back on ragged batches, each as plans on every kind of target and mask.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "plan_checker.hpp"
#include "plan_sums.hpp"
#include "varlen/plan.hpp"

namespace varlen::plan_test {
namespace {

using Lengths = std::vector<std::int64_t>;

const std::vector<Mask>& masks() {
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  static const std::vector<Mask> all = {Mask::full(),           Mask::causal(),         Mask::window(0, 0),
                                        Mask::causal_window(1), Mask::window(100, 3),   Mask::causal_window(128),
                                        Mask::window(0, 127),   Mask::window(-1, 40),   Mask::window(40, -1),
                                        Mask::window(kHuge, 0), Mask::window(0, kHuge), Mask::window(kHuge, kHuge)};
  return all;
}

const std::vector<PlanTarget>& targets() {
  static const std::vector<PlanTarget> all = {PlanTarget::cpu(2), PlanTarget::cpu(7), PlanTarget::h100(),
                                              PlanTarget::b200()};
  return all;
}

std::string fault(const BatchCase& batch, const PlanTarget& target) {
  const Plan plan = make_plan(batch.view(), target);
  const PlanOutput output = collect(plan);
  std::string found = plan_fault(batch, target, output);
  if (found.empty()) found = report_fault(batch, target, output, plan.report());
  if (found.empty()) found = simulation_fault(target, output, plan.simulate());
  return found.empty() ? "" : found + "\n  " + describe(batch, target);
}

/// On every target and mask, batch-invariant and not, with several head counts.
void expect_sound(const Lengths& query_lengths, const Lengths& key_lengths) {
  BatchCase batch;
  batch.query_lengths = query_lengths;
  batch.key_lengths = key_lengths;
  for (const PlanTarget& target : targets()) {
    for (const Mask& mask : masks()) {
      for (const std::int32_t group : {1, 4, 7}) {
        batch.mask = mask;
        batch.group = group;
        batch.kv_heads = 8 / group;
        batch.batch_invariant = !batch.batch_invariant;
        ASSERT_EQ(fault(batch, target), "");
      }
    }
  }
}

TEST(Edges, NoRequests) { expect_sound({}, {}); }

TEST(Edges, NoQueriesAnywhere) { expect_sound({0, 0, 0}, {5, 0, 700}); }

TEST(Edges, NoKeysAnywhere) { expect_sound({3, 700, 1}, {0, 0, 0}); }

TEST(Edges, FirstMiddleAndLastRequestEmpty) {
  expect_sound({0, 130, 0, 2, 0}, {0, 130, 0, 70, 0});
  expect_sound({0, 130, 0, 2, 0}, {40, 130, 900, 70, 1});
  expect_sound({300, 130, 20, 2, 1}, {0, 130, 0, 70, 0});
}

TEST(Edges, MoreQueriesThanKeys) {
  expect_sound({1000}, {1});
  expect_sound({1000, 129, 128, 300}, {999, 128, 127, 41});
  expect_sound({70'000}, {3});
}

TEST(Edges, LengthsAroundTiles) {
  const Lengths edges = {1, 63, 64, 65, 127, 128, 129, 255, 256, 257};
  Lengths queries;
  Lengths keys;
  for (const std::int64_t query : edges) {
    for (const std::int64_t key : edges) {
      expect_sound({query}, {key});
      queries.push_back(query);
      keys.push_back(key);
    }
  }
  expect_sound(queries, keys);
}

TEST(Edges, OneQueryEachSeesWhatItsMaskSays) {
  // The last row of a causal request sees all keys, like the only row of a decoding one; a window still cuts.
  expect_sound(Lengths(300, 1), Lengths(300, 1));
  expect_sound(Lengths(40, 1), Lengths(40, 5000));
}

TEST(Edges, ManyRequests) {
  expect_sound(Lengths(993, 17), Lengths(993, 17));
  Lengths queries(66'000, 1);
  for (std::size_t i = 0; i < queries.size(); ++i) queries[i] = static_cast<std::int64_t>(i * i % 7);
  BatchCase batch;
  batch.query_lengths = queries;
  batch.key_lengths = queries;
  std::reverse(batch.key_lengths.begin(), batch.key_lengths.end());
  batch.mask = Mask::causal();
  for (const PlanTarget& target : targets()) EXPECT_EQ(fault(batch, target), "");
}

// A search over the requests for every tile would take hours.
TEST(Edges, AMillionRequestsArePlannedInLinearTime) {
  BatchCase batch;
  batch.query_lengths.assign(1'000'000, 34);
  batch.key_lengths.assign(1'000'000, 34);
  batch.kv_heads = 2;
  batch.mask = Mask::causal();
  const Plan plan = make_plan(batch.view(), PlanTarget::h100());
  EXPECT_EQ(plan.item_count(), 2'000'000);
  EXPECT_EQ(plan_fault(batch, PlanTarget::h100(), collect(plan)), "");
}

// Keys and values are read once for a group of query heads that one tile can hold.
TEST(Edges, ADecodingGroupThatFitsOneTileIsNotCut) {
  for (const PlanTarget& target : {PlanTarget::h100(), PlanTarget::b200()}) {
    for (std::int32_t group = 1; group <= target.tile_shapes.front().rows; ++group) {
      BatchCase batch;
      batch.query_lengths = {1, 1, 1};
      batch.key_lengths = {1, 1000, 130};
      batch.kv_heads = 2;
      batch.group = group;
      ASSERT_EQ(make_plan(batch.view(), target).report().tiles, 6) << target.name << ", group " << group;
    }
  }
}

// Splitting as if the batch were one request needs gigabytes of workspace here.
TEST(Edges, ManyShortRequestsNeedNoWorkspaceForSplits) {
  for (const PlanTarget& target : targets()) {
    BatchCase batch;
    batch.query_lengths.assign(20'000, 3);
    batch.key_lengths.assign(20'000, 3);
    batch.kv_heads = 8;
    EXPECT_EQ(make_plan(batch.view(), target).partial_rows(), 0);
    batch.query_lengths.push_back(1);
    batch.key_lengths.push_back(1'000'000);
    const Plan plan = make_plan(batch.view(), target);
    EXPECT_LE(plan.partial_rows(), std::int64_t{8} * target.workers * target.tile_shapes.front().rows);
  }
}

// Lengths only. A batch may have up to 2⁵⁶ scores; 2³² tokens of one head are 2³⁹ elements at head dim 128.
TEST(Edges, OneRequestOfFourBillionQueries) {
  PlanTarget target = PlanTarget::h100();
  target.tile_shapes = {{4096, 16}, {64, 1}};
  BatchCase batch;
  batch.query_lengths = {(std::int64_t{1} << 32) + 7};
  batch.key_lengths = {(std::int64_t{1} << 23) - 9};
  for (const Mask& mask : {Mask::full(), Mask::window(50'000, std::int64_t{1} << 31), Mask::causal_window(100)}) {
    batch.mask = mask;
    EXPECT_EQ(fault(batch, target), "");
  }
}

TEST(Edges, OneRequestOfAQuarterBillionTokens) {
  BatchCase batch;
  batch.query_lengths = {(std::int64_t{1} << 28) - 3};
  batch.key_lengths = batch.query_lengths;
  for (const Mask& mask : {Mask::causal(), Mask::causal_window((std::int64_t{1} << 27) + 5)}) {
    batch.mask = mask;
    PlanTarget target = PlanTarget::h100();
    target.tile_shapes = {{2048, 16}, {128, 2}};
    EXPECT_EQ(fault(batch, target), "");
  }
}

TEST(Edges, FewQueriesOnATrillionKeys) {
  BatchCase batch;
  batch.query_lengths = {1024, 1, 0, 33};
  batch.key_lengths = {std::int64_t{1} << 40, (std::int64_t{1} << 41) + 1, std::int64_t{1} << 31, 70'000};
  batch.kv_heads = 4;
  batch.group = 8;
  for (const PlanTarget& target : targets()) {
    for (const bool invariant : {false, true}) {
      batch.batch_invariant = invariant;
      for (const Mask& mask : {Mask::causal(), Mask::causal_window(std::int64_t{1} << 36)}) {
        batch.mask = mask;
        EXPECT_EQ(fault(batch, target), "");
      }
    }
  }
}

TEST(Edges, ManyRequestsOfThreeBillionTokensTogether) {
  PlanTarget target = PlanTarget::b200();
  target.tile_shapes = {{4096, 16}, {512, 3}};
  BatchCase batch;
  for (std::int64_t i = 0; i < 70'000; ++i) {
    batch.query_lengths.push_back(40'000 + i % 8000);
    batch.key_lengths.push_back(40'000 + i % 8000);
  }
  EXPECT_GT(std::accumulate(batch.query_lengths.begin(), batch.query_lengths.end(), std::int64_t{0}),
            std::int64_t{1} << 31);
  const Plan plan = make_plan(batch.view(), target);
  EXPECT_EQ(plan_fault(batch, target, collect(plan)), "");
}

// Too many to walk: every sampled item must be right by itself, and no two samples the same.
TEST(Edges, MoreItemsThanThirtyTwoBits) {
  const PlanTarget target = PlanTarget::h100();
  BatchCase batch;
  batch.query_lengths = {std::int64_t{1} << 34, 5, std::int64_t{1} << 33};
  batch.key_lengths = {100'000, 5, 3'000};
  batch.kv_heads = 4;
  batch.group = 8;
  batch.mask = Mask::full();
  const Plan plan = make_plan(batch.view(), target);
  const std::int64_t tiles = 4 * ((std::int64_t{1} << 30) + 1 + (std::int64_t{1} << 29));
  ASSERT_GT(tiles, std::int64_t{1} << 32);
  ASSERT_EQ(plan.merges().size(), 0U);
  ASSERT_EQ(plan.item_count(), tiles);
  std::vector<WorkItem> samples;
  for (std::int64_t i = 0; i < 100'000; ++i) {
    const std::int64_t index = i * (tiles - 1) / 99'999;
    const WorkItem item = plan.item(index);
    ASSERT_EQ(item_fault(batch, target, item), "") << index;
    ASSERT_EQ(item.parts, 1) << index;
    ASSERT_EQ(item.key_begin, 0) << index;
    ASSERT_EQ(item.key_end, batch.key_lengths[static_cast<std::size_t>(item.request)]) << index;
    samples.push_back(item);
  }
  const auto place = [](const WorkItem& item) {
    return std::tie(item.request, item.kv_head, item.query_begin, item.query_head_begin);
  };
  std::sort(samples.begin(), samples.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
  const auto same = [&](const auto& a, const auto& b) { return place(a) == place(b); };
  EXPECT_EQ(std::adjacent_find(samples.begin(), samples.end(), same), samples.end());
}

// The checker's closed form against the definition of the mask.
TEST(VisibleKeys, AgreeWithEveryRowAsked) {
  std::int64_t tiles = 0;
  BatchCase batch;
  PlanTarget target;
  target.tile_shapes = {{16, 16}};
  for (std::int64_t query = 1; query <= 7; ++query) {
    for (std::int64_t key = 0; key <= 7; ++key) {
      for (std::int64_t left = -1; left <= 9; ++left) {
        for (std::int64_t right = -1; right <= 9; ++right) {
          for (std::int64_t begin = 0; begin < query; ++begin) {
            for (std::int64_t count = 1; count <= query - begin; ++count, ++tiles) {
              std::int64_t first = key;
              std::int64_t last = -1;
              for (std::int64_t row = begin; row < begin + count; ++row) {
                for (std::int64_t j = 0; j < key; ++j) {
                  const std::int64_t position = key - query + row;
                  if ((left >= 0 && j < position - left) || (right >= 0 && j > position + right)) continue;
                  first = std::min(first, j);
                  last = std::max(last, j);
                }
              }
              const KeyRange range = visible_keys(query, key, {left, right}, begin, count, 3);
              ASSERT_EQ(range.blind(), last < 0);
              if (last < 0) continue;
              ASSERT_EQ(range.begin, first / 3 * 3);
              ASSERT_EQ(range.end, last + 1);
            }
          }
        }
      }
    }
  }
  EXPECT_EQ(tiles, 84 * 8 * 121);
}

}  // namespace
}  // namespace varlen::plan_test
