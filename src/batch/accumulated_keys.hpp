// How many keys one accumulator takes.
#pragma once

#include <cstdint>

namespace varlen {

/// Tensor cores drop what a product has below 2^-24 of the accumulator that it is added to. After so many keys of an
/// item kernels begin with new accumulators (src/kernel/flushed_sums.hpp), so that no row loses more than the numerics
/// contract allows (src/check/tolerance.hpp).
inline constexpr std::int32_t kAccumulatedKeys = 16384;

}  // namespace varlen
