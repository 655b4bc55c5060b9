#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "check/random_bits.hpp"
#include "checks.hpp"
#include "computation.hpp"
#include "score.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kPastInt32 = (std::int64_t{1} << 31) + 4096;  // elements

struct LargeCase {
  check::Case test;
  std::int64_t judged_rows;  // at most, evenly spread; −1: all
};

check::Case base_case(std::string name, std::int32_t query_heads, std::int32_t kv_heads, std::int32_t head_dim) {
  check::Case test;
  test.name = std::move(name);
  test.query_heads = query_heads;
  test.kv_heads = kv_heads;
  test.head_dim_qk = test.head_dim_vo = head_dim;
  test.input_dtype = test.output_dtype = Dtype::kBFloat16;
  test.mask = Mask::causal();
  test.seed = static_cast<std::uint64_t>(query_heads) * 1000 + static_cast<std::uint64_t>(head_dim);
  return test;
}

/// Lengths from `low` to `high` until they sum to `total` at least.
std::vector<std::int64_t> lengths_summing_to(std::int64_t total, std::int64_t low, std::int64_t high) {
  check::RandomBits random(17);
  std::vector<std::int64_t> lengths;
  for (std::int64_t sum = 0; sum < total; sum += lengths.back()) lengths.push_back(random.between(low, high));
  return lengths;
}

std::vector<std::int64_t> random_lengths(std::int64_t count, std::int64_t low, std::int64_t high) {
  check::RandomBits random(18);
  std::vector<std::int64_t> lengths;
  for (std::int64_t i = 0; i < count; ++i) lengths.push_back(random.between(low, high));
  return lengths;
}

std::vector<LargeCase> large_cases(std::int64_t shrink_by) {
  const auto few = [&](std::int64_t count) { return std::max<std::int64_t>(2, count / shrink_by); };
  std::vector<LargeCase> cases;
  {
    check::Case test = base_case("query, key, value and out of more than 2^31 elements", 32, 32, 128);
    test.query_lengths = test.key_lengths = lengths_summing_to(few(kPastInt32 / (32 * 128)), 60, 200);
    cases.push_back({test, 1'000'000});
  }
  {
    check::Case test = base_case("pools of pages of more than 2^31 elements", 32, 8, 128);
    test.key_lengths = lengths_summing_to(few(kPastInt32 / (8 * 128)), few(100'000), few(150'000));
    test.query_lengths.assign(test.key_lengths.size(), 1);
    test.page_size = 64;
    cases.push_back({test, -1});
  }
  {
    check::Case test = base_case("100,000 requests of 0 to 33 tokens", 8, 2, 64);
    test.query_lengths = test.key_lengths = random_lengths(few(100'000), 0, 33);
    cases.push_back({test, -1});
  }
  {
    check::Case test = base_case("70,000 decodes on pages", 8, 2, 128);
    test.query_lengths.assign(static_cast<std::size_t>(few(70'000)), 1);
    test.key_lengths = random_lengths(few(70'000), 0, 40);
    test.page_size = 16;
    cases.push_back({test, -1});
  }
  {
    check::Case test = base_case("1,025 requests of one token with 128 heads", 128, 128, 64);
    test.query_lengths.assign(static_cast<std::size_t>(few(1025)), 1);
    test.key_lengths = random_lengths(few(1025), 1, 130);
    cases.push_back({test, -1});
  }
  for (const bool causal : {true, false}) {
    check::Case test =
        base_case(causal ? "40,000 queries on 300 keys, causal" : "40,000 queries on 300 keys", 8, 2, 128);
    test.query_lengths = {few(40'000), 5, few(20'000)};
    test.key_lengths = {300, few(30'000), 1};
    test.mask = causal ? Mask::causal() : Mask::full();
    cases.push_back({test, -1});
  }
  return cases;
}

/// Evenly spread rows, with the first and the last of the first, the last and the middle request.
std::vector<std::int64_t> spread_rows(const PlacedCase& placed, std::int64_t count) {
  const std::int64_t rows = placed.problem().query_tokens * placed.problem().query.heads;
  const std::int64_t step = std::max<std::int64_t>(1, rows / count);
  std::vector<std::int64_t> result;
  for (std::int64_t row = 0; row < rows; row += step) {
    // Not always the same head, which it would be where heads divide the step.
    const auto past = static_cast<std::int64_t>(oracle::scrambled(static_cast<std::uint64_t>(row)) >> 1) % step;
    result.push_back(std::min(rows - 1, row + past));
  }
  std::int64_t first = 0;
  for (const std::int64_t length : placed.test().query_lengths) {
    const std::int64_t next = first + length * placed.problem().query.heads;
    if (next > first && (first == 0 || next == rows || (first <= rows / 2 && rows / 2 < next))) {
      result.push_back(first);
      result.push_back(next - 1);
    }
    first = next;
  }
  return result;
}

std::string check_case(Machine& machine, const Options& options, const LargeCase& large) {
  Allocations memory(machine);
  PlacedCase placed(large.test, machine, memory, static_cast<int>(options.gpu_kernels.size()));
  placed.write_inputs(oracle::Pattern::kPoison);
  std::int64_t items = 0;
  std::string stray;
  for (std::size_t i = 0; i < options.gpu_kernels.size(); ++i) {
    placed.clear_output(static_cast<int>(i));
    const Computation computation(machine, memory, placed, options.gpu_kernels[i]);
    computation.run(static_cast<int>(i));
    machine.wait();
    items = computation.plan().item_count();
    if (stray.empty()) stray = computation.stray_writes();
  }
  std::vector<std::int64_t> rows;
  if (large.judged_rows >= 0) rows = spread_rows(placed, large.judged_rows);
  const double begin = seconds_now();
  const Judgement judgement = machine.judge(placed.problem(), large.judged_rows < 0 ? nullptr : &rows);
  fmt::print("{}: {} items, {} rows judged in {:.2f} s, worst {:.3g} and {:.3g} of the bounds\n", large.test.name,
             items, judgement.rows, seconds_now() - begin, judgement.worst_out, judgement.worst_lse);
  std::string finding = first_wrong_row(machine, placed, judgement, options.gpu_kernels);
  if (finding.empty()) finding = stray;
  for (int i = 0; finding.empty() && i < placed.problem().outputs; ++i) finding = placed.stray_writes(i);
  return finding;
}

}  // namespace

Outcome check_large(Machine& machine, const Options& options) {
  Score score(options);
  for (const LargeCase& large : large_cases(options.shrink_by)) {
    const std::string name = "large: " + large.test.name;
    if (score.out_of_time()) {
      score.fail(name + ": there was no time for it");
    } else if (!score.attempt(name, [&] { return check_case(machine, options, large); })) {
      break;
    }
  }
  return score.finish();
}

}  // namespace varlen::gpu_check
