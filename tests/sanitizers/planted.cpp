// One planted fault per argument, so that the tests beside this file can show that the sanitizer of this build reports
// it; "none" does what varlen's threads do and must stay silent.
#include <omp.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace {

// Workers draw items from one counter, then merge after a barrier. With `race`, they also add to a plain variable.
std::int64_t draw_and_merge(bool race) {
  constexpr std::int64_t kItems = 1000;
  std::vector<std::int64_t> results(kItems);
  std::atomic<std::int64_t> next{0};
  std::int64_t total = 0;
  std::int64_t unguarded = 0;
#pragma omp parallel num_threads(4) reduction(+ : total)
  {
    if (race) {
      for (std::int64_t repeat = 0; repeat < kItems; ++repeat) unguarded += repeat;
    }
    for (std::int64_t item = next.fetch_add(1, std::memory_order_relaxed); item < kItems;
         item = next.fetch_add(1, std::memory_order_relaxed)) {
      results[static_cast<std::size_t>(item)] = item;
    }
#pragma omp barrier
#pragma omp for schedule(dynamic)
    for (std::int64_t item = 0; item < kItems; ++item) total += results[static_cast<std::size_t>(kItems - 1 - item)];
  }
  return total + unguarded;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string fault = argc > 1 ? argv[1] : "none";
  std::int64_t result = draw_and_merge(fault == "race");
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
