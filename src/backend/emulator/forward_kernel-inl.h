// forward_kernel()'s definition, for the sources that instantiate it.
#pragma once

#include "backend/emulator/kernels.hpp"
#include "gpu/emulator/operations.hpp"
#include "kernel/forward_mma.hpp"
#include "kernel/forward_wgmma.hpp"

namespace varlen::emulator {

template <class Element, int kDimQk, int kDimVo>
Kernel forward_kernel_for(kernel::Forward forward) {
  if constexpr (kDimQk <= kernel::kHeadDims[kernel::kWgmmaShapes - 1].qk) {
    if (forward == kernel::Forward::kWgmma) {
      using Shape = kernel::ForwardWgmmaShape<Element, kDimQk, kDimVo>;
      return {kernel::forward_wgmma<Shape>, Shape::kThreads, Shape::kSharedBytes};
    }
  }
  using Shape = kernel::ForwardMmaShape<Element, kDimQk, kDimVo>;
  return {kernel::forward_mma<Shape>, Shape::kThreads, Shape::kSharedBytes};
}

template <int kDimQk, int kDimVo>
Kernel forward_kernel(kernel::Forward forward, Dtype input_dtype) {
  return input_dtype == Dtype::kBFloat16 ? forward_kernel_for<gpu::BFloat16, kDimQk, kDimVo>(forward)
                                         : forward_kernel_for<gpu::Float16, kDimQk, kDimVo>(forward);
}

}  // namespace varlen::emulator
