#define VARLEN_DIVIDE_OUT_OF_LINE
#include "backend/cuda/launch.hpp"
#include "gpu/ptx/block_operations.hpp"
#include "gpu/ptx/cluster_operations.hpp"
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

using kernel::Arrays;

template <class Int, Arrays kArrays>
__global__ void __launch_bounds__(kernel::TeamMemory::kMaxWarps* gpu::kWarpThreads, 1)
    plan_on_device_kernel(const __grid_constant__ kernel::PlanningParameters<Int> parameters) {
#if __CUDA_ARCH__ < 900
  if constexpr (kArrays != Arrays::kCluster)
#endif
  {
    touch(parameters);
    kernel::plan_on_device<Int, kArrays>(parameters);
  }
}

/// A function of the kernel whose arrays are there.
template <class Int, class Function>
auto with_kernel(Arrays arrays, const Function& function) {
  if (arrays == Arrays::kCluster) return function(plan_on_device_kernel<Int, Arrays::kCluster>);
  constexpr bool kIsNarrow = sizeof(Int) == sizeof(std::int32_t);
  return function(plan_on_device_kernel < Int, kIsNarrow ? Arrays::kShared : Arrays::kGlobal >);
}

cudaLaunchConfig_t launch_of(const PlanningTeam& team, cudaLaunchAttribute& cluster) {
  const int blocks = kernel::TeamMemory::blocks(team.arrays);
  cudaLaunchConfig_t launch{};
  launch.gridDim = dim3(static_cast<unsigned>(blocks));
  launch.blockDim = dim3(static_cast<unsigned>(team.threads));
  launch.dynamicSmemBytes = static_cast<std::size_t>(team.shared_bytes);
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(blocks), 1, 1};
  launch.attrs = &cluster;
  launch.numAttrs = team.arrays == Arrays::kCluster ? 1 : 0;
  return launch;
}

template <class Int>
cudaError_t allow_shared(Arrays arrays, int bytes) {
  return with_kernel<Int>(arrays, [&](auto* kernel) {
    if (arrays == Arrays::kCluster) {
      const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
      if (error != cudaSuccess) return error;
    }
    return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  });
}

template <class Int>
cudaError_t launch(const kernel::PlanningParameters<Int>& parameters, const PlanningTeam& team, cudaStream_t stream) {
  cudaLaunchAttribute cluster{};
  cudaLaunchConfig_t launch = launch_of(team, cluster);
  launch.stream = stream;
  return with_kernel<Int>(team.arrays, [&](auto* kernel) { return cudaLaunchKernelEx(&launch, kernel, parameters); });
}

}  // namespace

template <>
cudaError_t prepare_plan_on_device<std::int32_t>(Arrays arrays, int most_shared_bytes) {
  return allow_shared<std::int32_t>(arrays, most_shared_bytes);
}
template <>
cudaError_t prepare_plan_on_device<std::int64_t>(Arrays arrays, int most_shared_bytes) {
  return allow_shared<std::int64_t>(arrays, most_shared_bytes);
}

bool runs_planning_clusters(int shared_bytes) {
  constexpr int kFirstVersion = 90;  // whose code has a body
  auto* const function = plan_on_device_kernel<std::int64_t, Arrays::kCluster>;
  const PlanningTeam team{Arrays::kCluster, kernel::TeamMemory::kClusterWarps * gpu::kWarpThreads, shared_bytes};
  cudaLaunchAttribute cluster{};
  const cudaLaunchConfig_t launch = launch_of(team, cluster);
  cudaFuncAttributes attributes{};
  int clusters = 0;
  const bool runs = cudaFuncGetAttributes(&attributes, function) == cudaSuccess &&
                    attributes.ptxVersion >= kFirstVersion &&
                    allow_shared<std::int64_t>(Arrays::kCluster, shared_bytes) == cudaSuccess &&
                    cudaOccupancyMaxActiveClusters(&clusters, function, &launch) == cudaSuccess && clusters > 0;
  cudaGetLastError();  // or the next launch would report why not
  return runs;
}

template <>
cudaError_t launch_plan_on_device(const kernel::PlanningParameters<std::int32_t>& parameters, const PlanningTeam& team,
                                  cudaStream_t stream) {
  return launch(parameters, team, stream);
}
template <>
cudaError_t launch_plan_on_device(const kernel::PlanningParameters<std::int64_t>& parameters, const PlanningTeam& team,
                                  cudaStream_t stream) {
  return launch(parameters, team, stream);
}

}  // namespace varlen::cuda
