#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "check/random_bits.hpp"
#include "checks.hpp"
#include "memory.hpp"
#include "plan/device_plan_check.hpp"
#include "score.hpp"
#include "varlen/device.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kArenaBytes = std::int64_t{1} << 24;

plan_test::Upload upload_to(Machine& machine, Memory& memory) {
  return [&](const void* data, std::int64_t bytes) -> const void* {
    std::byte* const there = memory.place(bytes, 8).data;
    machine.upload(there, data, bytes);
    return there;
  };
}

/// Prompts whose lengths are log-uniform, with a median of about 350 tokens.
std::vector<std::int32_t> prompt_offsets(std::int64_t requests) {
  check::RandomBits random(static_cast<std::uint64_t>(requests));
  std::vector<std::int32_t> offsets = {0};
  for (std::int64_t r = 0; r < requests; ++r) {
    offsets.push_back(offsets.back() + static_cast<std::int32_t>(random.log_between(30, 4000)));
  }
  return offsets;
}

struct Timing {
  const char* name;
  std::int64_t requests;
  bool decode;
  std::int64_t most_length;  // as of Limits
};

Duration plan_time(Machine& machine, Memory& memory, const Timing& timing) {
  memory.clear();
  const std::vector<std::int32_t> keys = prompt_offsets(timing.requests);
  std::vector<std::int32_t> queries = keys;
  for (std::size_t r = 0; timing.decode && r < queries.size(); ++r) queries[r] = static_cast<std::int32_t>(r);
  AttentionSpec spec;
  spec.query_heads = 32;
  spec.kv_heads = 8;
  spec.head_dim_qk = spec.head_dim_vo = 128;
  spec.query_dtype = Dtype::kBFloat16;
  spec.mask = Mask::causal();
  const Limits limits{timing.requests, queries.back(), keys.back(),
                      std::min<std::int64_t>(timing.most_length, queries.back()), timing.most_length};
  const DevicePlan plan(spec, limits, PlanTarget::h100(),
                        DevicePlanOptions{.backend = machine.backend(), .device = machine.device()});
  const auto upload = upload_to(machine, memory);
  const auto place = [&](const std::vector<std::int32_t>& offsets) {
    return static_cast<const std::int32_t*>(upload(offsets.data(), std::ssize(offsets) * 4));
  };
  DeviceRequests lengths;
  lengths.query_indptr = place(queries);
  lengths.key_indptr = place(keys);
  const Duration time = machine.microseconds([&](void* stream) { plan.update(lengths, stream); });
  const std::optional<Error> error = plan.status();
  if (error) throw Error(*error);
  return time;
}

}  // namespace

Outcome check_plan(Machine& machine, const Options& options) {
  Score score(options);
  Arena arena(machine, kArenaBytes);
  const plan_test::PlanningDevice device{machine.backend(), machine.device(), upload_to(machine, arena)};
  score.attempt_seeds(options, "plan", [&](std::uint64_t seed) {
    arena.clear();
    const bool wide = seed % 8 == 0;
    return plan_test::check_device_plan(device, seed, seed % 4 == 1 ? 20'000 : 1'000, wide);
  });
  return score.finish();
}

Outcome time_plan(Machine& machine, const Options& options) {
  Score score(options);
  Arena arena(machine, kArenaBytes);
  const std::byte* const word = arena.place(4, 4).data;
  const oracle::Region nearly_nothing{const_cast<std::byte*>(word), Dtype::kFloat32, 1};
  const auto print = [](const Duration& time, const std::string& of_what) {
    fmt::print("{:.2f} us, {:.2f} us back to back: {}\n", time.alone, time.back_to_back, of_what);
  };
  print(machine.microseconds([&](void* stream) { machine.fill(nearly_nothing, oracle::Pattern::kOnes, stream); }),
        "a kernel that writes one number, for comparison");
  for (Timing timing :
       {Timing{"prompts", 64, false, 4096}, Timing{"decodes", 64, true, 4096}, Timing{"prompts", 4096, false, 4096},
        Timing{"decodes", 4096, true, 4096}, Timing{"prompts, lengths unlimited", 4096, false, 0},
        Timing{"prompts, beyond shared memory", 16384, false, 4096}}) {
    timing.requests /= options.shrink_by;
    score.attempt(fmt::format("plan-time: {} {}", timing.requests, timing.name), [&] {
      print(plan_time(machine, arena, timing), fmt::format("{} {}", timing.requests, timing.name));
      return std::string();
    });
  }
  return score.finish();
}

}  // namespace varlen::gpu_check
