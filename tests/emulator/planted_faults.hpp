// The kernel that a program of planted faults runs: each has one, built in a source of its own.
#pragma once

#include "backend/emulator/kernels.hpp"
#include "varlen/attention.hpp"

namespace varlen::emulator::test {

/// For head dims of 64.
struct PlantedKernel {
  Dtype input_dtype;
  GpuKernel gpu_kernel;  // that it runs on
  kernel::Forward forward;
  Kernel kernel;
};
PlantedKernel planted_kernel();

}  // namespace varlen::emulator::test
