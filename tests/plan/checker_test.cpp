// The checker itself: it accepts a plan written by hand and finds every fault planted in it.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "plan_checker.hpp"
#include "plan_sums.hpp"

namespace varlen::plan_test {
namespace {

// Two KV heads with a group of two; tiles of 4 rows (2 query tokens), key blocks of 2 keys; causal.
//   request 0: 5 queries on 8 keys     request 1: no queries     request 2: 2 queries on no keys
//   request 3: 4 queries on 2 keys, so its first two rows see nothing
struct Example {
  BatchCase batch;
  PlanTarget target;
  PlanOutput plan;
};

WorkItem tile(std::int32_t request, std::int32_t kv_head, std::int64_t query_begin, std::int64_t query_count,
              std::int64_t key_begin, std::int64_t key_end) {
  return {query_begin, query_count, key_begin, key_end, -1, request, kv_head, 2 * kv_head, 2, 0, 0, 1, -1};
}

WorkItem part(WorkItem item, std::int32_t number, std::int32_t parts, std::int32_t merge, std::int64_t partial_row) {
  item.part = number;
  item.parts = parts;
  item.merge = merge;
  item.partial_row = partial_row;
  return item;
}

Example example() {
  Example e;
  e.batch.query_lengths = {5, 0, 2, 4};
  e.batch.key_lengths = {8, 3, 0, 2};
  e.batch.kv_heads = 2;
  e.batch.group = 2;
  e.batch.mask = Mask::causal();
  e.target.name = "example";
  e.target.tile_shapes = {{4, 16}, {2, 10}};
  e.target.key_block = 2;
  e.target.workers = 2;
  e.plan.items = {
      part(tile(0, 1, 2, 2, 0, 4), 0, 2, 0, 0),   // 0
      part(tile(0, 1, 2, 2, 4, 7), 1, 2, 0, 4),   // 1
      part(tile(0, 0, 4, 1, 0, 2), 0, 3, 1, 8),   // 2
      part(tile(0, 0, 4, 1, 6, 8), 2, 3, 1, 12),  // 3
      part(tile(0, 0, 4, 1, 2, 6), 1, 3, 1, 10),  // 4
      tile(0, 1, 4, 1, 0, 8),                     // 5
      tile(0, 0, 2, 2, 0, 7),                     // 6
      tile(0, 0, 0, 2, 0, 5),                     // 7
      tile(0, 1, 0, 2, 0, 5),                     // 8
      tile(3, 0, 2, 2, 0, 2),                     // 9
      tile(3, 1, 2, 2, 0, 2),                     // 10
      tile(3, 1, 0, 2, 0, 0),                     // 11
      tile(3, 0, 0, 2, 0, 0),                     // 12
      tile(2, 0, 0, 2, 0, 0),                     // 13
      tile(2, 1, 0, 2, 0, 0),                     // 14
  };
  e.plan.merges = {{2, 2, 0, 0, 1, 2, 2, 2, 0}, {4, 1, 8, 0, 0, 0, 2, 3, 0}};
  e.plan.partial_rows = 14;
  return e;
}

struct PlantedFault {
  std::string name;
  std::string expected;  // part of what plan_fault says; bitmap_fault must object too, in whatever words
  std::function<void(Example&)> plant;
};

WorkItem& item(Example& e, std::size_t index) { return e.plan.items[index]; }
void drop(Example& e, std::size_t index) {
  e.plan.items.erase(e.plan.items.begin() + static_cast<std::ptrdiff_t>(index));
}

std::vector<PlantedFault> planted_faults() {
  return {
      {"MissingTile", "are taken up to token 2", [](Example& e) { drop(e, 6); }},
      {"MissingLastTile", "in no tile", [](Example& e) { drop(e, 5); }},
      {"MissingBlindTile", "are taken up to token 0", [](Example& e) { drop(e, 12); }},
      {"MissingRequest", "in no tile", [](Example& e) { e.plan.items.resize(13); }},
      {"EverythingMissing", "in no tile", [](Example& e) { e.plan = {}; }},
      {"RepeatedTile", "parts emitted", [](Example& e) { e.plan.items.push_back(item(e, 7)); }},
      {"RowInTwoTiles", "are taken up to",
       [](Example& e) {
         item(e, 8).query_begin = 1;
         item(e, 8).key_end = 6;
         e.plan.items.push_back(tile(0, 1, 0, 2, 0, 5));
       }},
      {"RowTakenAgainAlone", "are taken up to", [](Example& e) { e.plan.items.push_back(tile(0, 0, 3, 1, 0, 7)); }},
      {"RowLeftOut", "are taken up to",
       [](Example& e) {
         item(e, 7).query_count = 1;
         item(e, 7).key_end = 4;
       }},
      {"RowPastTheEnd", "outside the request's 5 queries", [](Example& e) { item(e, 5).query_count = 2; }},
      {"RowBeforeTheStart", "outside the request", [](Example& e) { item(e, 7).query_begin = -1; }},
      {"NoRows", "no rows", [](Example& e) { item(e, 13).query_count = 0; }},
      {"NoHeads", "no rows", [](Example& e) { item(e, 13).query_head_count = 0; }},
      {"RequestWithoutQueries", "outside the request's 0 queries",
       [](Example& e) { e.plan.items.push_back(tile(1, 0, 0, 1, 0, 2)); }},
      {"EmptyTileOfRequestWithoutQueries", "no rows",
       [](Example& e) { e.plan.items.push_back(tile(1, 0, 0, 0, 0, 0)); }},
      {"RequestBehindTheLast", "no such request", [](Example& e) { item(e, 13).request = 4; }},
      {"KvHeadBehindTheLast", "no such KV head", [](Example& e) { item(e, 8).kv_head = 2; }},
      {"HeadsOfAnotherGroup", "outside the KV head's group", [](Example& e) { item(e, 8).query_head_begin = 0; }},
      {"HeadsAcrossGroups", "outside the KV head's group", [](Example& e) { item(e, 7).query_head_begin = 1; }},
      {"KvHeadSwapped", "outside the KV head's group", [](Example& e) { item(e, 7).kv_head = 1; }},
      {"HeadLeftOut", "in no tile", [](Example& e) { item(e, 14).query_head_count = 1; }},
      {"WholeHeadSwapped", "are taken up to",
       [](Example& e) {
         item(e, 6).kv_head = 1;
         item(e, 6).query_head_begin = 2;
         item(e, 6).query_begin = 3;
         item(e, 6).query_count = 1;
       }},
      {"ShapeTooSmall", "more rows than its tile shape", [](Example& e) { item(e, 6).tile_shape = 1; }},
      {"NoSuchShape", "no such tile shape", [](Example& e) { item(e, 6).tile_shape = 2; }},
      {"KeysBeginOneBlockLate", "keys begin at 2", [](Example& e) { item(e, 6).key_begin = 2; }},
      {"KeysBeginOneKeyLate", "do not begin at a key block", [](Example& e) { item(e, 6).key_begin = 1; }},
      {"KeysEndOneEarly", "keys end at 6", [](Example& e) { item(e, 6).key_end = 6; }},
      {"KeysEndOneLate", "see keys of [0, 7)", [](Example& e) { item(e, 6).key_end = 8; }},
      {"KeysEndRoundedUp", "see keys of [0, 5)", [](Example& e) { item(e, 7).key_end = 6; }},
      {"KeysPastTheRequest", "outside the request's 8", [](Example& e) { item(e, 5).key_end = 9; }},
      {"NegativeKeys", "outside the request's 8", [](Example& e) { item(e, 5).key_begin = -2; }},
      {"NoKeys", "no keys", [](Example& e) { item(e, 9).key_end = 0; }},
      {"KeysBackwards", "keys outside", [](Example& e) { item(e, 4).key_end = 0; }},
      {"BlindTileWithKeys", "keys for rows that see none", [](Example& e) { item(e, 12).key_end = 2; }},
      {"BlindTileSplit", "rows that see no key are split",
       [](Example& e) {
         item(e, 12) = part(item(e, 12), 0, 2, 2, 14);
         e.plan.items.push_back(part(item(e, 12), 1, 2, 2, 18));
         e.plan.merges.push_back({0, 2, 14, 3, 0, 0, 2, 2, 0});
         e.plan.partial_rows = 22;
       }},
      {"PartsOverlapByOneBlock", "keys begin at 2, not at 4", [](Example& e) { item(e, 1).key_begin = 2; }},
      {"GapBetweenParts", "keys begin at 6, not at 4", [](Example& e) { item(e, 1).key_begin = 6; }},
      {"FirstPartShort", "keys begin at 4, not at 2", [](Example& e) { item(e, 0).key_end = 2; }},
      {"FirstPartEndsInsideBlock", "keys begin at 4, not at 3", [](Example& e) { item(e, 0).key_end = 3; }},
      {"CutInsideBlock", "do not begin at a key block",
       [](Example& e) {
         item(e, 0).key_end = 5;
         item(e, 1).key_begin = 5;
       }},
      {"LastPartShort", "keys end at 6, not 7", [](Example& e) { item(e, 1).key_end = 6; }},
      {"LastPartLong", "see keys of [0, 7)", [](Example& e) { item(e, 1).key_end = 8; }},
      {"PartsSwapped", "keys begin at 4, not at 0",
       [](Example& e) {
         std::swap(item(e, 0).key_begin, item(e, 1).key_begin);
         std::swap(item(e, 0).key_end, item(e, 1).key_end);
       }},
      {"EmptyPart", "no keys",
       [](Example& e) {
         item(e, 4).key_begin = 6;
         item(e, 2).key_end = 6;
       }},
      {"MissingPart", "which no item writes", [](Example& e) { drop(e, 4); }},
      {"MissingLastPart", "which no item writes", [](Example& e) { drop(e, 3); }},
      {"RepeatedPart", "written twice", [](Example& e) { e.plan.items.push_back(item(e, 2)); }},
      {"PartNumberTwice", "workspace row should be 12", [](Example& e) { item(e, 4).part = 2; }},
      {"PartNumberTooLarge", "part number out of range", [](Example& e) { item(e, 1).part = 2; }},
      {"PartCountDiffers", "is of another tile", [](Example& e) { item(e, 1).parts = 3; }},
      {"PartsOfUnequalRows", "is of another tile", [](Example& e) { item(e, 0).query_count = 1; }},
      {"PartialRowsOverlap", "workspace row should be 4", [](Example& e) { item(e, 1).partial_row = 3; }},
      {"PartialRowsShared", "workspace row should be 4", [](Example& e) { item(e, 1).partial_row = 0; }},
      {"PartialRowsMissing", "without merge or rows", [](Example& e) { item(e, 1).partial_row = -1; }},
      {"PartialRowsOfWholeTile", "a whole tile with", [](Example& e) { item(e, 6).partial_row = 0; }},
      {"MergeOfWholeTile", "a whole tile with", [](Example& e) { item(e, 6).merge = 0; }},
      {"MergeMissing", "merges use 8 workspace rows", [](Example& e) { e.plan.merges.pop_back(); }},
      {"MergesAllMissing", "merges use 0", [](Example& e) { e.plan.merges.clear(); }},
      {"MergeMissingAndRowsToo", "no such merge",
       [](Example& e) {
         e.plan.merges.pop_back();
         e.plan.partial_rows = 8;
       }},
      {"MergeNumberSwapped", "is of another tile", [](Example& e) { item(e, 2).merge = 0; }},
      {"MergeRepeated", "starts at workspace row 8, not 14",
       [](Example& e) { e.plan.merges.push_back(e.plan.merges.back()); }},
      {"MergeWithoutParts", "which no item writes",
       [](Example& e) {
         e.plan.merges.push_back({0, 2, 14, 0, 0, 0, 2, 2, 0});
         e.plan.partial_rows = 22;
       }},
      {"MergeOfOnePart", "has 1 parts", [](Example& e) { e.plan.merges[0].parts = 1; }},
      {"MergeOfOtherHead", "is of another tile", [](Example& e) { e.plan.merges[0].query_head_begin = 0; }},
      {"MergeOfOtherKvHead", "is of another tile", [](Example& e) { e.plan.merges[0].kv_head = 0; }},
      {"MergeOfOtherRequest", "is of another tile", [](Example& e) { e.plan.merges[0].request = 1; }},
      {"MergeOfOtherRow", "is of another tile", [](Example& e) { e.plan.merges[0].query_begin = 0; }},
      {"MergeRowsNotDense", "starts at workspace row 9", [](Example& e) { e.plan.merges[1].partial_row = 9; }},
      {"MergesOutOfOrder", "starts at workspace row 8",
       [](Example& e) {
         std::swap(e.plan.merges[0], e.plan.merges[1]);
         for (WorkItem& i : e.plan.items) i.merge = i.merge < 0 ? -1 : 1 - i.merge;
       }},
      {"PartialRowCountTooSmall", "the plan says 13", [](Example& e) { e.plan.partial_rows = 13; }},
      {"PartialRowCountTooLarge", "the plan says 15", [](Example& e) { e.plan.partial_rows = 15; }},
      {"PlannedWithoutMask", "see keys of [0, 7)",
       [](Example& e) {
         for (WorkItem& i : e.plan.items) {
           if (i.request == 0 && i.parts == 1) i.key_end = 8;
         }
       }},
      {"WindowIgnored", "see keys of [4, 7)", [](Example& e) { e.batch.mask.left = 1; }},
      {"MaskAlignedTopLeft", "keys for rows that see none",
       [](Example& e) {
         for (const std::size_t blind : {11U, 12U}) item(e, blind).key_end = 2;
       }},
  };
}

TEST(PlanChecker, AcceptsACorrectPlan) {
  const Example e = example();
  EXPECT_EQ(plan_fault(e.batch, e.target, e.plan), "");
  EXPECT_EQ(bitmap_fault(e.batch, e.target, e.plan), "");
}

TEST(PlanChecker, AcceptsAPlanOfNothing) {
  Example e = example();
  e.plan = {};
  e.batch.query_lengths = {0, 0};
  e.batch.key_lengths = {3, 0};
  EXPECT_EQ(plan_fault(e.batch, e.target, e.plan), "");
  EXPECT_EQ(bitmap_fault(e.batch, e.target, e.plan), "");
  e.batch.query_lengths = {};
  e.batch.key_lengths = {};
  EXPECT_EQ(plan_fault(e.batch, e.target, e.plan), "");
  EXPECT_EQ(bitmap_fault(e.batch, e.target, e.plan), "");
}

TEST(PlanChecker, AcceptsWindowedTiles) {
  Example e = example();
  e.batch.query_lengths = {5};
  e.batch.key_lengths = {8};
  e.batch.kv_heads = 1;
  e.batch.mask = Mask::causal_window(1);
  e.plan = {};
  e.plan.items = {tile(0, 0, 2, 2, 4, 7), tile(0, 0, 0, 2, 2, 5), tile(0, 0, 4, 1, 6, 8)};
  EXPECT_EQ(plan_fault(e.batch, e.target, e.plan), "");
  EXPECT_EQ(bitmap_fault(e.batch, e.target, e.plan), "");
  for (WorkItem& item : e.plan.items) {
    for (const std::int64_t off_by : {-2, -1, 1, 2}) {
      const WorkItem right = item;
      item.key_begin += off_by;
      EXPECT_NE(plan_fault(e.batch, e.target, e.plan), "") << describe(item);
      EXPECT_NE(bitmap_fault(e.batch, e.target, e.plan), "") << describe(item);
      item = right;
      item.key_end += off_by;
      EXPECT_NE(plan_fault(e.batch, e.target, e.plan), "") << describe(item);
      EXPECT_NE(bitmap_fault(e.batch, e.target, e.plan), "") << describe(item);
      item = right;
    }
  }
}

// Tiles of one request may differ in shape and cut the group's heads differently.
TEST(PlanChecker, AcceptsHeadChunksOfUnequalTiles) {
  Example e = example();
  e.batch.query_lengths = {3};
  e.batch.key_lengths = {2};
  e.batch.kv_heads = 1;
  e.batch.mask = Mask::full();
  e.plan = {};
  WorkItem head_0 = tile(0, 0, 2, 1, 0, 2);
  head_0.query_head_count = 1;
  head_0.tile_shape = 1;
  WorkItem head_1 = head_0;
  head_1.query_head_begin = 1;
  e.plan.items = {tile(0, 0, 0, 2, 0, 2), head_0, head_1};
  EXPECT_EQ(plan_fault(e.batch, e.target, e.plan), "");
  EXPECT_EQ(bitmap_fault(e.batch, e.target, e.plan), "");
  e.plan.items[2].query_begin = 1;
  EXPECT_NE(plan_fault(e.batch, e.target, e.plan), "");
  EXPECT_NE(bitmap_fault(e.batch, e.target, e.plan), "");
}

TEST(PlanChecker, FindsEveryPlantedFault) {
  for (const PlantedFault& fault : planted_faults()) {
    SCOPED_TRACE(fault.name);
    Example e = example();
    fault.plant(e);
    const std::string found = plan_fault(e.batch, e.target, e.plan);
    EXPECT_NE(found, "");
    EXPECT_NE(found.find(fault.expected), std::string::npos) << "found instead: " << found;
    EXPECT_NE(bitmap_fault(e.batch, e.target, e.plan), "");
  }
}

}  // namespace
}  // namespace varlen::plan_test
