// gpu/block_operations.hpp in PTX.
#pragma once

#include <cstdint>

#include "gpu/block_operations.hpp"
#include "gpu/ptx/operations.hpp"

namespace varlen::gpu {

VARLEN_DEVICE int thread_count() { return static_cast<int>(blockDim.x); }

// ld.shared.b32 d, [a];
template <>
VARLEN_DEVICE std::uint32_t load_word<std::uint32_t>(SharedAddress from) {
  std::uint32_t value;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(value) : "r"(from.value) : "memory");
  return value;
}
// ld.shared.b64 d, [a];
template <>
VARLEN_DEVICE std::uint64_t load_word<std::uint64_t>(SharedAddress from) {
  std::uint64_t value;
  asm volatile("ld.shared.b64 %0, [%1];" : "=l"(value) : "r"(from.value) : "memory");
  return value;
}
// ld.shared.v4.b32 {b, c, d, e}, [a];
template <>
VARLEN_DEVICE Words4 load_word<Words4>(SharedAddress from) {
  Words4 value;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
               : "r"(from.value)
               : "memory");
  return value;
}

// st.shared.b32 [a], b;
template <>
VARLEN_DEVICE void store_word<std::uint32_t>(SharedAddress to, const std::uint32_t& value) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(to.value), "r"(value) : "memory");
}
// st.shared.b64 [a], b;
template <>
VARLEN_DEVICE void store_word<std::uint64_t>(SharedAddress to, const std::uint64_t& value) {
  asm volatile("st.shared.b64 [%0], %1;" ::"r"(to.value), "l"(value) : "memory");
}
// st.shared.v4.b32 [a], {b, c, d, e};
template <>
VARLEN_DEVICE void store_word<Words4>(SharedAddress to, const Words4& value) {
  store_shared(to, value);
}

// shfl.sync.idx.b32 d, a, b, c, membermask;
VARLEN_DEVICE std::uint32_t shuffle(std::uint32_t value, int lane) { return __shfl_sync(0xFFFFFFFFU, value, lane); }

// shfl.sync.up.b32 d, a, b, c, membermask;
VARLEN_DEVICE std::uint32_t shuffle_up(std::uint32_t value, int lanes) {
  return __shfl_up_sync(0xFFFFFFFFU, value, static_cast<unsigned>(lanes));
}

// match.any.sync.b32 d, a, membermask;
VARLEN_DEVICE std::uint32_t match_any(std::uint32_t value) { return __match_any_sync(0xFFFFFFFFU, value); }

// popc.b32 d, a;
VARLEN_DEVICE int count_ones(std::uint32_t bits) { return __popc(bits); }

}  // namespace varlen::gpu
