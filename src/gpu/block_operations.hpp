// More that a kernel may call: what threads of a block need to work on integers together. The rest is in
// gpu/operations.hpp, whose rules hold here as well.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"

namespace varlen::gpu {

VARLEN_DEVICE int thread_count();  ///< of the block

// ---- Words in shared memory. T is of 4, 8 or 16 bytes, which the address is a multiple of. No other operation touches
// memory that these do.
template <class T>
VARLEN_DEVICE T load_word(SharedAddress from);
template <class T>
VARLEN_DEVICE void store_word(SharedAddress to, const T& value);

// ---- Between the lanes of a warp, by the whole warp.
VARLEN_DEVICE std::uint32_t shuffle(std::uint32_t value, int lane);  ///< the value of that lane
VARLEN_DEVICE std::uint32_t shuffle_up(std::uint32_t value,
                                       int lanes);           ///< of so many lanes below; lower ones: the own
VARLEN_DEVICE std::uint32_t match_any(std::uint32_t value);  ///< a bit for each lane that has the same value

// ---- Arithmetic.
VARLEN_DEVICE int count_ones(std::uint32_t bits);

}  // namespace varlen::gpu
