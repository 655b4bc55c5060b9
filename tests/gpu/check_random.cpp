#include <fmt/format.h>

#include <string>

#include "checks.hpp"
#include "computation.hpp"
#include "score.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kArenaBytes = std::int64_t{1} << 30;

/// What the batches were, and how well they were computed.
struct Figures {
  std::int64_t busy = 0;
  std::int64_t split = 0;
  std::int64_t paged = 0;
  std::int64_t invariant = 0;
  std::int64_t rows = 0;
  double worst_out = 0;
  double worst_lse = 0;

  void print(std::int64_t cases) const {
    fmt::print("{} batches: {} with more than two items a worker, {} split, {} paged, {} batch-invariant; {} rows\n",
               cases, busy, split, paged, invariant, rows);
    fmt::print("worst output error {:.3g} of the bound, worst LSE {:.3g}\n", worst_out, worst_lse);
  }
};

std::string check_case(Machine& machine, Memory& memory, const Options& options, std::uint64_t seed, Figures& figures) {
  memory.clear();
  const check::Case test = random_case(seed, options.effort);
  PlacedCase placed(test, machine, memory, static_cast<int>(options.gpu_kernels.size()));
  placed.write_inputs(seed % 2 == 0 ? oracle::Pattern::kOnes : oracle::Pattern::kPoison);
  bool busy = false;
  bool split = false;
  std::string stray;
  for (std::size_t i = 0; i < options.gpu_kernels.size(); ++i) {
    const Computation computation(machine, memory, placed, options.gpu_kernels[i]);
    placed.clear_output(static_cast<int>(i));
    computation.run(static_cast<int>(i));
    busy |= computation.is_busy();
    split |= !computation.plan().merges().empty();
    if (stray.empty()) stray = computation.stray_writes();
  }
  const Judgement judgement = machine.judge(placed.problem(), nullptr);
  figures.busy += busy;
  figures.split += split;
  figures.paged += test.page_size > 0;
  figures.invariant += test.batch_invariant;
  figures.rows += judgement.rows;
  figures.worst_out = oracle::larger(figures.worst_out, judgement.worst_out);
  figures.worst_lse = oracle::larger(figures.worst_lse, judgement.worst_lse);
  if (judgement.spoiled > 0) return "the oracle found NaN in finite inputs";
  std::string finding = first_wrong_row(machine, placed, judgement, options.gpu_kernels);
  if (finding.empty()) finding = stray;
  for (int i = 0; finding.empty() && i < placed.problem().outputs; ++i) finding = placed.stray_writes(i);
  return finding;
}

}  // namespace

Outcome check_random(Machine& machine, const Options& options) {
  Score score(options);
  Arena arena(machine, kArenaBytes);
  Figures figures;
  const std::int64_t done = score.attempt_seeds(
      options, "random", [&](std::uint64_t seed) { return check_case(machine, arena, options, seed, figures); });
  figures.print(done);
  return score.finish();
}

}  // namespace varlen::gpu_check
