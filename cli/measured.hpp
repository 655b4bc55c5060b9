// Measured times of traces, and the machine's rates in the same run: what bench/peers/gpu.py --json writes, and the
// clock if somebody has sampled it.
#pragma once

#include <map>
#include <optional>
#include <string>

namespace varlen::cli {

struct Measured {
  std::optional<double> matmul_flops;     ///< FLOP/s
  std::optional<double> clock;            ///< Hz
  std::optional<double> copy_bytes;       ///< bytes/s
  std::map<std::string, double> seconds;  ///< by trace name
};

/// Throws Error naming the file.
Measured read_measured(const std::string& path);

}  // namespace varlen::cli
