#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "checks.hpp"
#include "computation.hpp"
#include "score.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kArenaBytes = std::int64_t{1} << 30;

check::Case base_case(std::string name, std::vector<std::int64_t> query_lengths,
                      std::vector<std::int64_t> key_lengths) {
  check::Case test;
  test.name = std::move(name);
  test.query_lengths = std::move(query_lengths);
  test.key_lengths = std::move(key_lengths);
  test.query_heads = 8;
  test.kv_heads = 2;
  test.head_dim_qk = test.head_dim_vo = 128;
  test.input_dtype = test.output_dtype = Dtype::kBFloat16;
  test.mask = Mask::causal();
  test.seed = test.key_lengths.size();
  return test;
}

std::vector<check::Case> cases(std::int64_t shrink_by) {
  const auto few = [&](std::int64_t tokens) { return std::max<std::int64_t>(1, tokens / shrink_by); };
  const std::vector<std::int64_t> prompts = {few(1), few(700), few(129), 0, few(1300), few(64)};
  std::vector<check::Case> result;
  result.push_back(base_case("prompts", prompts, prompts));
  result.push_back(base_case("decodes in parts", {1, 1, 1}, {few(20'000), few(3'000), few(9'000)}));
  result.push_back(base_case("chunks on pages", {few(200), 1, few(60)}, {few(2'500), few(700), few(1'100)}));
  result.back().page_size = 16;
  return result;
}

void note_differences(Machine& machine, const PlacedCase& placed, int output, void* stream) {
  for (const bool lse : {false, true}) {
    machine.note_difference(placed.output_rows(0, lse), placed.output_region(output, lse), stream);
  }
}

/// The same call again and again.
std::string one_after_another(Machine& machine, const PlacedCase& placed, const Computation& computation,
                              const Score& score, std::int64_t count) {
  std::int64_t done = 0;
  for (; done < count && !score.out_of_time(); ++done) {
    machine.fill(placed.output_region(1, false), oracle::Pattern::kUnwritten);
    machine.fill(placed.output_region(1, true), oracle::Pattern::kUnwritten);
    computation.run(1);
    note_differences(machine, placed, 1, nullptr);
  }
  if (machine.difference_found() >= 0) return fmt::format("the bits of {} calls are not all the same", done);
  return done == count ? std::string() : fmt::format("there was time for {} of {} calls only", done, count);
}

/// One plan on two streams, each with a workspace of its own.
std::string two_at_once(Machine& machine, const PlacedCase& placed, const Computation& computation,
                        std::int64_t count) {
  void* const streams[] = {machine.new_stream(), machine.new_stream()};
  machine.wait();
  for (std::int64_t i = 0; i < count; ++i) {
    for (const int s : {0, 1}) {
      computation.run(1 + s, s, streams[s]);
      note_differences(machine, placed, 1 + s, streams[s]);
    }
  }
  return machine.difference_found() < 0 ? "" : "two streams at once do not both give the same bits";
}

std::string replayed(Machine& machine, const PlacedCase& placed, const Computation& computation) {
  placed.problem();
  machine.fill(placed.output_region(1, false), oracle::Pattern::kUnwritten);
  machine.fill(placed.output_region(1, true), oracle::Pattern::kUnwritten);
  machine.wait();
  const std::string failure = machine.captured([&](void* stream) { computation.run(1, 0, stream); }, 3);
  if (!failure.empty()) return "as a graph: " + failure;
  note_differences(machine, placed, 1, nullptr);
  return machine.difference_found() < 0 ? "" : "a captured graph does not give the same bits";
}

std::string check_case(Machine& machine, Memory& memory, const Score& score, const check::Case& test,
                       GpuKernel gpu_kernel, std::int64_t count) {
  memory.clear();
  PlacedCase placed(test, machine, memory, 3);
  placed.write_inputs(oracle::Pattern::kPoison);
  for (int output = 0; output < 3; ++output) placed.clear_output(output);
  const Computation computation(machine, memory, placed, gpu_kernel, 2);
  computation.run(0);
  std::string finding = one_after_another(machine, placed, computation, score, count);
  if (finding.empty()) finding = two_at_once(machine, placed, computation, std::max<std::int64_t>(1, count / 5));
  if (finding.empty()) finding = replayed(machine, placed, computation);
  if (finding.empty()) finding = computation.stray_writes();
  if (finding.empty()) {
    const Judgement judgement = machine.judge(placed.problem(), nullptr);
    finding = first_wrong_row(machine, placed, judgement, {gpu_kernel, gpu_kernel, gpu_kernel});
  }
  return finding;
}

}  // namespace

Outcome check_repeat(Machine& machine, const Options& options) {
  Score score(options);
  Arena arena(machine, kArenaBytes);
  for (const check::Case& test : cases(options.shrink_by)) {
    for (const GpuKernel gpu_kernel : options.gpu_kernels) {
      const bool usable = score.attempt(fmt::format("repeat: {} on {}", test.name, name_of(gpu_kernel)), [&] {
        return check_case(machine, arena, score, test, gpu_kernel, options.count);
      });
      if (!usable) return score.finish();
    }
  }
  return score.finish();
}

}  // namespace varlen::gpu_check
