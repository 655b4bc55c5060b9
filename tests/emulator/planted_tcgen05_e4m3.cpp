#include "emulator/planted_faults.hpp"
#include "gpu/emulator/tensor_operations.hpp"
#include "kernel/forward_tcgen05.hpp"

namespace varlen::emulator::test {

PlantedKernel planted_kernel() {
  using Shape = kernel::ForwardTcgen05Shape<gpu::Float8E4M3, 64, 64>;
  return {Dtype::kFloat8E4M3,
          GpuKernel::kTcgen05,
          kernel::Forward::kTcgen05,
          {kernel::forward_tcgen05<Shape>, Shape::kThreads, Shape::kSharedBytes, "forward_tcgen05"}};
}

}  // namespace varlen::emulator::test
