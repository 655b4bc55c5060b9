// bench_peak [THREADS...]: what this machine can do at most, one line per number of threads; 1 and all by default.
#include <fmt/format.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "machine_rates.hpp"

int main(int argc, char** argv) {
  std::vector<int> counts;
  for (int i = 1; i < argc; ++i) counts.push_back(std::atoi(argv[i]));
  if (counts.empty()) {
    counts.push_back(1);
    const int all = static_cast<int>(std::thread::hardware_concurrency());
    if (all > 1) counts.push_back(all);
  }
  for (const int threads : counts) {
    const varlen::bench::MachineRates rates = varlen::bench::measure_machine_rates(threads);
    fmt::print("{:3} threads: {:8.1f} GFLOP/s of fp32 multiply-adds, {:7.2f} GB/s of copying (read + written)\n",
               rates.threads, rates.fma_flops / 1e9, rates.copy_bytes / 1e9);
  }
  return 0;
}
