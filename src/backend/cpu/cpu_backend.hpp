// The CPU backend: executes a plan, made for any target, with threads that draw its items.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/offered_threads.hpp"
#include "varlen/attention.hpp"

namespace varlen::cpu {

/// Bytes that execute() needs for this plan: partial rows of split tiles and per-thread scratch. Exact, and the same on
/// every machine.
std::int64_t workspace_bytes(const Plan& plan);

/// Runs every item, then every merge, on as many threads as the plan has workers and `most_threads` allows. Tensors
/// have been validated against the plan's batch.
void execute(const Plan& plan, const Tensors& tensors, Workspace workspace, RunTrace* trace,
             std::int32_t most_threads = offered_threads());

/// SIMD targets: the one chosen on this machine, and all compiled in.
std::string simd_target();
std::vector<std::string> simd_targets();

}  // namespace varlen::cpu
