// Cases for backends that do not compute everything: the nearest batch that they do.
#pragma once

#include "check/case.hpp"
#include "varlen/attention.hpp"

namespace varlen::check {

/// Does the backend round softmax weights to the input's 16 bits before it multiplies values by them?
bool rounds_weights(Backend backend);

/// The case itself where the backend computes it. GPU kernels get bf16 for fp32, fp16 for fp8 (without its scales), and
/// head dims of at most 256.
Case adapted(Case test, Backend backend);

}  // namespace varlen::check
