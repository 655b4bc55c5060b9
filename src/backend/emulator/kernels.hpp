// The compiled kernels by shape and element type. Each pair of head dims is a source of its own.
#pragma once

#include <cstdint>

#include "gpu/emulator/barrier_names.hpp"
#include "kernel/parameters.hpp"
#include "kernel/planning_parameters.hpp"
#include "kernel/shapes.hpp"

namespace varlen::emulator {

/// A kernel: `run` is what each thread of each block calls.
struct Kernel {
  void (*run)(const kernel::ForwardParameters&);
  int threads;
  std::int64_t shared_bytes;
  const char* name;
  const gpu::emulator::BarrierNames* barrier_names = nullptr;  // null: it has none in shared memory
};

template <int kDimQk, int kDimVo>
Kernel forward_kernel(kernel::Forward forward, Dtype input_dtype);

Kernel merge_kernel();

/// What each thread of the only block calls.
void plan_on_device(const kernel::PlanningParameters<std::int32_t>& parameters);
void plan_on_device(const kernel::PlanningParameters<std::int64_t>& parameters);

}  // namespace varlen::emulator
