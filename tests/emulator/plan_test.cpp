// plan_on_device in the emulator: the host's plan byte for byte, and every fault of lengths.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/emulator/emulator_backend.hpp"
#include "effort.hpp"
#include "emulator/length_arrays.hpp"
#include "plan/plan_data.hpp"
#include "plan/random_case.hpp"

namespace varlen::emulator::test {
namespace {

using plan_test::BatchCase;
using plan_test::RandomCase;

template <class T>
std::string difference(const char* name, const std::vector<T>& device, const std::vector<T>& host) {
  if (device.size() != host.size()) return fmt::format("{} {} instead of {}", device.size(), name, host.size());
  for (std::size_t i = 0; i < host.size(); ++i) {
    if (std::memcmp(&device[i], &host[i], sizeof(T)) != 0) return fmt::format("{}[{}] differ", name, i);
  }
  return "";
}

std::string difference(const PlanData& device, const PlanData& host) {
  for (const std::string& found : {difference("requests", device.batch.requests, host.batch.requests),
                                   difference("runs", device.runs, host.runs),
                                   difference("listed items", device.listed, host.listed),
                                   difference("merges", device.merges, host.merges)}) {
    if (!found.empty()) return found;
  }
  if (device.listed_front != host.listed_front || device.run_items != host.run_items ||
      device.partial_rows != host.partial_rows) {
    return fmt::format("listed_front {}, run_items {}, partial_rows {} instead of {}, {}, {}", device.listed_front,
                       device.run_items, device.partial_rows, host.listed_front, host.run_items, host.partial_rows);
  }
  if (device.batch.query_tokens != host.batch.query_tokens || device.batch.key_tokens != host.batch.key_tokens) {
    return "tokens differ";
  }
  return "";
}

/// What is different between the plans of host and device for one batch, in some form of its lengths.
std::string plan_difference(RandomCase& random, bool wide) {
  const BatchCase& batch = random.batch;
  LengthArrays arrays(batch.query_lengths, batch.key_lengths, [&](std::int64_t n) { return random.uniform(0, n - 1); });
  Batch host = batch.view();
  arrays.describe(host);
  const Plan plan = make_plan(host, random.target);

  Limits limits = arrays.limits();
  if (random.one_in(2)) {
    limits.requests += random.log_uniform(0, 40);
    arrays.count_requests();
    limits.query_tokens += random.log_uniform(0, 4000);
    limits.key_tokens += random.log_uniform(0, 4000);
  }
  if (wide) {  // more than fits into shared memory
    limits.requests = std::max<std::int64_t>(limits.requests, 8000);
    arrays.count_requests();
  }
  RaggedBatch shape = plan.data().batch;
  shape.requests.clear();
  shape.most_requests = limits.requests;
  shape.query_tokens = limits.query_tokens;
  shape.key_tokens = limits.key_tokens;
  const auto planner = make_planner(shape, random.target, limits);
  planner->plan(arrays.on_device(), nullptr);
  if (planner->fault().rule != LengthRule::kNone) return "the device refuses it";
  if (planner->workspace_bytes() < emulator::workspace_bytes(plan)) return "the workspace of its limits is too small";
  return difference(*planner->read(), plan.data());
}

void compare_plans(std::int64_t first, std::int64_t count, std::int64_t max_items, bool wide) {
  const char* const only = std::getenv("VARLEN_TEST_CASE");
  for (std::int64_t number = first; number < first + count; ++number) {
    if (only != nullptr && std::atoll(only) != number) continue;
    RandomCase random(static_cast<std::uint64_t>(number));
    random.draw(random.log_uniform(1, max_items));
    ASSERT_EQ(plan_difference(random, wide), "")
        << "VARLEN_TEST_CASE=" << number << " " << describe(random.batch, random.target);
  }
}

TEST(PlanOnDevice, SmallBatches) { compare_plans(40'000'000, ::varlen::test::scaled_by_effort(1500), 300, false); }
TEST(PlanOnDevice, MiddlingBatches) { compare_plans(41'000'000, ::varlen::test::scaled_by_effort(300), 5000, false); }
TEST(PlanOnDevice, WithLengthsOf64Bits) { compare_plans(42'000'000, ::varlen::test::scaled_by_effort(300), 1000, true); }

}  // namespace
}  // namespace varlen::emulator::test
