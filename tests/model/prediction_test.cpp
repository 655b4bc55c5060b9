// Predictions of whole batches: sums that can be told by hand, and how they must move with machine and lengths.

#include "cli/model/prediction.hpp"

#include <gtest/gtest.h>

#include "cli/model/item_shape.hpp"
#include "cli/model/item_time.hpp"
#include "cli/trace.hpp"

namespace varlen::test {
namespace {

using namespace cli;

Workload equal_lengths(std::size_t requests, std::int64_t queries, std::int64_t keys, std::int32_t heads, Mask mask) {
  Workload workload;
  workload.query_lengths.assign(requests, queries);
  workload.key_lengths.assign(requests, keys);
  workload.query_heads = workload.kv_heads = heads;
  workload.head_dim_qk = workload.head_dim_vo = 128;
  workload.mask = mask;
  return workload;
}

TEST(Prediction, OneItemAloneIsLaunchStartAndItem) {
  GpuRates rates = GpuRates::h100();
  rates.multiprocessors = 1;
  rates.matmul_flops /= 132;
  const Prediction prediction = predict(equal_lengths(1, 128, 1024, 1, Mask::full()), rates);
  const ItemShape shape{.rows = 128, .groups = 2, .steps = 8};
  EXPECT_EQ(prediction.item_count, 1);
  EXPECT_EQ(prediction.launches, 1);
  const KernelDims dims{128, 128, 128};
  EXPECT_NEAR(prediction.seconds, rates.launch + start_time(rates, dims) + item_time(rates, dims, shape), 1e-12);
}

TEST(Prediction, NoRowsTakeNoTime) {
  const Prediction prediction = predict(equal_lengths(3, 0, 100, 1, Mask::full()), GpuRates::h100());
  EXPECT_EQ(prediction.seconds, 0);
  EXPECT_EQ(prediction.bound(), "nothing to do");
}

TEST(Prediction, DecodeIsBoundByBandwidth) {
  Workload workload = equal_lengths(256, 1, 8192, 32, Mask::causal());
  workload.kv_heads = 8;
  const GpuRates rates = GpuRates::h100();
  const Prediction prediction = predict(workload, rates);
  EXPECT_EQ(prediction.bound(), "bandwidth");
  EXPECT_NEAR(prediction.bytes, bytes_moved(workload, Dtype::kBFloat16, Dtype::kBFloat16), 1);
  const double floor = prediction.bytes / rates.copy_bytes;
  EXPECT_GE(prediction.seconds, floor);
  EXPECT_LE(prediction.seconds, floor * 1.05);
  GpuRates faster = rates;
  faster.matmul_flops *= 2;
  EXPECT_NEAR(predict(workload, faster).seconds, prediction.seconds, prediction.seconds * 0.02);
}

TEST(Prediction, LongPromptsAreBoundByTheMultiprocessorsAndTwiceAsManyTakeHalf) {
  const Workload workload = equal_lengths(4, 8192, 8192, 16, Mask::full());
  GpuRates rates = GpuRates::h100();
  const Prediction one = predict(workload, rates);
  EXPECT_EQ(one.bound(), "tensor cores");
  EXPECT_EQ(one.memory_bound, 0);
  rates.multiprocessors *= 2;
  rates.matmul_flops *= 2;
  rates.device_l2_bytes *= 2;
  EXPECT_NEAR(predict(workload, rates).items, one.items / 2, one.items / 2 * 0.03);
}

TEST(Prediction, HeadDim64IsBoundByExponentials) {
  Workload workload = equal_lengths(2, 8192, 8192, 32, Mask::full());
  workload.head_dim_qk = workload.head_dim_vo = 64;
  EXPECT_EQ(predict(workload, GpuRates::h100()).bound(), "exp");
}

TEST(Prediction, OneSmallRequestIsBoundByItsLaunch) {
  EXPECT_EQ(predict(equal_lengths(1, 16, 16, 1, Mask::full()), GpuRates::h100()).bound(), "launch");
}

TEST(Prediction, UnitsInBalanceBoundTogether) {
  Workload workload = equal_lengths(256, 1, 8192, 32, Mask::causal());
  workload.kv_heads = 8;
  GpuRates rates = GpuRates::h100();
  const Prediction slow = predict(workload, rates);
  rates.copy_bytes = slow.bytes / slow.mean_busy;  // memory takes as long as the multiprocessors
  const Prediction balanced = predict(workload, rates);
  EXPECT_EQ(balanced.bound(), "several at once");
  EXPECT_GT(balanced.gains.front().share, 0.3);
}

TEST(Prediction, LongerRequestsNeverTakeLess) {
  for (const GpuRates& rates : {GpuRates::h100(), GpuRates::b200()}) {
    for (const Mask& mask : {Mask::full(), Mask::causal()}) {
      // Whole blocks, and tiles enough that none is split.
      double last = 0;
      for (std::int64_t length = 128; length <= 16384; length *= 2) {
        const double seconds = predict(equal_lengths(16, length, length, 32, mask), rates).seconds;
        EXPECT_GE(seconds, last) << rates.name << " " << length;
        last = seconds;
      }
      last = 0;
      for (std::int64_t keys = 512; keys <= 65536; keys *= 2) {
        const double seconds = predict(equal_lengths(16, 100, keys, 32, mask), rates).seconds;
        EXPECT_GE(seconds, last) << rates.name << " " << keys;
        last = seconds;
      }
    }
  }
}

TEST(Prediction, FasterUnitsNeverTakeMore) {
  const Workload workload = equal_lengths(5, 700, 3000, 8, Mask::causal());
  for (const GpuRates& rates : {GpuRates::h100(), GpuRates::b200()}) {
    const Prediction prediction = predict(workload, rates);
    for (const Gain& gain : prediction.gains) EXPECT_GE(gain.share, -1e-3) << rates.name << " " << gain.of;
    EXPECT_GE(prediction.gains.front().share, prediction.gains.back().share);
  }
}

TEST(Prediction, NoBatchIsFasterThanItsFloor) {
  for (const GpuRates& rates : {GpuRates::h100(), GpuRates::b200()}) {
    for (const std::string& path : trace_paths(VARLEN_SOURCE_DIR "/bench/traces")) {
      const Workload workload = read_trace(path);
      if (workload.head_dim_qk > 192 && rates.order == KernelOrder::kBlackwell) continue;
      const Prediction prediction = predict(workload, rates);
      EXPECT_GE(prediction.seconds, flop(workload) / rates.matmul_flops) << workload.name;
      EXPECT_GE(prediction.seconds, prediction.bytes / rates.copy_bytes) << workload.name;
    }
  }
}

}  // namespace
}  // namespace varlen::test
