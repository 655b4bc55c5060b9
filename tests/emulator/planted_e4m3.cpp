#include "emulator/planted_faults.hpp"
#include "gpu/emulator/operations.hpp"
#include "kernel/forward_mma.hpp"

namespace varlen::emulator::test {

PlantedKernel planted_kernel() {
  using Shape = kernel::ForwardMmaShape<gpu::Float8E4M3, 64, 64>;
  return {Dtype::kFloat8E4M3,
          GpuKernel::kMma,
          kernel::Forward::kMma,
          {kernel::forward_mma<Shape>, Shape::kThreads, Shape::kSharedBytes, "forward_mma"}};
}

}  // namespace varlen::emulator::test
