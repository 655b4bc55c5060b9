#include "backend/cuda/cuda_backend.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "backend/cuda/launch.hpp"
#include "batch/refuse.hpp"
#include "kernel/launch_parameters.hpp"
#include "kernel/shapes.hpp"
#include "plan/plan_data.hpp"

namespace varlen {

/// A plan's arrays in device memory, one allocation, and the kernel that runs it.
struct DevicePlan {
  DevicePlan() = default;
  ~DevicePlan() { cuda::release(memory, device); }
  DevicePlan(const DevicePlan&) = delete;
  DevicePlan& operator=(const DevicePlan&) = delete;

  std::int32_t device = 0;
  void* memory = nullptr;
  PlanView view{};
  const RequestExtent* requests = nullptr;
  const Merge* merges = nullptr;
  cuda::Kernel kernel{};
  int forward_blocks = 0;
  int merge_blocks = 0;
};

namespace cuda {
namespace {

constexpr int kOldestMajor = 8;

void check(cudaError_t status, const char* action) {
  if (status == cudaSuccess) return;
  const ErrorCode code = status == cudaErrorMemoryAllocation ? ErrorCode::kOutOfMemory : ErrorCode::kInternal;
  throw Error(code, "device", Error::kNoIndex, cudaGetErrorName(status),
              fmt::format("device: {} failed: {}", action, cudaGetErrorString(status)));
}

void check_device(std::int32_t device) {
  const std::int32_t count = device_count();
  if (count == 0) {
    refuse(ErrorCode::kUnsupported, "device", Error::kNoIndex, device, "cannot be used: {}", no_device_reason());
  }
  if (device < 0 || device >= count) {
    refuse("device", Error::kNoIndex, device, "is not one of this machine's {} devices", count);
  }
}

/// Makes a device the current one while it lives.
class CurrentDevice {
 public:
  explicit CurrentDevice(std::int32_t device) {
    check(cudaGetDevice(&previous_), "asking for the current device");
    check(cudaSetDevice(device), "choosing a device");
  }
  ~CurrentDevice() { cudaSetDevice(previous_); }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int previous_ = 0;
};

template <Dtype kInput, std::size_t... kShape>
std::array<Kernel, sizeof...(kShape)> kernels(std::index_sequence<kShape...> /*shapes*/) {
  return {forward_mma_instance<kInput, kernel::kMmaHeadDims[kShape].qk, kernel::kMmaHeadDims[kShape].vo>()...};
}

Kernel select_kernel(const RaggedBatch& batch) {
  using Shapes = std::make_index_sequence<kernel::kMmaShapes>;
  static const auto kFp16 = kernels<Dtype::kFloat16>(Shapes());
  static const auto kBf16 = kernels<Dtype::kBFloat16>(Shapes());
  const auto shape = static_cast<std::size_t>(kernel::select_mma_shape(batch));
  return batch.input_dtype == Dtype::kFloat16 ? kFp16[shape] : kBf16[shape];
}

/// Blocks that the current device holds at once.
int resident_blocks(const Kernel& kernel, std::int32_t device) {
  check(kernel.prepare(), "preparing a kernel");
  int blocks = 0;
  check(kernel.resident_blocks(&blocks), "asking for a kernel's occupancy");
  int multiprocessors = 0;
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device), "asking for an attribute");
  return std::max(1, blocks) * multiprocessors;
}

/// Places arrays one after another in one piece of memory.
class Packer {
 public:
  template <class T>
  std::size_t place(const std::vector<T>& values) {
    const std::size_t at = (bytes_.size() + 255) / 256 * 256;
    bytes_.resize(at + values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(bytes_.data() + at, values.data(), values.size() * sizeof(T));
    return at;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

std::int32_t device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();  // or the next launch would report it
    return 0;
  }
  // A device that is too old hides those after it: indices stay those of CUDA.
  for (int device = 0; device < count; ++device) {
    int major = 0;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
        major < kOldestMajor) {
      return device;
    }
  }
  return count;
}

std::string no_device_reason() {
  if (device_count() > 0) return {};
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status != cudaSuccess) return cudaGetErrorString(status);
  return count == 0 ? "there is no CUDA device" : "the first CUDA device is older than compute capability 8.0";
}

DeviceInfo device_info(std::int32_t device) {
  check_device(device);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device), "asking for a device's properties");
  DeviceInfo info;
  info.name = properties.name;
  info.compute_major = properties.major;
  info.compute_minor = properties.minor;
  info.multiprocessors = properties.multiProcessorCount;
  info.l2_bytes = properties.l2CacheSize;
  info.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  return info;
}

PlanTarget target_for(const RaggedBatch& batch, std::int32_t device) {
  check_device(device);
  const CurrentDevice current(device);
  const Kernel kernel = select_kernel(batch);
  PlanTarget target;
  target.name = fmt::format("cuda:{}", device);
  const kernel::HeadDims dims = kernel::kMmaHeadDims[kernel::select_mma_shape(batch)];
  if (dims.vo <= 128) target.tile_shapes.push_back({128, kCostPerBlock});
  target.tile_shapes.push_back({64, dims.vo <= 128 ? kCostPerBlock * 5 / 8 : kCostPerBlock});
  target.key_block = 64;
  target.workers = resident_blocks(kernel, device);
  target.l2_bytes = device_info(device).l2_bytes;
  return target;
}

std::shared_ptr<const DevicePlan> upload(const PlanData& plan, std::int32_t device) {
  check_device(device);
  const CurrentDevice current(device);
  auto result = std::make_shared<DevicePlan>();
  result->device = device;
  result->kernel = select_kernel(plan.batch);

  Packer packer;
  const std::size_t runs = packer.place(plan.runs);
  const std::size_t listed = packer.place(plan.listed);
  const std::size_t merges = packer.place(plan.merges);
  const std::size_t requests = packer.place(plan.batch.requests);
  const auto bytes = static_cast<std::int64_t>(packer.bytes().size());
  result->memory = allocate(std::max<std::int64_t>(bytes, 1), device);
  if (bytes > 0) copy_to_device(result->memory, packer.bytes().data(), bytes);
  const auto* const base = static_cast<const std::byte*>(result->memory);
  result->view = plan.view();
  result->view.runs = reinterpret_cast<const Run*>(base + runs);
  result->view.listed = reinterpret_cast<const WorkItem*>(base + listed);
  result->merges = reinterpret_cast<const Merge*>(base + merges);
  result->requests = reinterpret_cast<const RequestExtent*>(base + requests);

  const std::int64_t resident = resident_blocks(result->kernel, device);
  result->forward_blocks = static_cast<int>(std::min(resident, item_count(result->view)));
  constexpr std::int64_t kRowsPerBlock = 4;
  std::int64_t merge_rows = 0;
  for (const Merge& merge : plan.merges) merge_rows += merge.query_count * merge.query_head_count;
  result->merge_blocks = static_cast<int>(std::min(resident, ceil_div(merge_rows, kRowsPerBlock)));
  return result;
}

std::int32_t device_of(const Plan& plan) { return plan.data().on_device->device; }

std::int64_t workspace_bytes(const Plan& plan) {
  return plan.partial_rows() * kernel::partial_row_floats(plan.data().batch.head_dim_vo) *
         static_cast<std::int64_t>(sizeof(float));
}

void execute(const Plan& plan, const Tensors& tensors, Workspace workspace, void* stream) {
  const DevicePlan& on_device = *plan.data().on_device;
  if (on_device.forward_blocks == 0) return;
  kernel::ForwardParameters parameters = kernel::launch_parameters(plan.data().batch, tensors);
  parameters.plan = on_device.view;
  parameters.requests = on_device.requests;
  parameters.merges = on_device.merges;
  parameters.merge_count = static_cast<std::int64_t>(plan.merges().size());
  parameters.partials = static_cast<float*>(workspace.data);
  const CurrentDevice current(on_device.device);
  auto* const on_stream = static_cast<cudaStream_t>(stream);
  check(on_device.kernel.launch(parameters, on_device.forward_blocks, on_stream), "launching forward_mma");
  if (on_device.merge_blocks > 0) {
    check(launch_merge_partials(parameters, on_device.merge_blocks, on_stream), "launching merge_partials");
  }
}

void* allocate(std::int64_t bytes, std::int32_t device) {
  check_device(device);
  const CurrentDevice current(device);
  void* memory = nullptr;
  check(cudaMalloc(&memory, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1))), "allocating memory");
  return memory;
}

void release(void* memory, std::int32_t device) noexcept {
  int previous = 0;
  if (memory == nullptr || cudaGetDevice(&previous) != cudaSuccess || cudaSetDevice(device) != cudaSuccess) return;
  cudaFree(memory);
  cudaSetDevice(previous);
}

void copy_to_device(void* to, const void* from, std::int64_t bytes) {
  check(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice), "copying to the device");
}

void copy_to_host(void* to, const void* from, std::int64_t bytes) {
  check(cudaMemcpy(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost), "copying from the device");
}

void synchronize(std::int32_t device) {
  check_device(device);
  const CurrentDevice current(device);
  check(cudaDeviceSynchronize(), "waiting for the device");
}

}  // namespace cuda
}  // namespace varlen
