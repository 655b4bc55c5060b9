// The CPU backend by the numerics contract: every edge case by name, and thousands of random ragged batches, each with
// a plan for one of many targets, among clean and poisoned surroundings.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "effort.hpp"
#include "varlen/check.hpp"

namespace varlen {
namespace {

void expect_all_pass(const CheckOptions& options, std::int64_t at_least) {
  const CheckSummary summary = run_checks(options);
  EXPECT_GE(summary.passed, at_least);
  EXPECT_EQ(summary.failed, 0);
  for (const CheckFailure& failure : summary.failures) {
    ADD_FAILURE() << failure.name << ": " << failure.message
                  << (failure.random ? "\nvarlen check --backend cpu --cases random --count 1 --seed " +
                                           std::to_string(failure.seed)
                                     : "\nvarlen check --backend cpu --cases edge");
  }
  testing::Test::RecordProperty("worst_out", std::to_string(summary.worst_out));
  testing::Test::RecordProperty("worst_lse", std::to_string(summary.worst_lse));
}

TEST(CpuAccuracy, EdgeCases) {
  CheckOptions options;
  options.backend = Backend::kCpu;
  options.cases = CheckCases::kEdge;
  // The target that has most tiles cut reaches all of the kernel.
  if (test::effort_is_reduced()) options.only = "/crowded";
  expect_all_pass(options, test::effort_is_reduced() ? 200 : 1000);
}

/// A thousand random batches each, so that they run side by side.
class CpuRandomAccuracy : public testing::TestWithParam<std::uint64_t> {};

TEST_P(CpuRandomAccuracy, Batches) {
  CheckOptions options;
  options.backend = Backend::kCpu;
  options.cases = CheckCases::kRandom;
  options.count = test::scaled_by_effort(1000);
  options.seed = GetParam();
  expect_all_pass(options, options.count);
}

INSTANTIATE_TEST_SUITE_P(Seeds, CpuRandomAccuracy, testing::Values(101, 202, 303, 404, 505, 606));

}  // namespace
}  // namespace varlen
