// Which SIMD targets are compiled. Include before any other header of Highway.
#pragma once

#include <hwy/detect_targets.h>

// SSSE3 and SSE4 machines without AVX2 get the baseline; AVX3_DL adds nothing that this code uses. AVX3_SPR (newer
// Highways) has bf16 dot products, but on Sapphire Rapids they ran bf16 attention at 55 % of the fp32 peak where AVX3
// reached 79 %: those machines run AVX3, and AVX3_ZEN4 alone multiplies bf16 as it is. The scalable vectors of Arm's
// SVE do not fit arrays of registers; those machines run NEON.
#define VARLEN_CPU_UNUSED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#undef HWY_DISABLED_TARGETS
#ifdef HWY_AVX3_SPR
#define HWY_DISABLED_TARGETS (VARLEN_CPU_UNUSED_TARGETS | HWY_AVX3_SPR)
#else
#define HWY_DISABLED_TARGETS VARLEN_CPU_UNUSED_TARGETS
#endif
