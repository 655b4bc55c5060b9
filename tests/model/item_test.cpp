// One item on one multiprocessor, in clocks that can be counted by hand.

#include <gtest/gtest.h>

#include "cli/model/item_shape.hpp"
#include "cli/model/item_time.hpp"

namespace varlen::test {
namespace {

using namespace cli;

/// A machine without latencies whose tensor cores run at the clock, 1 Hz: seconds are clocks.
GpuRates clocks_of(GpuRates rates, double flop_per_clock) {
  rates.clock = 1;
  rates.matmul_flops = flop_per_clock * rates.multiprocessors;
  rates.latency = {0, 0, 0, 0, 0, 0, 0};
  return rates;
}
GpuRates hopper() { return clocks_of(GpuRates::h100(), 4096); }
GpuRates blackwell() { return clocks_of(GpuRates::b200(), 8192); }

Workload request(std::int64_t queries, std::int64_t keys, Mask mask) {
  Workload workload;
  workload.query_lengths = {queries};
  workload.key_lengths = {keys};
  workload.query_heads = workload.kv_heads = 1;
  workload.head_dim_qk = workload.head_dim_vo = 128;
  workload.mask = mask;
  return workload;
}

WorkItem whole(std::int64_t query_begin, std::int64_t query_count, std::int64_t key_end) {
  WorkItem item{};
  item.query_begin = query_begin;
  item.query_count = query_count;
  item.query_head_count = 1;
  item.key_end = key_end;
  item.parts = 1;
  return item;
}

TEST(HopperStep, IsScoresThenTheLongerOfSoftmaxAndValuesThenPacking) {
  // 128 × 128 scores: maxima 256, exponentials 1024, packing 128; products of 128 deep 1024.
  EXPECT_DOUBLE_EQ(step_time(hopper(), {128, 128, 128}, 2), 1024 + (256 + 1024) + 128);
  EXPECT_DOUBLE_EQ(step_time(hopper(), {64, 64, 128}, 2), 512 + (256 + 1024) + 128);
  EXPECT_DOUBLE_EQ(step_time(hopper(), {192, 128, 128}, 2), 1536 + (256 + 1024) + 128);
  // 64 keys at a time, 256 deep: the values take longer than softmax.
  EXPECT_DOUBLE_EQ(step_time(hopper(), {256, 256, 64}, 2), 1024 + 1024 + 64);
}

TEST(HopperStep, OfOneWarpgroupIsHalfUnlessLoadsTakeLonger) {
  GpuRates rates = hopper();
  EXPECT_DOUBLE_EQ(step_time(rates, {64, 64, 128}, 1), 256 + (128 + 512) + 64);
  // 64 KB in at 5120 / 132 bytes a clock.
  EXPECT_DOUBLE_EQ(step_time(rates, {128, 128, 128}, 1), 65536 / (5120.0 / 132));
  rates.device_l2_bytes = 1e9;
  EXPECT_DOUBLE_EQ(step_time(rates, {128, 128, 128}, 1), 512 + (128 + 512) + 64);
}

TEST(BlackwellStep, IsTheBusiestUnitOrOneHalfsChain) {
  GpuRates rates = blackwell();
  // Both halves' products, 4 × 512; one half's chain is 2 × 512 for products, 128 for maxima, 832 for exponentials.
  EXPECT_DOUBLE_EQ(step_time(rates, {128, 128, 128}, 2), 2048);
  EXPECT_DOUBLE_EQ(step_time(rates, {128, 128, 128}, 1), 1024 + 128 + 832);
  // At head dim 64 products take half of that; both halves' instructions are 256 × (112 + 656 + 7.25 × 24) / 128.
  EXPECT_DOUBLE_EQ(step_time(rates, {64, 64, 128}, 2), 1884);
  EXPECT_DOUBLE_EQ(step_time(rates, {64, 64, 128}, 1), 512 + 128 + 832);
}

TEST(BlackwellStep, ThePolynomialsShareIsBestWhereInstructionsTakeAsLongAsExponentials) {
  GpuRates rates = blackwell();
  const auto chain_with = [&](double share) {
    rates.polynomial_share = share;
    return step_time(rates, {128, 128, 128}, 1) - 1024 - 128;
  };
  EXPECT_DOUBLE_EQ(chain_with(0), 1024);                // exponentials alone
  EXPECT_DOUBLE_EQ(chain_with(0.125), 896);             // likewise
  EXPECT_DOUBLE_EQ(chain_with(3.0 / 16), 832);          // the kernel's; its instructions take 830
  EXPECT_DOUBLE_EQ(chain_with(0.25), 656 + 7.25 * 32);  // instructions
}

TEST(BlackwellStep, RowsAreFinishedBesideTheNextItemUnlessItsQueriesHaveNoPlace) {
  const ItemShape shape{.rows = 256, .groups = 2, .steps = 1};
  // Scores of both halves, then maxima and exponentials of both, values of both.
  EXPECT_DOUBLE_EQ(item_time(blackwell(), {128, 128, 128}, shape), 1024 + (256 + 1664) + 1024);
  // Results, 256 × 128, are scaled, packed and left; they leave shared memory; queries and 128 keys of 192 come.
  const double out = 256 + 256 + 512;
  const double in = 512 + (256 + 128) * 192 * 2 / 64.0;
  EXPECT_DOUBLE_EQ(item_time(blackwell(), {192, 128, 128}, shape), in + 1536 + (256 + 1664) + 1024 + out);
}

TEST(ItemTime, OfOneStepIsOneAfterAnother) {
  const ItemShape shape{.rows = 128, .groups = 2, .steps = 1};
  // Scores, softmax, packing, values; then 128 × 128 results are scaled, packed and left.
  EXPECT_DOUBLE_EQ(item_time(hopper(), {128, 128, 128}, shape), 1024 + 256 + 1024 + 128 + 1024 + 128 + 128 + 256);
}

TEST(ItemTime, EveryFurtherStepAddsTheSame) {
  const KernelDims dims{128, 128, 128};
  ItemShape shape{.rows = 128, .groups = 2, .steps = 1};
  for (const GpuRates& rates : {GpuRates::h100(), GpuRates::b200()}) {
    shape.steps = 10;
    const double ten = item_time(rates, dims, shape);
    shape.steps = 11;
    EXPECT_NEAR(item_time(rates, dims, shape) - ten, step_time(rates, dims, 2), 1e-12);
  }
}

TEST(ItemTime, MaskedStepsAreLonger) {
  const auto longer = [](const GpuRates& rates, ItemShape shape) {
    const double without = item_time(rates, {128, 128, 128}, shape);
    shape.masked_steps = 3;
    return item_time(rates, {128, 128, 128}, shape) - without;
  };
  // Three comparisons or choices a score of 64 rows; a choice for each of 128 rows, two for half of the keys.
  EXPECT_DOUBLE_EQ(longer(hopper(), {.rows = 128, .groups = 2, .steps = 4}), 3.0 * 3 * 64 * 128 / 64);
  EXPECT_DOUBLE_EQ(longer(blackwell(), {.rows = 256, .groups = 2, .steps = 4}), 3 * 1.5 * 128 * 128 / 64);
}

TEST(ItemShape, MaskedStepsAreThoseThatRowsDoNotSeeWhole) {
  const KernelDims dims{128, 128, 128};
  const auto masked = [&](const WorkItem& item, const Workload& workload) {
    return shape_of(item, workload, dims, KernelOrder::kHopper).masked_steps;
  };
  EXPECT_EQ(masked(whole(0, 128, 512), request(128, 512, Mask::full())), 0);
  EXPECT_EQ(masked(whole(0, 128, 500), request(128, 500, Mask::full())), 2);      // the last step, both warpgroups
  EXPECT_EQ(masked(whole(128, 128, 256), request(256, 256, Mask::causal())), 2);  // the diagonal
  EXPECT_EQ(masked(whole(0, 64, 512), request(64, 512, Mask::full())), 0);
  EXPECT_EQ(masked(whole(0, 48, 512), request(48, 512, Mask::full())), 4);  // a warp without rows masks everything
  EXPECT_EQ(shape_of(whole(0, 48, 512), request(48, 512, Mask::full()), dims, KernelOrder::kBlackwell).masked_steps, 0);
}

TEST(KernelDims, AreTheFirstThatAreLargeEnough) {
  Workload workload = request(1, 1, Mask::full());
  workload.head_dim_qk = workload.head_dim_vo = 72;
  EXPECT_EQ(KernelDims::of(workload, KernelOrder::kHopper).qk, 128);
  workload.head_dim_qk = workload.head_dim_vo = 256;
  EXPECT_EQ(KernelDims::of(workload, KernelOrder::kHopper).keys, 64);
  try {
    KernelDims::of(workload, KernelOrder::kBlackwell);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_EQ(error.field(), "head_dim_qk");
    EXPECT_NE(std::string(error.what()).find("head_dim_qk = 256 is more than 192"), std::string::npos) << error.what();
  }
}

TEST(KernelDims, RefuseWhatIsNotModelledByName) {
  const auto expect_refused = [](const auto& change, const std::string& field) {
    Workload workload = request(1, 1, Mask::full());
    change(workload);
    try {
      KernelDims::of(workload, KernelOrder::kHopper);
      ADD_FAILURE() << field;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_EQ(error.field(), field);
    }
  };
  expect_refused([](Workload& workload) { workload.head_dim_vo = 512; }, "head_dim_vo");
  expect_refused([](Workload& workload) { workload.head_dim_vo = 64; }, "head_dim_vo");
  expect_refused([](Workload& workload) { workload.head_dim_qk = 64; }, "head_dim_qk");
  expect_refused([](Workload& workload) { workload.page_size = 20; }, "page_size");
  expect_refused([](Workload& workload) { workload.soft_cap = 30; }, "soft_cap");
}

}  // namespace
}  // namespace varlen::test
