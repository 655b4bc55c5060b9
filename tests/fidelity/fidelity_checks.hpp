// The subcommands of gpu_check that hold the emulator against a GPU. Each prints what was compared, and last
// `N passed, M failed`.
#pragma once

#include <cstdint>

#include "checks.hpp"
#include "fidelity/comparison.hpp"

namespace varlen::fidelity {

/// Each operation of gpu/operations.hpp. A row of the table is a case.
gpu_check::Outcome check_operations(Runner& real, const Extent& extent);
/// forward_mma and forward_wgmma on `count` small ragged batches from `seed` on. With integers as inputs, row maxima,
/// row sums and unnormalised results are the same bit for bit; with normal numbers, results agree as the contract says.
gpu_check::Outcome check_kernels(gpu_check::Machine& real, const gpu_check::Options& options);

}  // namespace varlen::fidelity
