// Compiled once per SIMD target by Highway; needs this file's folder among the include directories.
#include "machine_rates.hpp"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "machine_rates.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h, which sets the target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace varlen::bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Computes fused multiply-adds in registers and returns their floating-point operations; *result keeps the work alive.
// Twelve independent chains cover the latency × throughput of every current core and fit the 16 registers of AVX2.
double fma_chains(std::int64_t steps, float* result) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, 0.999F);
  const auto addend = hn::Set(d, 0.001F);
  // Converges to 1: no chain reaches infinity or a denormal number, which some cores compute more slowly.
  auto x0 = hn::Zero(d), x1 = hn::Set(d, 0.1F), x2 = hn::Set(d, 0.2F), x3 = hn::Set(d, 0.3F);
  auto x4 = hn::Set(d, 0.4F), x5 = hn::Set(d, 0.5F), x6 = hn::Set(d, 0.6F), x7 = hn::Set(d, 0.7F);
  auto x8 = hn::Set(d, 0.8F), x9 = hn::Set(d, 0.9F), x10 = hn::Set(d, 1.0F), x11 = hn::Set(d, 1.1F);
  for (std::int64_t step = 0; step < steps; ++step) {
    x0 = hn::MulAdd(x0, factor, addend);
    x1 = hn::MulAdd(x1, factor, addend);
    x2 = hn::MulAdd(x2, factor, addend);
    x3 = hn::MulAdd(x3, factor, addend);
    x4 = hn::MulAdd(x4, factor, addend);
    x5 = hn::MulAdd(x5, factor, addend);
    x6 = hn::MulAdd(x6, factor, addend);
    x7 = hn::MulAdd(x7, factor, addend);
    x8 = hn::MulAdd(x8, factor, addend);
    x9 = hn::MulAdd(x9, factor, addend);
    x10 = hn::MulAdd(x10, factor, addend);
    x11 = hn::MulAdd(x11, factor, addend);
  }
  const auto low = hn::Add(hn::Add(hn::Add(x0, x1), hn::Add(x2, x3)), hn::Add(x4, x5));
  const auto high = hn::Add(hn::Add(hn::Add(x6, x7), hn::Add(x8, x9)), hn::Add(x10, x11));
  *result = hn::GetLane(hn::SumOfLanes(d, hn::Add(low, high)));
  return 2.0 * 12.0 * static_cast<double>(hn::Lanes(d)) * static_cast<double>(steps);
}

}  // namespace varlen::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace varlen::bench {
namespace {

HWY_EXPORT(fma_chains);

constexpr std::int64_t kFmaSteps = std::int64_t{1} << 20;  // about 2 ms a round
constexpr int kFmaRounds = 24;
constexpr std::size_t kCopyBytes = std::size_t{128} << 20;  // source of all threads together; beyond the caches
constexpr int kCopyRounds = 4;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Runs `work(thread)` on all threads `rounds` times, started together; returns the shortest round in seconds. Throws
// std::runtime_error if not all threads can be started. Neither `prepare` nor `work` may throw.
template <typename Prepare, typename Work>
double best_round(int threads, int rounds, const Prepare& prepare, const Work& work) {
  double best = 0;
  std::atomic<bool> complete{true};
  std::barrier meet(threads);
  const auto body = [&](int thread) {
    prepare(thread);
    for (int round = 0; round < rounds; ++round) {
      meet.arrive_and_wait();
      if (!complete) return;
      const auto begin = std::chrono::steady_clock::now();
      work(thread);
      meet.arrive_and_wait();
      if (thread == 0) best = round == 0 ? seconds_since(begin) : std::min(best, seconds_since(begin));
    }
  };
  std::vector<std::thread> others;
  others.reserve(static_cast<std::size_t>(threads));
  try {
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(body, thread);
    body(0);
  } catch (const std::exception&) {
    // Those that wait at the first barrier are let go: nobody else will come.
    complete = false;
    for (int absent = static_cast<int>(others.size()); absent < threads; ++absent) meet.arrive_and_drop();
  }
  for (std::thread& other : others) other.join();
  if (!complete) throw std::runtime_error("not all of " + std::to_string(threads) + " threads can be started");
  return best;
}

}  // namespace

MachineRates measure_machine_rates(int threads) {
  threads = std::max(threads, 1);
  MachineRates rates;
  rates.threads = threads;

  // One slot per cache line, so that writing results shares none.
  struct alignas(64) Slot {
    float result = 0;
    double operations = 0;
  };
  std::vector<Slot> slots(static_cast<std::size_t>(threads));
  const double fma_seconds = best_round(
      threads, kFmaRounds, [](int) {},
      [&](int thread) {
        Slot& slot = slots[static_cast<std::size_t>(thread)];
        slot.operations = HWY_DYNAMIC_DISPATCH(fma_chains)(kFmaSteps, &slot.result);
      });
  rates.fma_flops = slots[0].operations * threads / fma_seconds;

  const std::size_t share = kCopyBytes / static_cast<std::size_t>(threads);
  struct Buffers {
    std::unique_ptr<std::byte[]> source, target;
  };
  std::vector<Buffers> buffers(static_cast<std::size_t>(threads));
  for (Buffers& each : buffers) {
    each.source.reset(new std::byte[share]);
    each.target.reset(new std::byte[share]);
  }
  const double copy_seconds = best_round(
      threads, kCopyRounds,
      [&](int thread) {
        // First written by the thread that copies them, so that they lie in its own memory node.
        const Buffers& mine = buffers[static_cast<std::size_t>(thread)];
        std::memset(mine.source.get(), 1, share);
        std::memset(mine.target.get(), 2, share);
      },
      [&](int thread) {
        const Buffers& mine = buffers[static_cast<std::size_t>(thread)];
        std::memcpy(mine.target.get(), mine.source.get(), share);
      });
  rates.copy_bytes = 2.0 * static_cast<double>(share) * threads / copy_seconds;
  return rates;
}

}  // namespace varlen::bench
#endif  // HWY_ONCE
