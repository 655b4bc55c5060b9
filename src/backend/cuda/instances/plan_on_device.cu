#define VARLEN_DIVIDE_OUT_OF_LINE
#include "backend/cuda/launch.hpp"
#include "gpu/ptx/block_operations.hpp"
#include "gpu/ptx/operations.hpp"
#include "kernel/plan_on_device.hpp"

namespace varlen::cuda {
namespace {

/// Parameters of a new launch are in no cache, and each line that the planner comes to is a trip to memory. The last
/// warp, the first one to have no requests, makes these trips at once. What it has read goes to where its own results
/// will be (BlockTeam's slots), or it would not be read.
template <class Int>
__device__ __forceinline__ void touch(const kernel::PlanningParameters<Int>& parameters) {
  constexpr unsigned kLineWords = 16;
  constexpr unsigned kWords = sizeof(parameters) / 4;
  static_assert(kWords <= kLineWords * gpu::kWarpThreads);
  if (gpu::warp_index() != gpu::thread_count() / gpu::kWarpThreads - 1) return;
  const unsigned word = gpu::lane_index() * kLineWords;
  const unsigned read = word < kWords ? reinterpret_cast<const std::uint32_t*>(&parameters)[word] : 0;
  const unsigned all = __reduce_or_sync(0xFFFFFFFFU, read);
  if (gpu::lane_index() > 0) return;
  gpu::store_word(gpu::shared_memory() + static_cast<std::uint32_t>(gpu::warp_index() * kernel::TeamMemory::kSlotBytes),
                  all);
}

template <class Int, bool kInShared>
__global__ void __launch_bounds__(kernel::TeamMemory::kMaxWarps* gpu::kWarpThreads, 1)
    plan_on_device_kernel(const __grid_constant__ kernel::PlanningParameters<Int> parameters) {
  touch(parameters);
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
