// plan_on_device in the emulator: the host's plan byte for byte, and every fault of lengths.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>

#include "effort.hpp"
#include "plan/device_plan_check.hpp"

namespace varlen::emulator::test {
namespace {

void check_plans(std::int64_t first, std::int64_t count, std::int64_t max_items, bool wide) {
  const plan_test::PlanningDevice device{Backend::kEmulator, 0,
                                         [](const void* data, std::int64_t /*bytes*/) { return data; }};
  const char* const only = std::getenv("VARLEN_TEST_CASE");
  for (std::int64_t number = first; number < first + count; ++number) {
    if (only != nullptr && std::atoll(only) != number) continue;
    ASSERT_EQ(plan_test::check_device_plan(device, static_cast<std::uint64_t>(number), max_items, wide), "")
        << "VARLEN_TEST_CASE=" << number;
  }
}

TEST(PlanOnDevice, SmallBatches) { check_plans(40'000'000, ::varlen::test::scaled_by_effort(1500), 300, false); }
TEST(PlanOnDevice, MiddlingBatches) { check_plans(41'000'000, ::varlen::test::scaled_by_effort(300), 5000, false); }
TEST(PlanOnDevice, WithLengthsOf64Bits) { check_plans(42'000'000, ::varlen::test::scaled_by_effort(300), 1000, true); }

}  // namespace
}  // namespace varlen::emulator::test
