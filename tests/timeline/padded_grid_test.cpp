// The padded grid, against a count of its rows and keys one by one.
#include "plan/padded_grid.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <tuple>
#include <vector>

#include "varlen/plan.hpp"

namespace varlen {
namespace {

constexpr Cost kAll = std::numeric_limits<Cost>::max();

/// One shape of `rows` rows and key blocks of 4 keys; an item costs 10, a block 16.
PlanTarget small_target(std::int32_t rows, std::int32_t workers) {
  PlanTarget target;
  target.name = "small";
  target.tile_shapes = {{rows, kCostPerBlock}};
  target.key_block = 4;
  target.workers = workers;
  target.item_cost = 10;
  return target;
}

struct Lengths {
  std::int64_t query;
  std::int64_t key;
};

RaggedBatch batch_of(const std::vector<Lengths>& lengths, std::int32_t group, Mask mask) {
  std::vector<std::int64_t> queries;
  std::vector<std::int64_t> keys;
  for (const Lengths& request : lengths) {
    queries.push_back(request.query);
    keys.push_back(request.key);
  }
  Batch batch;
  batch.query_lengths = std::span<const std::int64_t>(queries);
  batch.key_lengths = std::span<const std::int64_t>(keys);
  batch.query_heads = 2 * group;
  batch.kv_heads = 2;
  batch.head_dim_qk = 8;
  batch.mask = mask;
  return canonical(batch);
}

/// Key blocks that hold a key which one of the rows [begin, end) sees, looking at every (row, key).
std::int64_t blocks_seen(const Mask& mask, std::int64_t begin, std::int64_t end, std::int64_t shift,
                         std::int64_t keys) {
  std::set<std::int64_t> blocks;
  for (std::int64_t row = begin; row < end; ++row) {
    for (std::int64_t key = 0; key < keys; ++key) {
      const std::int64_t distance = key - (row + shift);
      if (mask.left != Mask::kUnlimited && -distance > mask.left) continue;
      if (mask.right != Mask::kUnlimited && distance > mask.right) continue;
      blocks.insert(key / 4);
    }
  }
  return static_cast<std::int64_t>(blocks.size());
}

TEST(PaddedGrid, CostsWhatCountingRowsAndKeysGives) {
  const std::vector<std::vector<Lengths>> batches = {
      {{7, 7}, {1, 1}, {4, 4}}, {{3, 9}, {9, 3}}, {{5, 5}, {0, 6}, {6, 0}}, {{1, 20}, {1, 3}}, {{10, 2}, {2, 10}}};
  for (const auto& lengths : batches) {
    for (const Mask& mask : {Mask::full(), Mask::causal(), Mask::window(2, 1), Mask::causal_window(0)}) {
      for (const std::int32_t group : {1, 2}) {
        constexpr std::int32_t kRows = 4;
        const RaggedBatch batch = batch_of(lengths, group, mask);
        const PaddedGrid grid = simulate_padded_grid(batch, small_target(kRows, 3), kAll, 0);
        const std::int64_t tokens = kRows / group;
        const std::int64_t tiles = (grid.query_tokens + tokens - 1) / tokens;
        EXPECT_TRUE(grid.complete);
        EXPECT_EQ(grid.tile_count, tiles * 2 * std::ssize(lengths));
        EXPECT_EQ(std::ssize(grid.tiles), grid.tile_count);

        Cost useful = 0;
        Cost total = 0;
        std::int64_t rowless = 0;
        for (const Lengths& request : lengths) {
          for (std::int64_t first = 0; first < grid.query_tokens; first += tokens) {
            const std::int64_t shift = request.key - request.query;
            const std::int64_t rows_end = std::min(first + tokens, request.query);
            const std::int64_t padded_end = std::min(first + tokens, grid.query_tokens);
            const std::int64_t real = blocks_seen(mask, first, rows_end, shift, request.key);
            const std::int64_t padded = blocks_seen(mask, first, padded_end, shift, grid.key_tokens);
            const Cost real_cost = first < rows_end ? 10 + 16 * real : 0;
            useful += 2 * real_cost;
            total += 2 * std::max(real_cost, 10 + 16 * padded);
            rowless += first < rows_end ? 0 : 2;
          }
        }
        EXPECT_EQ(grid.useful_cost, useful);
        EXPECT_EQ(grid.total_cost, total);
        EXPECT_EQ(grid.rowless_tiles, rowless);
      }
    }
  }
}

TEST(PaddedGrid, GivesEachTileToTheWorkerThatIsFreeFirst) {
  const RaggedBatch batch = batch_of({{7, 7}, {1, 1}, {4, 4}}, 1, Mask::causal());
  const PaddedGrid grid = simulate_padded_grid(batch, small_target(2, 3), kAll, 0);
  std::map<std::int32_t, Cost> busy_until = {{0, 0}, {1, 0}, {2, 0}};
  for (const PaddedTile& tile : grid.tiles) {
    const Cost earliest = std::min({busy_until[0], busy_until[1], busy_until[2]});
    EXPECT_EQ(tile.begin, earliest);
    EXPECT_EQ(busy_until[tile.worker], earliest);
    EXPECT_LE(tile.begin, tile.useful_end);
    EXPECT_LE(tile.useful_end, tile.end);
    busy_until[tile.worker] = tile.end;
  }
  EXPECT_EQ(grid.makespan, std::max({busy_until[0], busy_until[1], busy_until[2]}));
}

TEST(PaddedGrid, AgreesWithTheReportAboutItsTiles) {
  const std::vector<std::int64_t> lengths = {1274, 1294, 1347, 1279, 1304, 1341, 353};
  Batch batch;
  batch.query_lengths = std::span<const std::int64_t>(lengths);
  batch.key_lengths = std::span<const std::int64_t>(lengths);
  batch.query_heads = 32;
  batch.kv_heads = 4;
  batch.head_dim_qk = 128;
  const Plan plan = make_plan(batch, PlanTarget::b200());
  const PaddedGrid grid = simulate_padded_grid(canonical(batch), plan.target(), kAll, 0);
  EXPECT_EQ(grid.tile_count, plan.report().padded_tiles);
}

TEST(PaddedGrid, StopsAtItsLimits) {
  const RaggedBatch batch = batch_of({{200000, 200000}, {1, 1}}, 1, Mask::full());
  const PaddedGrid grid = simulate_padded_grid(batch, small_target(4, 3), 1000, 10);
  EXPECT_FALSE(grid.complete);
  EXPECT_LE(grid.tiles.size(), 13U);
}

TEST(PaddedGrid, WindowsAsWideAsIntegersGoDoNotOverflow) {
  constexpr std::int64_t kWide = std::numeric_limits<std::int64_t>::max();
  const RaggedBatch wide = batch_of({{7, 7}, {1, 9}}, 1, Mask::window(kWide, kWide));
  const RaggedBatch full = batch_of({{7, 7}, {1, 9}}, 1, Mask::full());
  EXPECT_EQ(simulate_padded_grid(wide, small_target(4, 3), kAll, 0).total_cost,
            simulate_padded_grid(full, small_target(4, 3), kAll, 0).total_cost);
}

}  // namespace
}  // namespace varlen
