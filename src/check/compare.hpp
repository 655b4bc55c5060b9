// The numerics contract, row by row.
#pragma once

#include <cstdint>

#include "batch/ragged_batch.hpp"
#include "reference/reference.hpp"
#include "varlen/check.hpp"

namespace varlen::check {

/// t of the contract: a row's error may be t · ‖Σ pⱼ |vⱼ|‖.
///
/// The output's rounding alone decides, whatever the inputs. Inputs of 16 and 8 bits are exact in fp32, where scores,
/// weights and sums are kept, so narrow inputs add no error of their own: fp8 and 16-bit inputs with fp32 output are
/// held to the bound of fp32.
double out_tolerance(Dtype output);

/// The same for a backend that rounds the weights p to the input's 16 bits, for a row that sees so many keys.
///
/// Mostly that is the bound of 16-bit outputs, and a wider output cannot undo the rounding of p. But the bounds hold
/// little more than one rounding at its worst (bf16: 2^-8 = 3.9e-3 of 4e-3). Roundings of many weights cancel each
/// other; those of a few need not, so then it is one of the weights and one of the output, each at its worst
/// (docs/decisions/0008-rows-of-few-keys.md).
double out_tolerance(Dtype output, Dtype weights, std::int64_t visible_keys);

/// Compares `tensors.out` and `tensors.lse` with `expected`. `rounded_weights`: the backend rounds p to the
/// input's dtype.
Comparison compare(const RaggedBatch& batch, const Tensors& tensors, const reference::Result& expected,
                   bool rounded_weights = false);

}  // namespace varlen::check
