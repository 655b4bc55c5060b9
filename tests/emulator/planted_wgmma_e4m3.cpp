#include "emulator/planted_faults.hpp"
#include "gpu/emulator/operations.hpp"
#include "kernel/forward_wgmma.hpp"

namespace varlen::emulator::test {

PlantedKernel planted_kernel() {
  using Shape = kernel::ForwardWgmmaShape<gpu::Float8E4M3, 64, 64>;
  return {Dtype::kFloat8E4M3,
          GpuKernel::kWgmma,
          kernel::Forward::kWgmma,
          {kernel::forward_wgmma<Shape>, Shape::kThreads, Shape::kSharedBytes, "forward_wgmma"}};
}

}  // namespace varlen::emulator::test
