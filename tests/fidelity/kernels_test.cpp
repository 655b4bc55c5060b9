// The comparison of whole kernels, without a GPU: the emulator with itself.
#include <gtest/gtest.h>

#include "effort.hpp"
#include "fidelity/fidelity_checks.hpp"
#include "machine.hpp"

namespace varlen::fidelity {
namespace {

TEST(Fidelity, KernelsOfTheEmulatorWithItself) {
  const std::unique_ptr<gpu_check::Machine> emulator = gpu_check::host_machine();
  gpu_check::Options options;
  options.count = test::scaled_by_effort(24);
  const gpu_check::Outcome outcome = check_kernels(*emulator, options);
  EXPECT_EQ(outcome.passed, options.count);
  EXPECT_EQ(outcome.failed, 0);
}

}  // namespace
}  // namespace varlen::fidelity
