// Bytes of a plan: a record per request and a few per worker, never one per tile.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "plan_sums.hpp"
#include "varlen/plan.hpp"

namespace varlen::plan_test {
namespace {

std::int64_t plan_bytes(std::int64_t requests, std::int64_t length, std::int32_t kv_heads, const PlanTarget& target) {
  BatchCase batch;
  for (std::int64_t i = 0; i < requests; ++i) {
    batch.query_lengths.push_back(length + i % 7);
    batch.key_lengths.push_back(length + i % 7);
  }
  batch.kv_heads = kv_heads;
  batch.mask = Mask::causal();
  const PlanReport report = make_plan(batch.view(), target).report();
  EXPECT_LE(report.plan_bytes, plan_bytes_bound(report));
  fmt::print("{:5} {:6} requests of {:6} tokens, {:3} heads, {:4} workers: {:8} items, {:9} bytes\n", target.name,
             requests, length, kv_heads, target.workers, report.items, report.plan_bytes);
  return report.plan_bytes;
}

TEST(PlanBytes, DoNotGrowWithHeadsOrLengths) {
  for (const PlanTarget& target : {PlanTarget::cpu(2), PlanTarget::h100(), PlanTarget::b200()}) {
    for (const std::int64_t requests : {1, 64, 2048}) {
      for (const std::int64_t length : {std::int64_t{17}, std::int64_t{1000}, 1'000'000 / requests}) {
        for (const std::int32_t kv_heads : {1, 32}) plan_bytes(requests, length, kv_heads, target);
      }
    }
  }
}

TEST(PlanBytes, AreLinearInRequests) {
  const PlanTarget target = PlanTarget::h100();
  const std::int64_t once = plan_bytes(50'000, 17, 2, target);
  const std::int64_t twice = plan_bytes(100'000, 17, 2, target);
  const std::int64_t thrice = plan_bytes(150'000, 17, 2, target);
  EXPECT_LE(std::abs((thrice - twice) - (twice - once)), 1024 * std::int64_t{target.workers});
}

TEST(PlanBytes, AreLinearInWorkers) {
  for (const std::int32_t workers : {1, 10, 100, 1000, 10'000}) {
    PlanTarget target = PlanTarget::h100();
    target.workers = workers;
    plan_bytes(100, 5000, 8, target);
  }
}

}  // namespace
}  // namespace varlen::plan_test
