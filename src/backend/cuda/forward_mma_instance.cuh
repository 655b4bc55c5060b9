// One compiled instance of forward_mma and its launcher.
#pragma once

#include <type_traits>

#include "backend/cuda/launch.hpp"
#include "gpu/ptx/operations.hpp"
#include "kernel/forward_mma.hpp"

namespace varlen::cuda {

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads)
    forward_mma_kernel(const __grid_constant__ kernel::ForwardParameters parameters) {
  kernel::forward_mma<Shape>(parameters);
}

template <Dtype kInput, int kDimQk, int kDimVo>
Kernel forward_mma_instance() {
  using Element = std::conditional_t<kInput == Dtype::kFloat16, gpu::Float16, gpu::BFloat16>;
  using Shape = kernel::ForwardMmaShape<Element, kDimQk, kDimVo>;
  return {[] {
            return cudaFuncSetAttribute(forward_mma_kernel<Shape>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                        Shape::kSharedBytes);
          },
          [](const kernel::ForwardParameters& parameters, int blocks, cudaStream_t stream) {
            forward_mma_kernel<Shape><<<blocks, Shape::kThreads, Shape::kSharedBytes, stream>>>(parameters);
            return cudaGetLastError();
          },
          [](int* blocks) {
            return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, forward_mma_kernel<Shape>, Shape::kThreads,
                                                                 Shape::kSharedBytes);
          }};
}

}  // namespace varlen::cuda
