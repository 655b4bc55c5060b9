// One planted fault per argument, so that the tests beside this file can show that the sanitizer of this build reports
// it; "none" does what varlen's threads do and must stay silent.
#include <atomic>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "backend/cpu/thread_pool.hpp"

namespace {

// Threads draw items from one counter; when all have returned, they merge.
std::int64_t draw_and_merge() {
  constexpr std::int64_t kItems = 1000;
  constexpr std::int32_t kThreads = 4;
  std::vector<std::int64_t> results(kItems);
  std::vector<std::int64_t> totals(kThreads);
  std::atomic<std::int64_t> next{0};
  varlen::cpu::run_on_threads(kThreads, [&](std::int32_t /*thread*/) noexcept {
    for (std::int64_t item = next.fetch_add(1); item < kItems; item = next.fetch_add(1)) {
      results[static_cast<std::size_t>(item)] = item;
    }
  });
  next = 0;
  varlen::cpu::run_on_threads(kThreads, [&](std::int32_t thread) noexcept {
    for (std::int64_t item = next.fetch_add(1); item < kItems; item = next.fetch_add(1)) {
      totals[static_cast<std::size_t>(thread)] += results[static_cast<std::size_t>(kItems - 1 - item)];
    }
  });
  std::int64_t total = 0;
  for (const std::int64_t part : totals) total += part;
  return total;
}

std::int64_t race() {
  std::int64_t unguarded = 0;
  const auto add = [&unguarded] {
    for (std::int64_t repeat = 0; repeat < 1000; ++repeat) unguarded += repeat;
  };
  std::thread other(add);
  add();
  other.join();
  return unguarded;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string fault = argc > 1 ? argv[1] : "none";
  std::int64_t result = draw_and_merge();
  if (fault == "race") {
    result += race();
  }
  if (fault == "overflow") {
    result += INT_MAX + argc;
  }
  if (fault == "past_the_end") {
    std::vector<int> values(8);
    result += values.data()[static_cast<std::size_t>(argc) + 6];
  }
  std::printf("result %lld\n", static_cast<long long>(result));
  return 0;
}
