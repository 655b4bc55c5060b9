#include "backend/cuda/launch.hpp"
#include "gpu/ptx/operations.hpp"
#include "kernel/merge_partials.hpp"

namespace varlen::cuda {
namespace {

__global__ void __launch_bounds__(kernel::kMergeThreads)
    merge_partials_kernel(const __grid_constant__ kernel::ForwardParameters parameters) {
  kernel::merge_partials(parameters);
}

}  // namespace

cudaError_t launch_merge_partials(const kernel::ForwardParameters& parameters, int blocks, cudaStream_t stream) {
  merge_partials_kernel<<<blocks, kernel::kMergeThreads, 0, stream>>>(parameters);
  return cudaGetLastError();
}

}  // namespace varlen::cuda
