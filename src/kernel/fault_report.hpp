// What kernels report of data that they refuse, in memory that host and device share: the host reads it without
// waiting for the device.
#pragma once

#include <cstdint>

#include "batch/length_fault.hpp"
#include "batch/page_fault.hpp"

namespace varlen::kernel {

/// One report. Kernels make it while there is none, and the host takes it: so the first fault stays until a call has
/// raised it, and later ones are dropped until then.
struct FaultReport {
  enum State : std::uint32_t { kNone, kLengths, kPages };  // what is reported: written last
  std::uint32_t state;
  LengthFault lengths;
  PageFault pages;
};

/// Where kernels report. `lock` is in memory of the device, 0 at first: one thread at a time reports.
struct FaultLine {
  FaultReport* report;  // null: nobody wants to know
  std::uint32_t* lock;
};

}  // namespace varlen::kernel
