// The micro-kernels as compiled for the GPU.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "fidelity/runner.hpp"

namespace varlen::fidelity {

cudaError_t launch(const Experiment& experiment, const MicroParameters& parameters);
/// As Runner::evaluate() says, to memory of the device.
cudaError_t launch(NumberFunction function, std::uint32_t first, std::uint32_t step, std::uint32_t count,
                   std::uint32_t* results);

}  // namespace varlen::fidelity
