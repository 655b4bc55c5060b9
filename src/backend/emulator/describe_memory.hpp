// What the tensors of a call are to the emulator: which bytes, and whose rows.
#pragma once

#include "gpu/emulator/global_memory.hpp"
#include "kernel/parameters.hpp"
#include "plan/plan_data.hpp"

namespace varlen::emulator {

/// The parameters tell where the workspace is.
gpu::emulator::GlobalMemory describe_memory(const PlanData& plan, const Tensors& tensors,
                                            const kernel::ForwardParameters& parameters);

}  // namespace varlen::emulator
