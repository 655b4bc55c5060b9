// fp32 results that may differ by rounding.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "fidelity/experiment_data.hpp"

namespace varlen::fidelity {

/// Empty if every number is within `bound` of its magnitude; raises `worst` to the largest such fraction.
inline std::string beyond(const std::vector<std::byte>& real, const std::vector<std::byte>& emulated,
                          const std::vector<std::byte>& magnitude, double offset, double bound, double& worst) {
  for (std::int64_t i = 0; 4 * i < static_cast<std::int64_t>(real.size()); ++i) {
    const double r = get<float>(real, 4 * i);
    const double e = get<float>(emulated, 4 * i);
    const double error = std::abs(r - e) / (get<float>(magnitude, 4 * i) + offset);
    if (r == e) continue;
    worst = std::max(worst, error);
    if (!(error <= bound)) return fmt::format("number {} is {} and in the emulator {}: {:.3g} apart", i, r, e, error);
  }
  return "";
}

/// Empty if all numbers have the same bits, except that NaNs are alike.
inline std::string different_but_for_nan(const std::vector<std::byte>& real, const std::vector<std::byte>& emulated) {
  for (std::int64_t i = 0; 4 * i < static_cast<std::int64_t>(real.size()); ++i) {
    const auto r = get<float>(real, 4 * i);
    const auto e = get<float>(emulated, 4 * i);
    if (get<std::uint32_t>(real, 4 * i) == get<std::uint32_t>(emulated, 4 * i)) continue;
    if (std::isnan(r) && std::isnan(e)) continue;
    return fmt::format("number {} is {} and in the emulator {}", i, r, e);
  }
  return "";
}

}  // namespace varlen::fidelity
