// How many keys one accumulator takes.
#pragma once

#include <cstdint>

namespace varlen {

/// Tensor cores drop what a product has below 2^-24 of the accumulator that it is added to. After so many keys of an
/// item kernels that flush begin with new accumulators (src/kernel/flushed_sums.hpp); none does yet (kFlushes).
inline constexpr std::int32_t kAccumulatedKeys = 16384;

}  // namespace varlen
