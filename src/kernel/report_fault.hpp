// The kernels' side of a FaultReport.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/fault_report.hpp"

namespace varlen::kernel {

template <class Fault>
VARLEN_DEVICE void write_fault(Fault* to, const Fault& fault) {
  constexpr int kWords = sizeof(Fault) / sizeof(std::uint64_t);
  static_assert(kWords * sizeof(std::uint64_t) == sizeof(Fault));
  std::uint64_t words[kWords];
  __builtin_memcpy(words, &fault, sizeof(fault));
  VARLEN_UNROLL
  for (int i = 0; i < kWords; ++i) gpu::store_global(reinterpret_cast<std::uint64_t*>(to) + i, words[i]);
}

/// By one thread. Who finds another thread at it, or a report that the host has not taken, drops its own.
template <class Fault>
VARLEN_DEVICE void report_fault(const FaultLine& line, FaultReport::State state, Fault FaultReport::*place,
                                const Fault& fault) {
  if (line.report == nullptr || !gpu::try_lock(line.lock)) return;
  if (gpu::load_from_host(&line.report->state) == FaultReport::kNone) {
    write_fault(&(line.report->*place), fault);
    gpu::store_for_host(&line.report->state, static_cast<std::uint32_t>(state));
  }
  gpu::unlock(line.lock);
}
VARLEN_DEVICE void report_fault(const FaultLine& line, const LengthFault& fault) {
  report_fault(line, FaultReport::kLengths, &FaultReport::lengths, fault);
}
VARLEN_DEVICE void report_fault(const FaultLine& line, const PageFault& fault) {
  report_fault(line, FaultReport::kPages, &FaultReport::pages, fault);
}

}  // namespace varlen::kernel
