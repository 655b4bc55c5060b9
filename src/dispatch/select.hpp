// The only place that chooses a backend. What a backend runs is its own choice; the CPU's is here.
#pragma once

#include "varlen/attention.hpp"

namespace varlen::dispatch {

/// The backend that computes, never kAuto: the one asked for, or where the tensors are. Throws Error if it cannot read
/// the tensors' memory.
Backend select(Backend requested, const Tensors& tensors);

/// Throws Error if something is asked of the emulator and this is not it.
void check_emulator_options(const EmulatorOptions& options, Backend backend);

/// What computes on the CPU, and why.
KernelChoice cpu_choice();

}  // namespace varlen::dispatch
