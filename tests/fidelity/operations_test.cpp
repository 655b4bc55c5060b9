// The whole comparison of operations runs without a GPU as well: the emulator with itself.
#include <gtest/gtest.h>

#include "fidelity/fidelity_checks.hpp"

namespace varlen::fidelity {
namespace {

TEST(Fidelity, OperationsOfTheEmulatorWithItself) {
  const std::unique_ptr<Runner> emulator = emulated_runner();
  const gpu_check::Outcome outcome = check_operations(*emulator, {16});
  EXPECT_EQ(outcome.failed, 0);
  EXPECT_GT(outcome.passed, 80);
}

}  // namespace
}  // namespace varlen::fidelity
