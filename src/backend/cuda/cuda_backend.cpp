#include "backend/cuda/cuda_backend.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <utility>
#include <vector>

#include "backend/cuda/device_memory_check.hpp"
#include "backend/cuda/launch.hpp"
#include "backend/cuda/resident_plan.hpp"
#include "backend/cuda/runtime.hpp"
#include "backend/cuda/tensor_map.hpp"
#include "batch/refuse.hpp"
#include "kernel/launch_parameters.hpp"
#include "kernel/merge_partials.hpp"
#include "kernel/select.hpp"
#include "kernel/shapes.hpp"
#include "kernel/support.hpp"
#include "kernel/take_report.hpp"
#include "plan/limits.hpp"
#include "plan/plan_data.hpp"

namespace varlen {
namespace cuda {
namespace {

constexpr int kOldestMajor = 8;

using Kernels = std::array<Kernel, kernel::kShapes>;  // null functions where there is none

template <Dtype kInput, std::size_t... kShape>
Kernels mma_kernels(std::index_sequence<kShape...> /*shapes*/) {
  return {forward_mma_instance<kInput, kernel::kHeadDims[kShape].qk, kernel::kHeadDims[kShape].vo>()...};
}
template <Dtype kInput, std::size_t... kShape>
Kernels wgmma_kernels(std::index_sequence<kShape...> /*shapes*/) {
  return {forward_wgmma_instance<kInput, kernel::kHeadDims[kShape].qk, kernel::kHeadDims[kShape].vo>()...};
}

template <Dtype kInput, std::size_t... kShape>
Kernels tcgen05_kernels(std::index_sequence<kShape...> /*shapes*/) {
  return {forward_tcgen05_instance<kInput, kernel::kHeadDims[kShape].qk, kernel::kHeadDims[kShape].vo>()...};
}
/// By kernel::Forward.
template <Dtype kInput>
std::array<Kernels, 3> all_kernels() {
  constexpr auto kShapes = [](kernel::Forward forward) {
    return kernel::compiled_shapes(forward, kInput == Dtype::kFloat8E4M3 ? 1 : 2);
  };
  return {mma_kernels<kInput>(std::make_index_sequence<kShapes(kernel::Forward::kMma)>()),
          wgmma_kernels<kInput>(std::make_index_sequence<kShapes(kernel::Forward::kWgmma)>()),
          tcgen05_kernels<kInput>(std::make_index_sequence<kShapes(kernel::Forward::kTcgen05)>())};
}

/// The compiled instance for these inputs, head dims kHeadDims[shape].
Kernel instance_of(kernel::Forward forward, int shape, Dtype input_dtype) {
  static const auto kFp16 = all_kernels<Dtype::kFloat16>();
  static const auto kBf16 = all_kernels<Dtype::kBFloat16>();
  static const auto kE4m3 = all_kernels<Dtype::kFloat8E4M3>();
  const auto& kernels = input_dtype == Dtype::kFloat8E4M3 ? kE4m3 : input_dtype == Dtype::kFloat16 ? kFp16 : kBf16;
  return kernels[static_cast<std::size_t>(forward)][static_cast<std::size_t>(shape)];
}

/// The fastest forward kernel that the device can run.
kernel::Forward own_kernel(std::int32_t device) {
  int major = 0;
  int minor = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "asking for an attribute");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "asking for an attribute");
  if (major == 9) return kernel::Forward::kWgmma;
  return major == 10 && (minor == 0 || minor == 3) ? kernel::Forward::kTcgen05 : kernel::Forward::kMma;
}

/// Why CUDA finds no devices. Where there is no driver it says that the driver is too old, but the driver's version is
/// 0 then.
std::string reason_of(cudaError_t status) {
  int driver = 0;
  int runtime = 0;
  const bool known = cudaDriverGetVersion(&driver) == cudaSuccess && cudaRuntimeGetVersion(&runtime) == cudaSuccess;
  if (status != cudaErrorInsufficientDriver || !known) return cudaGetErrorString(status);
  if (driver == 0) return "no NVIDIA driver here";
  const auto version = [](int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); };
  return fmt::format("the NVIDIA driver is for CUDA {}, and this build needs {}", version(driver), version(runtime));
}

/// Throws Error(kUnsupported) if the device has too little shared memory for a block.
void check_shared_memory(const RaggedBatch& batch, const Kernel& kernel, std::int32_t device) {
  int shared_bytes = 0;
  check(cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
        "asking for an attribute");
  if (kernel.shared_bytes > shared_bytes) {
    refuse(ErrorCode::kUnsupported, "head_dim_qk", Error::kNoIndex, batch.head_dim_qk,
           "needs {} bytes of shared memory in a block; this device has {}", kernel.shared_bytes, shared_bytes);
  }
}

/// Blocks that the current device holds at once. Throws Error(kUnsupported) if it holds none.
int resident_blocks(const RaggedBatch& batch, const Kernel& kernel, std::int32_t device) {
  check_shared_memory(batch, kernel, device);
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

void check_device(std::int32_t device) {
  const std::int32_t count = device_count();
  if (count == 0) {
    refuse(ErrorCode::kUnsupported, "device", Error::kNoIndex, device, "cannot be used: {}", no_device_reason());
  }
  if (device < 0 || device >= count) {
    refuse("device", Error::kNoIndex, device, "is not one of this machine's {} devices", count);
  }
}

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
  if (status != cudaSuccess) return reason_of(status);
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

std::vector<KernelSupport> kernels() {
  if (device_count() == 0) return {};
  std::vector<KernelSupport> result = {kernel::support(kernel::Forward::kMma)};
  const kernel::Forward own = own_kernel(0);
  if (own != kernel::Forward::kMma) result.push_back(kernel::support(own));
  return result;
}

namespace {

PlanTarget target_for(const RaggedBatch& batch, const kernel::LongestRequest& longest, std::int32_t device,
                      GpuKernel asked) {
  check_device(device);
  const CurrentDevice current(device);
  const kernel::Selection selection = kernel::select(batch, longest, kernel::offer_of_gpu(own_kernel(device), asked));
  const kernel::Forward forward = selection.forward;
  const bool boxed = forward != kernel::Forward::kMma;
  const kernel::HeadDims dims = kernel::kHeadDims[selection.shape];
  PlanTarget target;
  target.name = fmt::format("cuda:{}", device);
  if (forward == kernel::Forward::kTcgen05) {
    target.tile_shapes = PlanTarget::b200().tile_shapes;
  } else {
    if (boxed || dims.vo <= 128) target.tile_shapes.push_back({128, kCostPerBlock});
    target.tile_shapes.push_back({64, target.tile_shapes.empty() ? kCostPerBlock : kCostPerBlock * 5 / 8});
  }
  target.key_block = boxed && dims.vo <= 128 ? 128 : 64;
  target.workers = resident_blocks(batch, instance_of(forward, selection.shape, batch.input_dtype), device);
  // Not device_info(): asking for all properties is slow, and this is called for every batch.
  int l2_bytes = 0;
  check(cudaDeviceGetAttribute(&l2_bytes, cudaDevAttrL2CacheSize, device), "asking for an attribute");
  target.l2_bytes = l2_bytes;
  return target;
}

}  // namespace

PlanTarget target_for(const RaggedBatch& batch, std::int32_t device, GpuKernel asked) {
  return target_for(batch, kernel::longest_request(batch), device, asked);
}
PlanTarget target_for(const RaggedBatch& batch, const Limits& limits, std::int32_t device, GpuKernel asked) {
  const Limits most = resolved(limits);
  return target_for(batch, kernel::LongestRequest{most.query_length, most.key_length}, device, asked);
}

std::shared_ptr<const ResidentPlan> upload(const PlanData& plan, std::int32_t device) {
  check_device(device);
  const CurrentDevice current(device);
  auto result = std::make_shared<ResidentPlan>();
  result->device = device;

  Packer packer;
  const std::size_t runs = packer.place(plan.runs);
  const std::size_t listed = packer.place(plan.listed);
  const std::size_t merges = packer.place(plan.merges);
  const std::size_t requests = packer.place(plan.batch.requests);
  const std::size_t lock = packer.place(std::vector<std::uint32_t>{0});
  const auto bytes = static_cast<std::int64_t>(packer.bytes().size());
  result->memory = allocate(bytes, device);
  copy_to_device(result->memory, packer.bytes().data(), bytes);
  auto* const base = static_cast<std::byte*>(result->memory);
  result->view = plan.view();
  result->view.runs = reinterpret_cast<const Run*>(base + runs);
  result->view.listed = reinterpret_cast<const WorkItem*>(base + listed);
  result->view.requests = reinterpret_cast<const RequestExtent*>(base + requests);
  result->merges = reinterpret_cast<const Merge*>(base + merges);
  result->merge_count = std::ssize(plan.merges);
  if (plan.batch.page_size > 0) result->report.emplace(device);
  result->lock = reinterpret_cast<std::uint32_t*>(base + lock);

  result->longest = kernel::longest_request(plan.batch);
  choose_kernels(plan.batch, item_count(result->view), std::ssize(plan.merges), *result);
  return result;
}

void choose_kernels(const RaggedBatch& batch, std::int64_t most_items, std::int64_t most_merges, ResidentPlan& plan) {
  plan.own = own_kernel(plan.device);
  const int shape = kernel::select_shape(batch);
  const auto launch_of = [&](kernel::Forward forward) {
    const Kernel kernel = instance_of(forward, shape, batch.input_dtype);
    const std::int64_t resident = resident_blocks(batch, kernel, plan.device);
    return ResidentPlan::Forward{kernel, static_cast<int>(std::min(resident, most_items))};
  };
  plan.mma = launch_of(kernel::Forward::kMma);
  // Whether it is asked for shows when the plan is run.
  const kernel::Forward boxed = kernel::select(batch, plan.longest, {plan.own}).forward;
  if (boxed != kernel::Forward::kMma) plan.boxed = launch_of(boxed);
  constexpr std::int64_t kMergeBlocks = 2048;  // about as many as run at once on the largest devices
  // Of plans made on the device they also write NaN where the plan was refused.
  const std::int64_t wanted = plan.counts != nullptr ? std::max<std::int64_t>(most_merges, 1) : most_merges;
  plan.merge_blocks = static_cast<int>(std::min(kMergeBlocks, wanted * kernel::kMergeShares));
}

std::int32_t device_of(const Plan& plan) { return plan.data().on_device->device; }

std::int64_t workspace_bytes(const Plan& plan) {
  return kernel::workspace_bytes(plan.partial_rows(), plan.data().batch.head_dim_vo);
}

void raise_report(const Plan& plan) {
  const ResidentPlan& resident = *plan.data().on_device;
  if (resident.report) kernel::raise_report(resident.report->on_host());
}

const char* execute(const Plan& plan, const Tensors& tensors, Workspace workspace, GpuKernel asked, void* stream) {
  const ResidentPlan& resident = *plan.data().on_device;
  raise_report(plan);
  if (cuda::workspace_bytes(plan) == 0) workspace = {};
  check_device_memory(tensors, workspace, resident.device);
  if (item_count(resident.view) == 0) return "";
  return run_kernels(resident, plan.data().batch, plan.data().target, tensors, workspace, asked, stream);
}

KernelChoice explain(const Plan& plan, const Tensors& tensors, GpuKernel asked) {
  return explain_kernels(*plan.data().on_device, plan.data().batch, plan.data().target, tensors, asked);
}

KernelChoice choice_for(const RaggedBatch& batch, std::int32_t device, GpuKernel asked) {
  check_device(device);
  const kernel::Offer offer = kernel::offer_of_gpu(own_kernel(device), asked);
  const kernel::Selection selection = kernel::select(batch, kernel::kLongRequests, offer);
  check_shared_memory(batch, instance_of(selection.forward, selection.shape, batch.input_dtype), device);
  return kernel::choice_for_spec(batch, offer);
}

const char* run_kernels(const ResidentPlan& plan, const RaggedBatch& batch, const PlanTarget& target,
                        const Tensors& tensors, Workspace workspace, GpuKernel asked, void* stream) {
  kernel::ForwardParameters parameters = kernel::launch_parameters(batch, tensors);
  parameters.plan = plan.view;
  parameters.requests = plan.view.requests;
  parameters.merges = plan.merges;
  parameters.merge_count = plan.merge_count;
  parameters.counts = plan.counts;
  if (plan.report) parameters.faults = {plan.report->on_device(), plan.lock};
  kernel::place_workspace(workspace, parameters);
  const CurrentDevice current(plan.device);
  auto* const on_stream = static_cast<cudaStream_t>(stream);
  const kernel::Selection selection = kernel::select(batch, plan.longest, kernel::offer_of_gpu(plan.own, asked), target,
                                                     tensors, parameters, encode_tensor_map, parameters.boxes);
  const ResidentPlan::Forward& forward = selection.forward == kernel::Forward::kMma ? plan.mma : plan.boxed;
  if (plan.counts != nullptr || forward.blocks < item_count(plan.view)) {
    check(cudaMemsetAsync(parameters.counter, 0, sizeof(*parameters.counter), on_stream), "clearing the workspace");
  } else {
    parameters.counter = nullptr;
  }
  if (forward.blocks > 0) {  // limits may allow no items
    check(forward.kernel.launch(parameters, forward.blocks, on_stream), "launching attention");
  }
  if (plan.merge_blocks > 0) {
    check(launch_merge_partials(parameters, plan.merge_blocks, on_stream), "launching merge_partials");
  }
  return forward.blocks > 0 ? forward.kernel.name : "";
}

KernelChoice explain_kernels(const ResidentPlan& plan, const RaggedBatch& batch, const PlanTarget& target,
                             const Tensors& tensors, GpuKernel asked) {
  const kernel::ForwardParameters parameters = kernel::launch_parameters(batch, tensors);
  kernel::Boxes boxes{};
  const CurrentDevice current(plan.device);
  const kernel::Selection selection = kernel::select(batch, plan.longest, kernel::offer_of_gpu(plan.own, asked), target,
                                                     tensors, parameters, encode_tensor_map, boxes);
  return kernel::choice_of(selection, batch, target);
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
