// The emulated GPU kernels by the numerics contract, on random ragged batches among clean and poisoned surroundings.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <tuple>

#include "effort.hpp"
#include "varlen/check.hpp"

namespace varlen {
namespace {

void expect_all_pass(const CheckOptions& options, std::int64_t at_least) {
  const CheckSummary summary = run_checks(options);
  EXPECT_GE(summary.passed, at_least);
  EXPECT_EQ(summary.failed, 0);
  for (const CheckFailure& failure : summary.failures) {
    ADD_FAILURE() << failure.name << ": " << failure.message << "\nvarlen check --backend emulator --arch "
                  << (options.kernel == GpuKernel::kMma     ? "sm_80"
                      : options.kernel == GpuKernel::kWgmma ? "sm_90a"
                                                            : "sm_100a")
                  << " --cases "
                  << (failure.random ? "random --count 1 --seed " + std::to_string(failure.seed)
                                     : "edge --only " + failure.name);
  }
}

constexpr GpuKernel kGpuKernels[] = {GpuKernel::kMma, GpuKernel::kWgmma, GpuKernel::kTcgen05};

class EmulatorAccuracy : public testing::TestWithParam<std::tuple<GpuKernel, std::uint64_t>> {};

TEST_P(EmulatorAccuracy, RandomBatches) {
  CheckOptions options;
  options.backend = Backend::kEmulator;
  options.cases = CheckCases::kRandom;
  options.count = test::scaled_by_effort(200);
  std::tie(options.kernel, options.seed) = GetParam();
  expect_all_pass(options, options.count);
}

INSTANTIATE_TEST_SUITE_P(Seeds, EmulatorAccuracy,
                         testing::Combine(testing::ValuesIn(kGpuKernels), testing::Values(11, 22)));

TEST(EmulatorEdges, TileEdges) {
  for (const GpuKernel gpu_kernel : kGpuKernels) {
    CheckOptions options;
    options.backend = Backend::kEmulator;
    options.kernel = gpu_kernel;
    options.cases = CheckCases::kEdge;
    options.only = "tile_edges_causal";
    expect_all_pass(options, 5);
  }
}

}  // namespace
}  // namespace varlen
