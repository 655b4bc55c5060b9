// What the tensors of a call are to the emulator: which bytes, and whose rows.
#pragma once

#include "gpu/emulator/global_memory.hpp"
#include "plan/plan_data.hpp"

namespace varlen::emulator {

/// `partials` may be null if the plan splits nothing.
gpu::emulator::GlobalMemory describe_memory(const PlanData& plan, const Tensors& tensors, const float* partials);

}  // namespace varlen::emulator
