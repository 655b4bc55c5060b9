// What random batches cover. Nothing is computed.
#include "random_case.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "check/random_bits.hpp"
#include "machine.hpp"
#include "memory.hpp"
#include "placed_case.hpp"

namespace varlen::gpu_check {
namespace {

TEST(GpuCases, ASeedIsACase) {
  const check::Case a = random_case(77);
  const check::Case b = random_case(77);
  EXPECT_EQ(a.query_lengths, b.query_lengths);
  EXPECT_EQ(a.key_lengths, b.key_lengths);
  EXPECT_EQ(a.head_dim_qk, b.head_dim_qk);
}

TEST(GpuCases, AreWithinTheirEffort) {
  std::uint64_t seed = 3;
  for (int i = 0; i < 2000; ++i) {
    const check::Case test = random_case(seed);
    EXPECT_LE(products(test), Effort().products);
    EXPECT_LE(elements(test), Effort().elements);
    seed = check::RandomBits(seed).next();
  }
}

TEST(GpuCases, ReachEveryFeature) {
  std::map<std::string, int> seen;
  std::uint64_t seed = 1;
  constexpr int kCases = 2000;
  for (int i = 0; i < kCases; ++i) {
    const check::Case test = random_case(seed);
    seed = check::RandomBits(seed).next();
    const std::int32_t group = test.query_heads / test.kv_heads;
    EXPECT_LE(group, 32);
    EXPECT_LE(test.head_dim_qk, 576);
    EXPECT_LE(test.head_dim_vo, 512);
    ++seen[std::string("input ") + dtype_name(test.input_dtype)];
    ++seen[std::string("output ") + dtype_name(test.output_dtype)];
    ++seen["target " + (test.target.tile_shapes.empty() ? "of the device" : test.target.name)];
    ++seen[test.page_size > 0 ? "paged" : "ragged"];
    seen["192/128"] += test.head_dim_qk == 192 && test.head_dim_vo == 128;
    seen["576/512"] += test.head_dim_qk == 576 && test.head_dim_vo == 512;
    seen["256"] += test.head_dim_qk == 256;
    seen["odd multiple of 8"] += test.head_dim_qk % 16 == 8;
    seen["group of 32"] += group == 32;
    seen["no group"] += group == 1;
    seen["packed"] += test.layout.packed_qkv;
    seen["heads first"] += test.layout.heads_first;
    seen["gaps"] += test.layout.head_gap > 0 && test.layout.token_gap > 0;
    seen["unaligned"] += test.layout.head_gap % 8 != 0 || test.layout.token_gap % 8 != 0;
    seen["sinks"] += test.sinks;
    seen["soft cap"] += test.soft_cap > 0;
    seen["no lse"] += !test.lse;
    seen["invariant"] += test.batch_invariant;
    seen["many requests"] += test.query_lengths.size() > 50;
    seen["full"] += test.mask.left < 0 && test.mask.right < 0;
    seen["causal"] += test.mask.left < 0 && test.mask.right == 0;
    seen["window"] += test.mask.left >= 0 && test.mask.right > 0;
    for (std::size_t r = 0; r < test.query_lengths.size(); ++r) {
      seen["empty query"] += test.query_lengths[r] == 0;
      seen["empty keys"] += test.key_lengths[r] == 0 && test.query_lengths[r] > 0;
      seen["query longer"] += test.query_lengths[r] > test.key_lengths[r];
      seen["long keys"] += test.key_lengths[r] > 1000;
      seen["long queries"] += test.query_lengths[r] > 600;
    }
  }
  for (const auto& [feature, count] : seen) EXPECT_GE(count, 30) << feature << " in " << kCases << " cases";
}

/// On an H100, for both kernels: at least a fifth of the batches keep each block busy with more than two items.
TEST(GpuCases, AFifthHasMoreThanTwoItemsAWorker) {
  const std::unique_ptr<Machine> machine = host_machine();
  Arena arena(*machine, std::int64_t{1} << 30);
  std::uint64_t seed = 5;
  std::map<GpuKernel, int> busy;
  constexpr int kCases = 600;
  std::int64_t split = 0;
  for (int i = 0; i < kCases; ++i) {
    arena.clear();
    const check::Case test = random_case(seed);
    const PlacedCase placed(test, *machine, arena, 2);
    for (const GpuKernel gpu_kernel : machine->gpu_kernels()) {
      const PlanTarget own = machine->target(placed.batch(), gpu_kernel);
      const Plan plan = make_plan(placed.batch(), test.target.tile_shapes.empty() ? own : test.target);
      busy[gpu_kernel] += plan.item_count() > 2 * std::int64_t{own.workers};
      split += !plan.merges().empty();
    }
    seed = check::RandomBits(seed).next();
  }
  for (const auto& [gpu_kernel, count] : busy) {
    EXPECT_GE(5 * count, kCases) << static_cast<int>(gpu_kernel) << ": " << count << " of " << kCases;
    RecordProperty("busy", count);
  }
  EXPECT_GE(split, kCases / 5);
}

}  // namespace
}  // namespace varlen::gpu_check
