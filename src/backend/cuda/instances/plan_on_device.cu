#define VARLEN_DIVIDE_OUT_OF_LINE
#include "backend/cuda/launch.hpp"
#include "gpu/ptx/block_operations.hpp"
#include "gpu/ptx/operations.hpp"
#include "kernel/plan_on_device.hpp"

namespace varlen::cuda {
namespace {

template <class Int, bool kInShared>
__global__ void __launch_bounds__(kernel::TeamMemory::kMaxWarps* gpu::kWarpThreads, 1)
    plan_on_device_kernel(const __grid_constant__ kernel::PlanningParameters<Int> parameters) {
  kernel::plan_on_device<Int, kInShared>(parameters);
}

template <class Int, bool kInShared>
cudaError_t launch(const kernel::PlanningParameters<Int>& parameters, int threads, int shared_bytes,
                   cudaStream_t stream) {
  plan_on_device_kernel<Int, kInShared><<<1, threads, shared_bytes, stream>>>(parameters);
  return cudaGetLastError();
}

template <class Int, bool kInShared>
cudaError_t allow_shared(int most_shared_bytes) {
  return cudaFuncSetAttribute(plan_on_device_kernel<Int, kInShared>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                              most_shared_bytes);
}

}  // namespace

template <>
cudaError_t prepare_plan_on_device<std::int32_t>(int most_shared_bytes) {
  return allow_shared<std::int32_t, true>(most_shared_bytes);
}
template <>
cudaError_t prepare_plan_on_device<std::int64_t>(int most_shared_bytes) {
  return allow_shared<std::int64_t, false>(most_shared_bytes);
}

template <>
cudaError_t launch_plan_on_device(const kernel::PlanningParameters<std::int32_t>& parameters, int threads,
                                  int shared_bytes, cudaStream_t stream) {
  return launch<std::int32_t, true>(parameters, threads, shared_bytes, stream);
}
template <>
cudaError_t launch_plan_on_device(const kernel::PlanningParameters<std::int64_t>& parameters, int threads,
                                  int shared_bytes, cudaStream_t stream) {
  return launch<std::int64_t, false>(parameters, threads, shared_bytes, stream);
}

}  // namespace varlen::cuda
