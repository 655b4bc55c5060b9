// What this machine can do at most, measured: the figures that benchmarks and `varlen bench` compare with.
#pragma once

namespace varlen::bench {

struct MachineRates {
  int threads = 0;
  double fma_flops = 0;  ///< fp32 floating-point operations per second of all threads, two per fused multiply-add
  double copy_bytes =
      0;  ///< bytes per second of copying memory larger than the caches, read and written bytes both counted
};

/// Measures with `threads` threads (at least 1) on an otherwise idle machine; takes about half a second. The FMA rate
/// is that of the widest SIMD target that runs here, from registers only, and the best of several short rounds: an
/// upper bound for any kernel that computes in fp32. Throws std::runtime_error if a thread cannot be started.
MachineRates measure_machine_rates(int threads);

}  // namespace varlen::bench
