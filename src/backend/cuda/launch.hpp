// Kernels as the host sees them: one launcher for each compiled instance (instances/*.cu).
#pragma once

#include <cuda_runtime_api.h>

#include "kernel/parameters.hpp"
#include "kernel/planning_parameters.hpp"

namespace varlen::cuda {

struct Kernel {
  /// Lets the kernel have its shared memory on the current device. Once, before the first launch there.
  cudaError_t (*prepare)();
  cudaError_t (*launch)(const kernel::ForwardParameters& parameters, int blocks, cudaStream_t stream);
  int shared_bytes;
  /// Blocks that one multiprocessor of the current device holds at once. After prepare().
  cudaError_t (*resident_blocks)(int* blocks);
};

/// For fp16 or bf16 and head dims of kernel::kHeadDims. Defined in instances/; forward_wgmma is compiled for sm_90a
/// only.
template <Dtype kInput, int kDimQk, int kDimVo>
Kernel forward_mma_instance();
template <Dtype kInput, int kDimQk, int kDimVo>
Kernel forward_wgmma_instance();

cudaError_t launch_merge_partials(const kernel::ForwardParameters& parameters, int blocks, cudaStream_t stream);

/// One block of so many threads. Lengths of 32 bits: the block works in shared memory; of 64: in global memory.
template <class Int>
cudaError_t launch_plan_on_device(const kernel::PlanningParameters<Int>& parameters, int threads, int shared_bytes,
                                  cudaStream_t stream);
/// Lets it have so much shared memory on the current device: as much as any launch there takes.
template <class Int>
cudaError_t prepare_plan_on_device(int most_shared_bytes);

}  // namespace varlen::cuda
