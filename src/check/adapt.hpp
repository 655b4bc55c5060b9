// Cases for backends that do not compute everything: the nearest batch that they do.
#pragma once

#include <cstdint>
#include <vector>

#include "check/case.hpp"
#include "check/cases.hpp"
#include "varlen/attention.hpp"

namespace varlen::check {

/// Does the backend round softmax weights to 16 bits (weights_dtype()) before it multiplies values by them?
bool rounds_weights(Backend backend);

/// The case itself where the backend computes it. GPU kernels get bf16 for fp32, fp16 for e5m2 (without its scales),
/// and head dims of values of at most 512; devices also gaps that fit their memory.
Case adapted(Case test, Backend backend);

/// The emulator takes about a millisecond for an item: cases of very many items get fewer heads and one target.
void adapt_to(Backend backend, std::vector<EdgeCase>& edges);

/// The batch that a seed stands for. GPU kernels mostly get batches that are made for them (gpu_random_case.cpp).
Case random_case_for(Backend backend, std::uint64_t seed);

}  // namespace varlen::check
