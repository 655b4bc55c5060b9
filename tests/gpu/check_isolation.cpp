#include <fmt/format.h>

#include <string>
#include <vector>

#include "checks.hpp"
#include "computation.hpp"
#include "score.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kArenaBytes = std::int64_t{1} << 30;

/// Where a request's result in output 1 differs from that in output 0; spoiled requests do not count.
std::string first_difference(Machine& machine, const PlacedCase& placed) {
  for (const bool lse : {false, true}) {
    if (lse && !placed.test().lse) continue;
    const std::int64_t at = machine.first_difference(placed.output_rows(0, lse), placed.output_region(1, lse));
    if (at >= 0) return placed.describe_element(lse, at) + " has other bits among NaN, Inf and huge numbers";
  }
  return {};
}

std::string check_architecture(Machine& machine, Memory& memory, PlacedCase& placed, GpuKernel gpu_kernel) {
  const Computation computation(machine, memory, placed, gpu_kernel);
  placed.clear_output(0);
  placed.write_inputs(oracle::Pattern::kOnes);
  computation.run(0);
  // Half of the requests, then the other half, are poison as a whole: each request is once among such neighbours.
  for (const std::uint64_t half : {0U, 1U}) {
    std::vector<std::uint8_t> spoiled;
    for (std::int64_t r = 0; r < placed.problem().requests; ++r) {
      const std::uint64_t bits = oracle::scrambled(placed.test().seed + static_cast<std::uint64_t>(r));
      spoiled.push_back((bits & 1U) == half ? 1 : 0);
    }
    placed.clear_output(1);
    placed.write_inputs(oracle::Pattern::kPoison, spoiled);
    computation.run(1);
    if (std::string finding = first_difference(machine, placed); !finding.empty()) return finding;
  }
  std::string finding = computation.stray_writes();
  for (int output = 0; finding.empty() && output < 2; ++output) finding = placed.stray_writes(output);
  if (finding.empty()) finding = placed.changed_inputs();
  return finding;
}

}  // namespace

Outcome check_isolation(Machine& machine, const Options& options) {
  Score score(options);
  Arena arena(machine, kArenaBytes);
  score.attempt_seeds(options, "isolation", [&](std::uint64_t seed) {
    arena.clear();
    PlacedCase placed(random_case(seed, options.effort), machine, arena, 2);
    for (const GpuKernel gpu_kernel : options.gpu_kernels) {
      const std::string finding = check_architecture(machine, arena, placed, gpu_kernel);
      if (!finding.empty()) return fmt::format("{} ({})", finding, name_of(gpu_kernel));
    }
    return std::string();
  });
  return score.finish();
}

}  // namespace varlen::gpu_check
