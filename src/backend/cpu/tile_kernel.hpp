// The SIMD part of the CPU backend: one body, compiled for every target, the best one for this machine chosen at run
// time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "backend/cpu/call.hpp"
#include "varlen/plan.hpp"

namespace varlen::cpu {

/// Computes one item: writes out and LSE of a whole tile, or the partial rows of a part of a split one.
/// `scratch` holds lay_out_scratch(…).bytes for this batch and `tallest_tile`, 64-byte aligned.
void run_item(const Call& call, const WorkItem& item, std::byte* scratch, std::int64_t tallest_tile);

/// Merges the parts of rows row_begin … row_end of a split tile in order; writes their out and LSE.
/// `scratch` as for run_item().
void run_merge(const Call& call, const Merge& merge, std::byte* scratch);

std::string chosen_target();
std::vector<std::string> compiled_targets();

}  // namespace varlen::cpu
