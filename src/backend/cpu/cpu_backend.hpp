// The CPU backend: executes a plan, made for any target, with threads that draw its items.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "varlen/attention.hpp"

namespace varlen::cpu {

/// Bytes that execute() needs for this plan: partial rows of split tiles and per-thread scratch. Exact.
std::int64_t workspace_bytes(const Plan& plan);

/// Runs every item, then every merge. Tensors have been validated against the plan's batch.
void execute(const Plan& plan, const Tensors& tensors, Workspace workspace, RunTrace* trace);

/// SIMD targets: the one chosen on this machine, and all compiled in.
std::string simd_target();
std::vector<std::string> simd_targets();

}  // namespace varlen::cpu
