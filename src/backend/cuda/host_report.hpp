// Memory for FaultReports: of the host, page-locked, and mapped into all devices.
#pragma once

#include <cstdint>

#include "kernel/fault_report.hpp"

namespace varlen::cuda {

/// One report, empty at first. Nothing on a device may use it any more when it ends.
class HostReport {
 public:
  explicit HostReport(std::int32_t device);
  ~HostReport();
  HostReport(const HostReport&) = delete;
  HostReport& operator=(const HostReport&) = delete;

  kernel::FaultReport& on_host() const { return *on_host_; }
  kernel::FaultReport* on_device() const { return on_device_; }

 private:
  kernel::FaultReport* on_host_;
  kernel::FaultReport* on_device_ = nullptr;
};

}  // namespace varlen::cuda
