#include "guarded_memory.hpp"

#include <cuda.h>
#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <vector>

namespace varlen::gpu_check {
namespace {

/// The driver's functions, asked for at run time: the program links no driver.
template <class Function>
Function driver_function(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result{};
  const cudaError_t status = cudaGetDriverEntryPointByVersion(name, &function, 10020, cudaEnableDefault, &result);
  if (status != cudaSuccess || result != cudaDriverEntryPointSuccess) {
    throw std::runtime_error(fmt::format("the driver has no {}", name));
  }
  return reinterpret_cast<Function>(function);
}

struct Driver {
  PFN_cuMemGetAllocationGranularity_v10020 granularity =
      driver_function<PFN_cuMemGetAllocationGranularity_v10020>("cuMemGetAllocationGranularity");
  PFN_cuMemAddressReserve_v10020 reserve = driver_function<PFN_cuMemAddressReserve_v10020>("cuMemAddressReserve");
  PFN_cuMemAddressFree_v10020 free = driver_function<PFN_cuMemAddressFree_v10020>("cuMemAddressFree");
  PFN_cuMemCreate_v10020 create = driver_function<PFN_cuMemCreate_v10020>("cuMemCreate");
  PFN_cuMemRelease_v10020 release = driver_function<PFN_cuMemRelease_v10020>("cuMemRelease");
  PFN_cuMemMap_v10020 map = driver_function<PFN_cuMemMap_v10020>("cuMemMap");
  PFN_cuMemUnmap_v10020 unmap = driver_function<PFN_cuMemUnmap_v10020>("cuMemUnmap");
  PFN_cuMemSetAccess_v10020 set_access = driver_function<PFN_cuMemSetAccess_v10020>("cuMemSetAccess");
};

const Driver& driver() {
  static const Driver kDriver;
  return kDriver;
}

void check(CUresult result, const char* action) {
  if (result != CUDA_SUCCESS) {
    throw std::runtime_error(fmt::format("{} failed with error {} of the driver", action, static_cast<int>(result)));
  }
}

/// `bytes` of mapped memory with as many unmapped addresses before and after as a mapping has at least.
class Mapping {
 public:
  Mapping(std::int32_t device, std::size_t bytes) {
    CUmemAllocationProp properties{};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    properties.location.id = device;
    check(driver().granularity(&guard_, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM), "asking for the granularity");
    bytes_ = (bytes + guard_ - 1) / guard_ * guard_;
    check(driver().reserve(&reserved_, bytes_ + 2 * guard_, 0, 0, 0), "reserving addresses");
    check(driver().create(&memory_, bytes_, &properties, 0), "creating memory");
    check(driver().map(reserved_ + guard_, bytes_, 0, memory_, 0), "mapping memory");
    CUmemAccessDesc access{};
    access.location = properties.location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    check(driver().set_access(reserved_ + guard_, bytes_, &access, 1), "allowing access");
  }
  ~Mapping() {
    driver().unmap(reserved_ + guard_, bytes_);
    driver().release(memory_);
    driver().free(reserved_, bytes_ + 2 * guard_);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::byte* begin() const { return reinterpret_cast<std::byte*>(reserved_ + guard_); }
  std::byte* end() const { return begin() + bytes_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t guard_ = 0;
  std::size_t bytes_ = 0;
  CUdeviceptr reserved_ = 0;
  CUmemGenericAllocationHandle memory_ = 0;
};

class GuardedDeviceMemory : public Memory {
 public:
  GuardedDeviceMemory(std::int32_t device, Side side) : device_(device), side_(side) {}

  Piece place(std::int64_t bytes, std::int64_t alignment) override {
    const auto size = static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1));
    if (used_ == mappings_.size()) {
      mappings_.push_back(std::make_unique<Mapping>(device_, size));
    } else if (mappings_[used_]->bytes() < size) {
      mappings_[used_].reset();
      mappings_[used_] = std::make_unique<Mapping>(device_, size);
    }
    const Mapping& mapping = *mappings_[used_++];
    return piece_at(side_, mapping.begin(), mapping.end(), bytes, alignment);
  }
  void clear() override { used_ = 0; }

 private:
  const std::int32_t device_;
  const Side side_;
  std::vector<std::unique_ptr<Mapping>> mappings_;
  std::size_t used_ = 0;
};

}  // namespace

std::unique_ptr<Memory> guarded_device_memory(std::int32_t device, Side side) {
  return std::make_unique<GuardedDeviceMemory>(device, side);
}

}  // namespace varlen::gpu_check
