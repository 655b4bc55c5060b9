// forward_kernel()'s definition, for the sources that instantiate it.
#pragma once

#include "backend/emulator/kernels.hpp"
#include "gpu/emulator/operations.hpp"
#include "kernel/forward_mma.hpp"

namespace varlen::emulator {

template <int kDimQk, int kDimVo>
Kernel forward_kernel(Dtype input_dtype) {
  using HalfShape = kernel::ForwardMmaShape<gpu::Float16, kDimQk, kDimVo>;
  using BFloatShape = kernel::ForwardMmaShape<gpu::BFloat16, kDimQk, kDimVo>;
  if (input_dtype == Dtype::kBFloat16) {
    return {kernel::forward_mma<BFloatShape>, BFloatShape::kThreads, BFloatShape::kSharedBytes};
  }
  return {kernel::forward_mma<HalfShape>, HalfShape::kThreads, HalfShape::kSharedBytes};
}

}  // namespace varlen::emulator
