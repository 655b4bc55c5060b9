// What threads do together or by themselves: barriers, asynchronous copies, lanes, words and the counter.
#include <algorithm>

#include "fidelity/comparison.hpp"
#include "fidelity/experiment_data.hpp"

namespace varlen::fidelity {
namespace {

Experiment launch_of(MicroKernel kernel, int blocks, int threads, int shared_bytes) {
  Experiment test;
  test.kernel = kernel;
  test.blocks = blocks;
  test.threads = threads;
  test.shared_bytes = shared_bytes;
  return test;
}

/// Chunks that go through shared memory and come back.
void compare_passing(Comparison& comparison, const std::string& name, Experiment test, std::int64_t chunks,
                     std::int64_t cases, RandomBits& random) {
  test.in = random_bytes(random, chunks * 16);
  test.out.resize(test.in.size());
  comparison.expect_same(name, test, cases);
}

void compare_barriers(Comparison& comparison, const Extent& extent, RandomBits& random) {
  const auto blocks = static_cast<int>(extent.of(256));
  constexpr int kPhases = 7;  // as in micro_barriers.hpp, here and below
  constexpr int kPhaseWriters = 96;
  compare_passing(comparison, "init_barrier, arrive, wait_for: seven phases",
                  launch_of(MicroKernel::kBarrierPhases, blocks, 128, kPhaseWriters * 16 + 16),
                  std::int64_t{blocks} * kPhases * kPhaseWriters, std::int64_t{blocks} * kPhases, random);
  constexpr int kTurns = 5;
  compare_passing(comparison, "sync_threads, arrive_threads: ids 1 to 15",
                  launch_of(MicroKernel::kNamedBarriers, blocks, 128, 64 * 16), std::int64_t{blocks} * kTurns * 64,
                  std::int64_t{blocks} * kTurns, random);
}

void compare_copies(Comparison& comparison, const Extent& extent, RandomBits& random) {
  const auto blocks = static_cast<int>(extent.of(256));
  constexpr std::int64_t kChunks = 1024;
  const std::int64_t copies = std::int64_t{blocks} * 128 * 4;
  Experiment test = launch_of(MicroKernel::kCopyAsync, blocks, 128, 128 * 4 * 16 + 16);
  test.in = random_bytes(random, kChunks * 16 + copies * 8);
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    put(test.in, kChunks * 16 + 8 * copy, static_cast<std::int32_t>(random.below(kChunks)));
    put(test.in, kChunks * 16 + 8 * copy + 4, static_cast<std::int32_t>(random.one_in(3) ? 0 : 1));
  }
  test.value[0] = kChunks * 16;
  test.out.resize(static_cast<std::size_t>(copies) * 16);
  comparison.expect_same("copy_async_16, _commit, _wait", test, copies);
  test.kernel = MicroKernel::kCopyAsyncArrive;
  comparison.expect_same("copy_async_arrive", test, copies);
}

void compare_lanes(Comparison& comparison, const Extent& extent, RandomBits& random) {
  const auto blocks = static_cast<int>(extent.of(256));
  Experiment test = launch_of(MicroKernel::kShuffles, blocks, 32, 0);
  test.in = random_bytes(random, std::int64_t{blocks} * 64 * 4);
  constexpr int kShuffles = 98;
  test.out.resize(static_cast<std::size_t>(blocks) * kShuffles * 32 * 4);
  comparison.expect_same("shuffle_xor, shuffle, shuffle_up, broadcast", test, std::int64_t{blocks} * kShuffles);

  test = launch_of(MicroKernel::kVotes, blocks, 32, 0);
  test.in = random_bytes(random, std::int64_t{blocks} * 32 * 4);
  constexpr int kVotes = 12;
  constexpr int kElections = 5;
  test.out.resize(static_cast<std::size_t>(blocks) * kVotes * 32 * 4);
  Comparison::Results results = comparison.run(test);
  // Which lane is elected is the hardware's choice: the same one each time is all that is asked.
  std::string elections;
  for (std::vector<std::byte>* bytes : {&results.real, &results.emulated}) {
    for (std::int64_t block = 0; block < blocks; ++block) {
      int lanes = 0;
      for (int lane = 0; lane < 32; ++lane) {
        const std::int64_t at = ((block * kVotes + kVotes - 2) * 32 + lane) * 4;
        const auto elected = get<std::uint32_t>(*bytes, at);
        if (elected == kElections && get<std::uint32_t>(*bytes, at + 32 * 4) == elected) {
          ++lanes;
        } else if (elected != 0) {
          elections = "another lane is elected the next time";
        }
        put(*bytes, at, 0U);
        put(*bytes, at + 32 * 4, 0U);
      }
      if (lanes != 1) elections = "not one lane is elected";
    }
  }
  comparison.add("count_votes, match_any, count_ones", "bits", std::int64_t{blocks} * (kVotes - 2),
                 first_difference(results.real, results.emulated));
  comparison.add("elect_one", "one lane, always the same", std::int64_t{blocks} * 6, elections);
}

}  // namespace

void compare_threads(Comparison& comparison, const Extent& extent) {
  RandomBits random(5);
  compare_barriers(comparison, extent, random);
  compare_copies(comparison, extent, random);
  compare_lanes(comparison, extent, random);
  const auto blocks = static_cast<int>(extent.of(256));
  compare_passing(comparison, "load_word, store_word: 4, 8 and 16 bytes",
                  launch_of(MicroKernel::kWords, blocks, 128, 128 * 16), std::int64_t{blocks} * 128,
                  std::int64_t{blocks} * 128, random);
  Experiment draws = launch_of(MicroKernel::kDraws, 64, 32, 0);
  draws.draws = extent.of(50'000);
  draws.in.resize(16);
  draws.value[0] = static_cast<std::int32_t>(draws.draws);
  draws.out.resize(static_cast<std::size_t>(draws.draws) * 8);
  comparison.expect_same("draw", draws, draws.draws);
}

}  // namespace varlen::fidelity
