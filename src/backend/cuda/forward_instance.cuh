// Compiled instances of the forward kernels and their launchers.
#pragma once

#include <type_traits>

#include "backend/cuda/launch.hpp"
#include "gpu/ptx/operations.hpp"
#include "gpu/ptx/tensor_operations.hpp"
#include "kernel/forward_mma.hpp"
#include "kernel/forward_tcgen05.hpp"
#include "kernel/forward_wgmma.hpp"

namespace varlen::cuda {

template <Dtype kInput>
using ElementOf = std::conditional_t<kInput == Dtype::kFloat8E4M3, gpu::Float8E4M3,
                                     std::conditional_t<kInput == Dtype::kFloat16, gpu::Float16, gpu::BFloat16>>;

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads)
    forward_mma_kernel(const __grid_constant__ kernel::ForwardParameters parameters) {
  kernel::forward_mma<Shape>(parameters);
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    forward_wgmma_kernel(const __grid_constant__ kernel::ForwardParameters parameters) {
  kernel::forward_wgmma<Shape>(parameters);
}

template <class Shape>
__global__ void __launch_bounds__(Shape::kThreads, 1)
    forward_tcgen05_kernel(const __grid_constant__ kernel::ForwardParameters parameters) {
  kernel::forward_tcgen05<Shape>(parameters);
}

using ForwardKernel = void (*)(const kernel::ForwardParameters);

template <class Shape, ForwardKernel kKernel>
Kernel launcher(const char* name) {
  return {
      name,
      [] { return cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Shape::kSharedBytes); },
      [](const kernel::ForwardParameters& parameters, int blocks, cudaStream_t stream) {
        kKernel<<<blocks, Shape::kThreads, Shape::kSharedBytes, stream>>>(parameters);
        return cudaGetLastError();
      },
      Shape::kSharedBytes,
      [](int* blocks) {
        return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, kKernel, Shape::kThreads, Shape::kSharedBytes);
      }};
}

template <Dtype kInput, int kDimQk, int kDimVo>
Kernel forward_mma_instance() {
  using Shape = kernel::ForwardMmaShape<ElementOf<kInput>, kDimQk, kDimVo>;
  return launcher<Shape, forward_mma_kernel<Shape>>("forward_mma");
}

template <Dtype kInput, int kDimQk, int kDimVo>
Kernel forward_wgmma_instance() {
  using Shape = kernel::ForwardWgmmaShape<ElementOf<kInput>, kDimQk, kDimVo>;
  return launcher<Shape, forward_wgmma_kernel<Shape>>("forward_wgmma");
}

template <Dtype kInput, int kDimQk, int kDimVo>
Kernel forward_tcgen05_instance() {
  using Shape = kernel::ForwardTcgen05Shape<ElementOf<kInput>, kDimQk, kDimVo>;
  return launcher<Shape, forward_tcgen05_kernel<Shape>>("forward_tcgen05");
}

}  // namespace varlen::cuda
