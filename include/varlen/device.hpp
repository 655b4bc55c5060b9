// CUDA devices: which there are, plans for them, and memory on them. Every function works in every build on every
// machine: where there is no CUDA, no driver or no device, device_count() is 0 and the others throw
// Error(kUnsupported).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "varlen/attention.hpp"
#include "varlen/batch.hpp"
#include "varlen/export.hpp"
#include "varlen/plan.hpp"

namespace varlen {

/// Devices of compute capability 8.0 or more that this build and this machine's driver can use.
VARLEN_API std::int32_t device_count() noexcept;
/// Why device_count() is 0; empty if it is not.
VARLEN_API std::string no_device_reason();

struct DeviceInfo {
  std::string name;
  std::int32_t compute_major = 0;
  std::int32_t compute_minor = 0;
  std::int32_t multiprocessors = 0;
  std::int64_t l2_bytes = 0;
  std::int64_t memory_bytes = 0;
};
VARLEN_API DeviceInfo device_info(std::int32_t device);

/// The target that plans for this device are best made for: tile shapes and workers of the kernel that the batch will
/// run on. Throws Error(kUnsupported) for a spec that no kernel computes.
VARLEN_API PlanTarget device_target(const AttentionSpec& spec, const Requests& requests, std::int32_t device = 0,
                                    GpuKernel kernel = GpuKernel::kAuto);
inline PlanTarget device_target(const Batch& batch, std::int32_t device = 0, GpuKernel kernel = GpuKernel::kAuto) {
  return device_target(batch, batch, device, kernel);
}
/// The same for all batches within limits: for a DevicePlan.
VARLEN_API PlanTarget device_target(const AttentionSpec& spec, const Limits& limits, std::int32_t device = 0,
                                    GpuKernel kernel = GpuKernel::kAuto);

/// The same plan, with a copy in the device's memory that run() reads. Waits for the copy.
VARLEN_API Plan to_device(const Plan& plan, std::int32_t device = 0);

// ---- Plans made on the device: for lengths that only the device knows, and for CUDA graphs.

/// A view of 32- or 64-bit integers in memory of the device. Default-constructed it is absent.
class DeviceIndices {
 public:
  DeviceIndices() = default;
  DeviceIndices(const std::int32_t* data) noexcept
      : data_(data) {}  // NOLINT(google-explicit-constructor): either width
  DeviceIndices(const std::int64_t* data) noexcept : data_(data), wide_(true) {}  // NOLINT(google-explicit-constructor)

  bool present() const noexcept { return data_ != nullptr; }
  const void* data() const noexcept { return data_; }
  bool wide() const noexcept { return wide_; }

 private:
  const void* data_ = nullptr;
  bool wide_ = false;
};

/// Requests in memory of the device: which arrays tell what is as in Requests.
struct DeviceRequests {
  DeviceIndices query_indptr = {};              ///< [requests + 1]
  DeviceIndices query_lengths = {};             ///< [requests]
  DeviceIndices key_indptr = {};                ///< [requests + 1]
  DeviceIndices key_lengths = {};               ///< [requests]
  const std::int32_t* request_count = nullptr;  ///< requests, at most limits.requests; null: as many as those
};

class DevicePlanner;  // src/plan/device_planner.hpp

/// Where a DevicePlan is made and kept.
struct DevicePlanOptions {
  Backend backend = Backend::kCuda;  ///< or kEmulator: then "the device" is the host
  std::int32_t device = 0;
  /// Memory of the device that the caller lends to the plan: 256-byte aligned, at least device_plan_bytes() bytes, and
  /// not freed before the plan and all that runs it have ended. By default the plan allocates its own.
  Workspace memory = {};
};

/// A plan that is made on the device by update(), again and again for batches within its limits, and run there: neither
/// waits for the device, copies or allocates, so both may be captured in a CUDA graph and replayed with other lengths.
/// Cheap to copy; the copies are one plan. One batch at a time: a plan must not be made anew on one stream while
/// another still runs it.
///
/// What is wrong with lengths and pages shows on the device. A plan whose lengths are refused, or that was never made,
/// has no items: run() fills out and LSE with NaN, all tokens of the tensors, whatever the limits. Pages are treated as
/// by run() of other plans. Both are reported to the host, which update(), run() and status() look at first, without
/// waiting: the first of these calls that finds a report throws it and does nothing else (status() returns it). A
/// report stays until then, also if the plan was made anew meanwhile, and later ones are dropped; each is raised once.
/// When a call finds it depends on when the device comes to it.
class VARLEN_API DevicePlan {
 public:
  /// Sets memory aside. Throws Error.
  DevicePlan(const AttentionSpec& spec, const Limits& limits, const PlanTarget& target,
             const DevicePlanOptions& options = {});
  /// The requests come with update(): those of a batch would be ignored.
  DevicePlan(const Batch& batch, const Limits& limits, const PlanTarget& target,
             const DevicePlanOptions& options = {}) = delete;

  /// Launches the planner on `stream` (a cudaStream_t). The arrays are read when it runs. Throws Error for arrays that
  /// are missing or contradict each other, and what was reported of earlier calls.
  void update(const DeviceRequests& requests, void* stream = nullptr) const;
  /// The same for lengths in memory of the host, which are copied: the arrays may go when the call returns. Throws the
  /// Error that make_plan() throws for them, or that they exceed the limits, and then changes nothing. Waits only if
  /// the device has not yet come to the fourth call before this one. The plan's first such call sets page-locked memory
  /// aside. A stream that is being captured is refused: a graph would replay the lengths of its capture.
  void update(const Requests& requests, void* stream = nullptr) const;

  const Limits& limits() const noexcept;
  const PlanTarget& target() const noexcept;
  std::int64_t bytes() const noexcept;  ///< of device memory that it uses

  /// What the planner found wrong with the lengths last: the Error that make_plan() throws for them, or that they
  /// exceed the limits. Else what the next call would throw, as of pages: then that call throws it no more. Waits for
  /// the device.
  std::optional<Error> status() const;
  /// A copy of the plan in host memory, equal byte for byte to what make_plan() makes of the same lengths. Waits for
  /// the device. Throws status().
  Plan to_host() const;

  DevicePlanner& planner() const noexcept { return *planner_; }

 private:
  std::shared_ptr<DevicePlanner> planner_;
};

/// Bytes of memory for a DevicePlan with these arguments; `options.memory` does not count.
VARLEN_API std::int64_t device_plan_bytes(const AttentionSpec& spec, const Limits& limits, const PlanTarget& target,
                                          const DevicePlanOptions& options = {});

/// Bytes that run() needs for any plan within the limits.
VARLEN_API std::int64_t workspace_bytes(const DevicePlan& plan);
VARLEN_API std::int64_t workspace_bytes(const AttentionSpec& spec, const Limits& limits, const PlanTarget& target);

/// Computes the batch that the plan was last made for. Tensors must hold as many tokens as the limits allow, block
/// tables as many requests. Throws what was reported of earlier calls. options.backend is the plan's own, or kAuto.
/// Which kernel runs is decided by the limits: on Hopper fp8 requests of few rows may have another one, and so other
/// bits, with a plan of their own lengths, unless batch_invariant.
VARLEN_API void run(const DevicePlan& plan, const Tensors& tensors, Workspace workspace,
                    const RunOptions& options = {});

/// update() and run() in one call, which refuses bad arguments before it launches either. An engine's call: it
/// allocates nothing, waits for nothing, and may be captured if the lengths are in memory of the device. Layers after
/// the first need run() alone.
VARLEN_API void attention(const DevicePlan& plan, const DeviceRequests& requests, const Tensors& tensors,
                          Workspace workspace, const RunOptions& options = {});
VARLEN_API void attention(const DevicePlan& plan, const Requests& requests, const Tensors& tensors, Workspace workspace,
                          const RunOptions& options = {});

/// Which kernel run() would launch, and why: as explain() of other plans.
VARLEN_API KernelChoice explain(const DevicePlan& plan, const Tensors& tensors, const RunOptions& options = {});

// ---- Memory.

/// Memory of a device, 256-byte aligned.
class VARLEN_API DeviceMemory {
 public:
  explicit DeviceMemory(std::int64_t bytes, std::int32_t device = 0);
  ~DeviceMemory();
  DeviceMemory(DeviceMemory&& other) noexcept;
  DeviceMemory& operator=(DeviceMemory&&) = delete;

  void* data() const noexcept { return data_; }
  std::int64_t bytes() const noexcept { return bytes_; }

 private:
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
  std::int32_t device_ = 0;
};
/// Both wait until the bytes have arrived and all work of the device before them is done.
VARLEN_API void copy_to_device(void* to, const void* from, std::int64_t bytes);
VARLEN_API void copy_to_host(void* to, const void* from, std::int64_t bytes);
/// Until all work of the device is done. Throws Error(kDeviceFailure) if a kernel failed.
VARLEN_API void synchronize(std::int32_t device = 0);

}  // namespace varlen
