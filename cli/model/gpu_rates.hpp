// What a GPU's units do in a clock: public figures only, and rates that a run probes. docs/model.md cites each.
#pragma once

#include <cstdint>
#include <string>

namespace varlen::cli {

/// Which kernel the model times: the order of its operations differs, not only the rates.
enum class KernelOrder : std::uint8_t {
  kHopper,     ///< forward_wgmma
  kBlackwell,  ///< forward_tcgen05
};

/// Clocks from an operation's start until one that depends on it may start.
struct Latencies {
  double arithmetic = 4;
  double special = 20;    ///< exp2, reciprocal, log
  double shared = 30;     ///< a trip to shared memory: a load, a shuffle, a barrier
  double product = 32;    ///< a matrix product, past the time that its tensor core is busy
  double l2 = 260;        ///< a load or an atomic operation that the L2 cache answers
  double memory = 480;    ///< a load that device memory answers
  double tensor_mem = 0;  ///< a trip to tensor memory; Blackwell
};

struct GpuRates {
  std::string name;
  KernelOrder order = KernelOrder::kHopper;
  std::int32_t multiprocessors = 0;
  double clock = 0;         ///< Hz, of everything but tensor cores
  double matmul_flops = 0;  ///< FLOP/s of the whole device, sustained
  double copy_bytes = 0;    ///< bytes/s of device memory, sustained
  double launch = 3.3e-6;   ///< seconds that each launch adds
  // Each multiprocessor, in a clock:
  double exp = 16;
  double fma = 128;    ///< additions, multiplications
  double half = 64;    ///< comparisons, choices, minima and maxima, conversions
  double issue = 128;  ///< instructions of threads, whichever
  double shared_bytes = 128;
  double l2_bytes = 64;         ///< its own port; the device's share may be less
  double device_l2_bytes = 0;   ///< the whole device, in a clock
  double polynomial_share = 0;  ///< of exponentials, that are polynomials on the FMA units: the kernel's choice
  Latencies latency;

  /// Bytes/s that one of all multiprocessors gets from the L2 cache at once.
  double l2_share() const;

  static GpuRates h100();
  static GpuRates b200();
  /// "h100" or "b200". Throws Error.
  static GpuRates named(const std::string& name);
};

}  // namespace varlen::cli
