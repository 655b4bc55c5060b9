#include "cli/model/gpu_rates.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "varlen/error.hpp"

namespace varlen::cli {

double GpuRates::l2_share() const { return clock * std::min(l2_bytes, device_l2_bytes / multiprocessors); }

GpuRates GpuRates::h100() {
  GpuRates rates;
  rates.name = "h100";
  rates.order = KernelOrder::kHopper;
  rates.multiprocessors = 132;
  rates.clock = 1.83e9;         // 989.4 TFLOP/s / (132 × 4096 FLOP)
  rates.matmul_flops = 793e12;  // probed: docs/benchmarks.md
  rates.copy_bytes = 3.00e12;   // probed: docs/benchmarks.md
  rates.device_l2_bytes = 5120;
  return rates;
}

GpuRates GpuRates::b200() {
  GpuRates rates;
  rates.name = "b200";
  rates.order = KernelOrder::kBlackwell;
  rates.multiprocessors = 148;
  rates.clock = 1.856e9;  // 2250 TFLOP/s / (148 × 8192 FLOP)
  // No probe: the data sheet's figures, times what the H100's probes reach of its data sheet (793 of 989.4 TFLOP/s,
  // 3.00 of 3.35 TB/s).
  rates.matmul_flops = 2250e12 * 793 / 989.4;
  rates.copy_bytes = 8.0e12 * 3.00 / 3.35;
  rates.device_l2_bytes = 2 * 5120;
  rates.polynomial_share = 3.0 / 16;
  rates.latency.tensor_mem = 30;
  return rates;
}

GpuRates GpuRates::named(const std::string& name) {
  if (name == "h100") return h100();
  if (name == "b200") return b200();
  throw Error(ErrorCode::kInvalidArgument, "target", Error::kNoIndex, name,
              fmt::format("target = {}: the model knows h100 and b200", name));
}

}  // namespace varlen::cli
