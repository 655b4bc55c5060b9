// Workers that draw items and share bandwidth, in cases whose end can be told by hand.

#include "cli/model/drawing.hpp"

#include <gtest/gtest.h>

#include "cli/model/key_coverage.hpp"

namespace varlen::test {
namespace {

using cli::Demand;
using cli::draw;
using cli::Drawn;

TEST(Drawing, NothingTakesNoTime) { EXPECT_EQ(draw({}, 4, 1).makespan, 0); }

TEST(Drawing, OneItemAloneTakesItsTime) {
  const Drawn drawn = draw({{3.0, 6.0}}, 4, 100);
  EXPECT_DOUBLE_EQ(drawn.makespan, 3);
  EXPECT_DOUBLE_EQ(drawn.busy, 3);
  EXPECT_EQ(drawn.memory_bound, 0);
}

TEST(Drawing, OneItemAloneTakesItsBytesIfTheyAreMore) {
  const Drawn drawn = draw({{3.0, 600.0}}, 4, 100);
  EXPECT_DOUBLE_EQ(drawn.makespan, 6);
  EXPECT_DOUBLE_EQ(drawn.memory_bound, 6);
}

TEST(Drawing, ItemsAreDrawnInOrderByWhoIsFree) {
  // 4 | 1 1 1 3: the second worker takes the short ones, and the last.
  EXPECT_DOUBLE_EQ(draw({{4, 0}, {1, 0}, {1, 0}, {1, 0}, {3, 0}}, 2, 1).makespan, 6);
}

TEST(Drawing, BandwidthIsSharedUntilAllBytesHaveMoved) {
  const std::vector<Demand> items(12, {1.0, 10.0});
  const Drawn drawn = draw(items, 4, 20);  // four of them want 40 a second
  EXPECT_NEAR(drawn.makespan, 120.0 / 20, 1e-9);
  EXPECT_NEAR(drawn.memory_bound, drawn.makespan, 1e-9);
}

TEST(Drawing, WhoWantsLittleIsNotSlowedByWhoWantsMuch) {
  // The first wants 1 of 10 a second; the others get 4.5 of the 9 that each of them wants.
  const Drawn drawn = draw({{2, 2}, {1, 9}, {1, 9}}, 3, 10);
  EXPECT_NEAR(drawn.makespan, 2, 1e-9);
  EXPECT_NEAR(drawn.memory_bound, 2, 1e-9);
}

TEST(KeyCoverage, CountsWhatIsNew) {
  cli::KeyCoverage keys;
  EXPECT_EQ(keys.add(100, 200), 100);
  EXPECT_EQ(keys.add(100, 200), 0);
  EXPECT_EQ(keys.add(0, 50), 50);
  EXPECT_EQ(keys.add(40, 120), 50);
  EXPECT_EQ(keys.add(300, 400), 100);
  EXPECT_EQ(keys.add(0, 500), 200);
  EXPECT_EQ(keys.add(7, 7), 0);
}

}  // namespace
}  // namespace varlen::test
