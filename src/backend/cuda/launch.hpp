// Kernels as the host sees them: one launcher for each compiled instance (instances/*.cu).
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernel/parameters.hpp"
#include "kernel/planning_parameters.hpp"

namespace varlen::kernel {
enum class Arrays : std::uint8_t;  // team_memory.hpp
}

namespace varlen::cuda {

struct Kernel {
  const char* name;
  /// Lets the kernel have its shared memory on the current device. Once, before the first launch there.
  cudaError_t (*prepare)();
  cudaError_t (*launch)(const kernel::ForwardParameters& parameters, int blocks, cudaStream_t stream);
  int shared_bytes;
  /// Blocks that one multiprocessor of the current device holds at once. After prepare().
  cudaError_t (*resident_blocks)(int* blocks);
};

/// For fp16, bf16 or e4m3 and the head dims that kernel::compiled_shapes() counts. Defined in instances/; forward_wgmma
/// is compiled for sm_90a only, forward_tcgen05 for sm_100a and sm_103a.
template <Dtype kInput, int kDimQk, int kDimVo>
Kernel forward_mma_instance();
template <Dtype kInput, int kDimQk, int kDimVo>
Kernel forward_wgmma_instance();
template <Dtype kInput, int kDimQk, int kDimVo>
Kernel forward_tcgen05_instance();

cudaError_t launch_merge_partials(const kernel::ForwardParameters& parameters, int blocks, cudaStream_t stream);

/// A planner's team: one block, or a cluster, of so many threads each.
struct PlanningTeam {
  kernel::Arrays arrays;
  int threads;
  int shared_bytes;
};
/// Lengths of 64 bits are not planned in the shared memory of one block.
template <class Int>
cudaError_t launch_plan_on_device(const kernel::PlanningParameters<Int>& parameters, const PlanningTeam& team,
                                  cudaStream_t stream);
/// Lets it have so much shared memory on the current device: as much as any launch there takes.
template <class Int>
cudaError_t prepare_plan_on_device(kernel::Arrays arrays, int most_shared_bytes);
/// Whether the current device can run a cluster whose blocks have so much shared memory.
bool runs_planning_clusters(int shared_bytes);

}  // namespace varlen::cuda
