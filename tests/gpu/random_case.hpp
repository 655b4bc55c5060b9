// Random ragged batches for GPUs: larger than those of `varlen check`, which a CPU has to judge.
#pragma once

#include <cstdint>

#include "check/case.hpp"

namespace varlen::gpu_check {

/// What one batch may cost at most: multiplications of the oracle, and elements of all tensors.
struct Effort {
  std::int64_t products = 300'000'000;
  std::int64_t elements = 8'000'000;
};

/// The batch that a seed stands for.
check::Case random_case(std::uint64_t seed, const Effort& effort = {});

/// Multiplications of a naive computation: two for each query element and one for each value element of every
/// (query row, key) pair, seen or not.
std::int64_t products(const check::Case& test);
std::int64_t elements(const check::Case& test);

}  // namespace varlen::gpu_check
