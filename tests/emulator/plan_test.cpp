// plan_on_device in the emulator: the host's plan byte for byte, and every fault of lengths.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "effort.hpp"
#include "plan/device_plan_check.hpp"
#include "plan/device_planner.hpp"

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

DevicePlan plan_within(const Limits& limits, Backend backend = Backend::kEmulator) {
  AttentionSpec spec;
  spec.query_heads = spec.kv_heads = 2;
  spec.head_dim_qk = spec.head_dim_vo = 64;
  spec.query_dtype = Dtype::kBFloat16;
  return DevicePlan(spec, limits, PlanTarget::h100(), {.backend = backend});
}

// Its requests would be ignored.
static_assert(!std::is_constructible_v<DevicePlan, Batch, Limits, PlanTarget>);

/// The field that an Error of `call` names; empty if it throws none.
template <class Call>
std::string refused_field(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.field();
  }
  return "";
}

TEST(PlanOnDevice, RefusesWhatItCannotMake) {
  const Limits limits{4, 100, 100};
  const std::vector<std::int32_t> offsets = {0, 10};
  EXPECT_EQ(refused_field([&] { plan_within(limits, Backend::kCpu); }), "backend");
  EXPECT_EQ(refused_field([&] { plan_within({-1, 100, 100}); }), "limits.requests");
  EXPECT_EQ(refused_field([&] { plan_within({4, std::int64_t{1} << 50, 100}); }), "limits.query_tokens");
  EXPECT_EQ(refused_field([&] { plan_within({4, std::int64_t{1} << 40, std::int64_t{1} << 40}); }), "limits");
  EXPECT_EQ(refused_field([&] { plan_within(limits).update({.query_indptr = offsets.data()}); }), "key_indptr");
}

TEST(PlanOnDevice, IsEmptyUntilItIsMade) {
  const DevicePlan plan = plan_within({4, 100, 100});
  EXPECT_FALSE(plan.status());
  EXPECT_EQ(plan.to_host().item_count(), 0);
}

TEST(PlanOnDevice, LengthsOfTheHostAreRefusedAtOnce) {
  const DevicePlan plan = plan_within({4, 100, 100, 50});
  const std::vector<std::int32_t> good = {0, 10, 60};
  plan.update(Requests{.query_indptr = good, .key_indptr = good});
  const std::int64_t items = plan.to_host().item_count();
  EXPECT_GT(items, 0);

  const auto refused = [&](const Requests& requests) -> std::string {
    try {
      plan.update(requests);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const std::vector<std::int32_t> long_one = {0, 51};
  EXPECT_EQ(refused({.query_indptr = long_one, .key_indptr = long_one}),
            "query_lengths[0] = 51 exceeds limits.query_length = 50");
  const std::vector<std::int64_t> all = {40, 50, 11, 0};
  EXPECT_EQ(refused({.query_lengths = all, .key_lengths = all}),
            "query_lengths[2] = 11 makes the sum of lengths exceed limits.query_tokens = 100");
  const std::vector<std::int32_t> offsets = {0, 40, 90, 101};
  EXPECT_EQ(refused({.query_indptr = offsets, .key_indptr = offsets}),
            "query_indptr[3] = 101 exceeds limits.query_tokens = 100");
  const std::vector<std::int32_t> many = {0, 1, 2, 3, 4, 5};
  EXPECT_EQ(refused({.query_indptr = many, .key_indptr = many}), "requests = 5 exceeds limits.requests = 4");
  const std::vector<std::int32_t> falling = {0, 70, 60};
  EXPECT_EQ(refused({.query_indptr = falling, .key_indptr = good}),
            "query_indptr[2] = 60 is less than query_indptr[1] = 70: offsets must not decrease");

  EXPECT_FALSE(plan.status());
  EXPECT_EQ(plan.to_host().item_count(), items);
}

TEST(PlanOnDevice, InMemoryOfTheCaller) {
  AttentionSpec spec;
  spec.query_heads = spec.kv_heads = 2;
  spec.head_dim_qk = 64;
  const Limits limits{4, 100, 100};
  const PlanTarget target = PlanTarget::h100();
  DevicePlanOptions options{.backend = Backend::kEmulator};
  const std::int64_t bytes = device_plan_bytes(spec, limits, target, options);
  EXPECT_EQ(bytes, DevicePlan(spec, limits, target, options).bytes());
  struct alignas(256) Chunk {
    std::byte bytes[256];
  };
  std::vector<Chunk> memory(static_cast<std::size_t>(bytes / 256 + 2));
  std::memset(memory.data(), 0xA5, memory.size() * sizeof(Chunk));
  const auto refuses = [&] { return refused_field([&] { const DevicePlan plan(spec, limits, target, options); }); };
  options.memory = {memory.data(), bytes - 1};
  EXPECT_EQ(refuses(), "memory.bytes");
  options.memory = {nullptr, bytes};
  EXPECT_EQ(refuses(), "memory.data");
  options.memory = {memory.front().bytes + 128, bytes};
  EXPECT_EQ(refuses(), "memory.data");
  EXPECT_EQ(memory.front().bytes[0], std::byte{0xA5});

  options.memory = {memory.data(), bytes};
  const DevicePlan plan(spec, limits, target, options);
  EXPECT_EQ(plan.to_host().item_count(), 0);  // whatever the memory held
  const std::vector<std::int32_t> offsets = {0, 10, 60};
  plan.update(Requests{.query_indptr = offsets, .key_indptr = offsets});
  EXPECT_GT(plan.to_host().item_count(), 0);
  const std::byte* const begin = memory.front().bytes;
  const std::byte* const end = begin + memory.size() * sizeof(Chunk);
  EXPECT_TRUE(std::all_of(begin + bytes, end, [](std::byte byte) { return byte == std::byte{0xA5}; }));
}

TEST(PlanOnDevice, OneCallRefusesTensorsBeforeItPlans) {
  const DevicePlan plan = plan_within({4, 100, 100});
  const std::vector<std::int32_t> offsets = {0, 10, 60};
  EXPECT_EQ(refused_field([&] {
              attention(plan, Requests{.query_indptr = offsets, .key_indptr = offsets}, Tensors{}, Workspace{});
            }),
            "query.data");
  EXPECT_EQ(plan.to_host().item_count(), 0);
}

TEST(PlanOnDevice, IsEmptyAfterAFaultAndWholeAgainAfterTheNextBatch) {
  const DevicePlan plan = plan_within({4, 100, 100});
  std::vector<std::int32_t> offsets = {0, 10, 60};
  std::int32_t requests = 2;
  const DeviceRequests lengths{
      .query_indptr = offsets.data(), .key_indptr = offsets.data(), .request_count = &requests};
  plan.update(lengths);
  EXPECT_GT(plan.to_host().item_count(), 0);

  offsets[1] = 70;
  plan.update(lengths);
  ASSERT_TRUE(plan.status());
  EXPECT_STREQ(plan.status()->what(),
               "query_indptr[2] = 60 is less than query_indptr[1] = 70: offsets must not decrease");
  EXPECT_EQ(plan.planner().read()->runs.size(), 0U);

  requests = 5;
  plan.update(lengths);
  ASSERT_TRUE(plan.status());
  EXPECT_STREQ(plan.status()->what(), "requests = 5 exceeds limits.requests = 4");

  requests = 0;
  plan.update(lengths);
  EXPECT_FALSE(plan.status());
  EXPECT_EQ(plan.to_host().item_count(), 0);

  requests = 1;
  plan.update(lengths);
  EXPECT_GT(plan.to_host().item_count(), 0);
}

}  // namespace
}  // namespace varlen::emulator::test
