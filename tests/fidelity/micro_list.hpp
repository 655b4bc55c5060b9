// The micro-kernels by name: the only list of them. micro_kernels.hpp has what they do.
#pragma once

#include <cstdint>

#define VARLEN_MICRO_KERNELS(each)                                                                                 \
  each(LoadMatrices) each(LoadMatricesTransposed) each(StoreMatrices) each(MultiplyAddFp16) each(MultiplyAddBf16)  \
      each(ProductsFp16x8) each(ProductsFp16x16) each(ProductsFp16x32) each(ProductsBf16x8) each(ProductsBf16x16)  \
          each(ProductsBf16x32) each(RegisterProductsFp16x8) each(RegisterProductsFp16x16)                         \
              each(RegisterProductsFp16x32) each(RegisterProductsBf16x8) each(RegisterProductsBf16x16)             \
                  each(RegisterProductsBf16x32) each(ProductGroups) each(LoadBoxes) each(StoreBoxes)               \
                      each(BarrierPhases) each(NamedBarriers) each(CopyAsync) each(CopyAsyncArrive) each(Shuffles) \
                          each(Votes) each(Words) each(Draws)

namespace varlen::fidelity {

#define VARLEN_ENUMERATOR(name) k##name,
enum class MicroKernel : std::uint8_t { VARLEN_MICRO_KERNELS(VARLEN_ENUMERATOR) };
#undef VARLEN_ENUMERATOR

inline const char* name_of(MicroKernel kernel) {
#define VARLEN_STRING(name) #name,
  constexpr const char* kNames[] = {VARLEN_MICRO_KERNELS(VARLEN_STRING)};
#undef VARLEN_STRING
  return kNames[static_cast<int>(kernel)];
}

}  // namespace varlen::fidelity
