#include "backend/cuda/host_report.hpp"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <mutex>
#include <vector>

#include "backend/cuda/runtime.hpp"

namespace varlen::cuda {
namespace {

/// Page-locking takes longer than all else that a plan needs: reports are used again, and their memory is kept until
/// the process ends.
class ReportPool {
 public:
  kernel::FaultReport* take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) grow();
    Slot* const slot = free_.back();
    free_.pop_back();
    slot->report = {};
    return &slot->report;
  }
  void give_back(kernel::FaultReport* report) noexcept {
    const std::lock_guard lock(mutex_);
    free_.push_back(reinterpret_cast<Slot*>(report));
  }

 private:
  struct alignas(128) Slot {
    kernel::FaultReport report;
  };
  static constexpr std::size_t kSlots = 32;  // in a page of memory

  void grow() {
    void* memory = nullptr;
    slots_ += kSlots;
    free_.reserve(slots_);  // so that give_back() cannot fail
    check(cudaHostAlloc(&memory, kSlots * sizeof(Slot), cudaHostAllocMapped | cudaHostAllocPortable),
          "allocating page-locked memory");
    for (std::size_t i = 0; i < kSlots; ++i) free_.push_back(static_cast<Slot*>(memory) + i);
  }

  std::mutex mutex_;
  std::vector<Slot*> free_;
  std::size_t slots_ = 0;
};

/// Never destroyed: plans may end after it would be.
ReportPool& pool() {
  static auto* const pool = new ReportPool;
  return *pool;
}

}  // namespace

HostReport::HostReport(std::int32_t device) : on_host_(pool().take()) {
  const CurrentDevice current(device);
  void* there = nullptr;
  const cudaError_t status = cudaHostGetDevicePointer(&there, on_host_, 0);
  if (status != cudaSuccess) pool().give_back(on_host_);
  check(status, "mapping page-locked memory");
  on_device_ = static_cast<kernel::FaultReport*>(there);
}

HostReport::~HostReport() { pool().give_back(on_host_); }

}  // namespace varlen::cuda
