// forward_kernel()'s definition, for the sources that instantiate it.
#pragma once

#include "backend/emulator/barrier_names.hpp"
#include "backend/emulator/kernels.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/tensor_operations.hpp"
#include "kernel/forward_mma.hpp"
#include "kernel/forward_tcgen05.hpp"
#include "kernel/forward_wgmma.hpp"

namespace varlen::emulator {

template <class Element>
constexpr bool is_compiled(kernel::Forward forward, int dim_qk) {
  return dim_qk <= kernel::largest_head_dims(forward, gpu::kElementBytes<Element>).qk;
}

template <class Element, int kDimQk, int kDimVo>
Kernel forward_kernel_for(kernel::Forward forward) {
  if constexpr (is_compiled<Element>(kernel::Forward::kWgmma, kDimQk)) {
    if (forward == kernel::Forward::kWgmma) {
      using Shape = kernel::ForwardWgmmaShape<Element, kDimQk, kDimVo>;
      return {kernel::forward_wgmma<Shape>, Shape::kThreads, Shape::kSharedBytes, "forward_wgmma",
              &wgmma_barrier_names<Shape>()};
    }
  }
  if constexpr (is_compiled<Element>(kernel::Forward::kTcgen05, kDimQk)) {
    if (forward == kernel::Forward::kTcgen05) {
      using Shape = kernel::ForwardTcgen05Shape<Element, kDimQk, kDimVo>;
      return {kernel::forward_tcgen05<Shape>, Shape::kThreads, Shape::kSharedBytes, "forward_tcgen05",
              &tcgen05_barrier_names<Shape>()};
    }
  }
  using Shape = kernel::ForwardMmaShape<Element, kDimQk, kDimVo>;
  return {kernel::forward_mma<Shape>, Shape::kThreads, Shape::kSharedBytes, "forward_mma"};
}

template <int kDimQk, int kDimVo>
Kernel forward_kernel(kernel::Forward forward, Dtype input_dtype) {
  switch (input_dtype) {
    case Dtype::kFloat8E4M3:
      return forward_kernel_for<gpu::Float8E4M3, kDimQk, kDimVo>(forward);
    case Dtype::kBFloat16:
      return forward_kernel_for<gpu::BFloat16, kDimQk, kDimVo>(forward);
    default:
      return forward_kernel_for<gpu::Float16, kDimQk, kDimVo>(forward);
  }
}

}  // namespace varlen::emulator
