// The checks themselves, on the host: the emulated kernels pass them.
#include "checks.hpp"

#include <gtest/gtest.h>

#include "effort.hpp"
#include "machine.hpp"

namespace varlen::gpu_check {
namespace {

Options options_for(const Machine& machine, std::int64_t count) {
  Options options;
  options.count = test::scaled_by_effort(count);
  options.gpu_kernels = machine.gpu_kernels();
  options.effort = {1'000'000, 60'000};
  return options;
}

TEST(GpuChecks, Random) {
  const std::unique_ptr<Machine> emulator = host_machine();
  const Options options = options_for(*emulator, 12);
  const Outcome outcome = check_random(*emulator, options);
  EXPECT_EQ(outcome.passed, options.count);
  EXPECT_EQ(outcome.failed, 0);
}

TEST(GpuChecks, Isolation) {
  const std::unique_ptr<Machine> emulator = host_machine();
  const Options options = options_for(*emulator, 6);
  const Outcome outcome = check_isolation(*emulator, options);
  EXPECT_EQ(outcome.passed, options.count);
  EXPECT_EQ(outcome.failed, 0);
}

// The CPU backend really touches the pages; the emulator would tell before.
TEST(GpuChecks, GuardPages) {
  const std::unique_ptr<Machine> cpu = host_machine(true);
  const Options options = options_for(*cpu, 20);
  const Outcome outcome = check_guard_pages(*cpu, options);
  EXPECT_GT(outcome.passed, 2 * options.count);
  EXPECT_EQ(outcome.failed, 0);
}

TEST(GpuChecks, Repeat) {
  const std::unique_ptr<Machine> cpu = host_machine(true);
  Options options = options_for(*cpu, 5);
  options.shrink_by = 8;
  EXPECT_EQ(check_repeat(*cpu, options).failed, 0);
}

TEST(GpuChecks, Large) {
  const std::unique_ptr<Machine> cpu = host_machine(true);
  Options options = options_for(*cpu, 1);
  options.shrink_by = 1000;
  const Outcome outcome = check_large(*cpu, options);
  EXPECT_EQ(outcome.failed, 0);
  EXPECT_GE(outcome.passed, 6);
}

TEST(GpuChecks, BadInput) {
  const std::unique_ptr<Machine> emulator = host_machine();
  const Outcome outcome = check_bad_input(*emulator, options_for(*emulator, 1));
  EXPECT_EQ(outcome.failed, 0);
  EXPECT_GE(outcome.passed, 8);
}

TEST(GpuChecks, Refused) {
  const std::unique_ptr<Machine> emulator = host_machine();
  Options options = options_for(*emulator, 1);
  if (test::effort_is_reduced()) {
    options.shrink_by = 3;
    options.gpu_kernels = {GpuKernel::kWgmma};
  }
  const Outcome outcome = check_refused(*emulator, options);
  EXPECT_EQ(outcome.passed, (test::effort_is_reduced() ? 1 : 3 * 2) * (1 + 15 * 2));
  EXPECT_EQ(outcome.failed, 0);
}

TEST(GpuChecks, BadPages) {
  const std::unique_ptr<Machine> emulator = host_machine();
  const Options options = options_for(*emulator, 30);
  const Outcome outcome = check_bad_pages(*emulator, options);
  EXPECT_EQ(outcome.passed, options.count);
  EXPECT_EQ(outcome.failed, 0);
}

TEST(GpuChecks, BadPagesOnBlackwell) {
  const std::unique_ptr<Machine> emulator = host_machine();
  Options options = options_for(*emulator, 10);
  options.gpu_kernels = {GpuKernel::kTcgen05};
  const Outcome outcome = check_bad_pages(*emulator, options);
  EXPECT_EQ(outcome.passed, options.count);
  EXPECT_EQ(outcome.failed, 0);
}

TEST(GpuChecks, Plan) {
  const std::unique_ptr<Machine> emulator = host_machine();
  const Options options = options_for(*emulator, 100);
  const Outcome outcome = check_plan(*emulator, options);
  EXPECT_EQ(outcome.passed, options.count);
  EXPECT_EQ(outcome.failed, 0);
}

TEST(GpuChecks, Graph) {
  const std::unique_ptr<Machine> emulator = host_machine();
  Options options = options_for(*emulator, 6);
  options.shrink_by = 20;
  const Outcome outcome = check_graph(*emulator, options);
  EXPECT_EQ(outcome.passed, 8);
  EXPECT_EQ(outcome.failed, 0);
}

TEST(GpuChecks, PlanTime) {
  const std::unique_ptr<Machine> emulator = host_machine();
  Options options = options_for(*emulator, 1);
  options.shrink_by = 16;
  EXPECT_EQ(time_plan(*emulator, options).passed, 6);
}

TEST(GpuChecks, TimeEnds) {
  const std::unique_ptr<Machine> cpu = host_machine(true);
  Options options = options_for(*cpu, 1'000'000);
  options.seconds = 0.2;
  const Outcome outcome = check_random(*cpu, options);
  EXPECT_EQ(outcome.failed, 0);
  EXPECT_LT(outcome.passed, options.count);
}

}  // namespace
}  // namespace varlen::gpu_check
