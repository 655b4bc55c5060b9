// The host's side of a FaultReport.
#pragma once

#include <atomic>
#include <optional>

#include "kernel/fault_report.hpp"
#include "varlen/error.hpp"

namespace varlen::kernel {

/// What kernels have reported, once: of several threads that ask, one gets it.
inline std::optional<Error> take_report(FaultReport& report) {
  const std::atomic_ref<std::uint32_t> state(report.state);
  std::uint32_t found = state.load(std::memory_order_acquire);
  if (found == FaultReport::kNone) return std::nullopt;
  const LengthFault lengths = report.lengths;
  const PageFault pages = report.pages;
  if (!state.compare_exchange_strong(found, FaultReport::kNone, std::memory_order_acq_rel)) return std::nullopt;
  try {
    if (found == FaultReport::kLengths) refuse(lengths);
    refuse(pages);
  } catch (const Error& error) {
    return error;
  }
}

/// Throws it.
inline void raise_report(FaultReport& report) {
  if (const std::optional<Error> error = take_report(report)) throw Error(*error);
}

}  // namespace varlen::kernel
