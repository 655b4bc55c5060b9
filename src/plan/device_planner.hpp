// A backend's side of a DevicePlan (varlen/device.hpp).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "batch/length_fault.hpp"
#include "plan/plan_data.hpp"
#include "varlen/device.hpp"

namespace varlen {

class DevicePlanner {
 public:
  /// `batch` has no requests: its numbers of requests and tokens are the limits.
  DevicePlanner(RaggedBatch batch, const PlanTarget& target, const Limits& limits)
      : batch_(std::move(batch)), target_(target), limits_(limits) {}
  virtual ~DevicePlanner() = default;
  DevicePlanner(const DevicePlanner&) = delete;
  DevicePlanner& operator=(const DevicePlanner&) = delete;

  const RaggedBatch& batch() const { return batch_; }
  const PlanTarget& target() const { return target_; }
  const Limits& limits() const { return limits_; }

  virtual Backend backend() const = 0;
  virtual std::int32_t device() const = 0;
  virtual std::int64_t bytes() const = 0;
  virtual std::int64_t workspace_bytes() const = 0;
  /// The arrays' presence has been checked.
  virtual void plan(const DeviceRequests& lengths, void* stream) = 0;
  /// The same for lengths in memory of the host, which have been validated, limits included.
  virtual void plan_from_host(const Requests& requests, void* stream) = 0;
  /// Throws Error for what is not in memory of the device.
  virtual void check_addresses(const Tensors& tensors, Workspace workspace) const = 0;
  /// Workspace and tensors have been validated, addresses included.
  virtual void run(const Tensors& tensors, Workspace workspace, const RunOptions& options) const = 0;
  /// What run() would launch.
  virtual KernelChoice explain(const Tensors& tensors, const RunOptions& options) const = 0;
  /// What planning or running reported since the last call, once. Does not wait.
  virtual std::optional<Error> take_report() const = 0;
  /// What plan() found wrong last. Waits.
  virtual LengthFault fault() const = 0;
  /// What it made; nothing if something was wrong.
  virtual std::shared_ptr<PlanData> read() const = 0;

 private:
  RaggedBatch batch_;
  PlanTarget target_;
  Limits limits_;
};

}  // namespace varlen
