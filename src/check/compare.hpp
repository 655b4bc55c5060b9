// The numerics contract, row by row.
#pragma once

#include "batch/ragged_batch.hpp"
#include "reference/reference.hpp"
#include "varlen/check.hpp"

namespace varlen::check {

/// t of the contract: a row's error may be t · ‖Σ pⱼ |vⱼ|‖.
///
/// The output's rounding alone decides, whatever the inputs. Inputs of 16 and 8 bits are exact in fp32, where scores,
/// weights and sums are kept, so narrow inputs add no error of their own: fp8 and 16-bit inputs with fp32 output are
/// held to the bound of fp32. A backend that also rounds the weights p to the input's 16 bits stays inside the bounds
/// of 16-bit outputs, which are twice one rounding (bf16: 2 · 2^-9 = 3.9e-3); a wider output cannot undo that rounding.
double out_tolerance(Dtype output);

/// Compares `tensors.out` and `tensors.lse` with `expected`. `rounded_weights`: the backend rounds p as above.
Comparison compare(const RaggedBatch& batch, const Tensors& tensors, const reference::Result& expected,
                   bool rounded_weights = false);

}  // namespace varlen::check
