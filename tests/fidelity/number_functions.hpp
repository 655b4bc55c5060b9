// Arithmetic of gpu/operations.hpp as functions of the bits of one number, for the GPU and for the emulator.
#pragma once

#include <cstdint>

#include "fidelity/micro_memory.hpp"
#include "fidelity/runner.hpp"

namespace varlen::fidelity {

/// What packs get as their second number: all numbers, too, but in another order.
VARLEN_DEVICE std::uint32_t other_number(std::uint32_t bits) { return bits * 2654435761U; }

template <NumberFunction kFunction>
VARLEN_DEVICE std::uint32_t result_of(std::uint32_t bits) {
  if constexpr (kFunction == NumberFunction::kPackFp16) {
    return gpu::pack<gpu::Float16>(gpu::word_as_float(bits), gpu::word_as_float(other_number(bits)));
  } else if constexpr (kFunction == NumberFunction::kPackBf16) {
    return gpu::pack<gpu::BFloat16>(gpu::word_as_float(bits), gpu::word_as_float(other_number(bits)));
  } else if constexpr (kFunction == NumberFunction::kWidenE4M3Low || kFunction == NumberFunction::kWidenE4M3High) {
    std::uint32_t low;
    std::uint32_t high;
    gpu::widen_e4m3(bits, low, high);
    return kFunction == NumberFunction::kWidenE4M3Low ? low : high;
  } else if constexpr (kFunction == NumberFunction::kExp2) {
    return gpu::float_as_word(gpu::exp2_fast(gpu::word_as_float(bits)));
  } else if constexpr (kFunction == NumberFunction::kReciprocal) {
    return gpu::float_as_word(gpu::reciprocal_fast(gpu::word_as_float(bits)));
  } else {
    return gpu::float_as_word(gpu::natural_log(gpu::word_as_float(bits)));
  }
}

}  // namespace varlen::fidelity
