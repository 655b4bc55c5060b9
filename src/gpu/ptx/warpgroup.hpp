// The products of a warpgroup in PTX, for as many columns as kernels ask for. Part of gpu/ptx/operations.hpp.
// PTX ISA: Asynchronous Warpgroup Level Matrix Multiply-Accumulate Instructions: register fragments and shared memory
// layout of wgmma.mma_async.m64nNk16, Matrix descriptor format, 128-byte swizzling, Strides, Async proxy.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "gpu/ptx/registers.hpp"

namespace varlen::gpu {

// wgmma.fence.sync.aligned;
VARLEN_DEVICE void warpgroup_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// wgmma.commit_group.sync.aligned;
VARLEN_DEVICE void warpgroup_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// wgmma.wait_group.sync.aligned N;
template <int kPending>
VARLEN_DEVICE void warpgroup_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

template <int kTiles>
VARLEN_DEVICE void keep_in_place(Sums<kTiles>& sum) {
  VARLEN_UNROLL
  for (int tile = 0; tile < kTiles; ++tile) {
    VARLEN_UNROLL
    for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(sum[tile][i])::"memory");
  }
}

// bar.warp.sync membermask;
// The mask is all ones, but ptxas must believe that it takes `value` to know: it moves wgmma.wait_group above
// arithmetic that the wait does not depend on, and asm volatile does not keep it from that.
VARLEN_DEVICE void compute_first(float value, std::int32_t positive) {
  const std::uint32_t all = ~static_cast<std::uint32_t>(positive >> 31) | __float_as_uint(value);
  asm volatile("bar.warp.sync %0;" ::"r"(all) : "memory");
}

// fence.proxy.async.shared::cta;
VARLEN_DEVICE void fence_shared_for_products() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// setmaxnreg.inc.sync.aligned.u32 imm-reg-count;
template <int kRegisters>
VARLEN_DEVICE void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// setmaxnreg.dec.sync.aligned.u32 imm-reg-count;
template <int kRegisters>
VARLEN_DEVICE void give_back_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// The operands of one instruction are written out one by one: there is no other way to say "all of an array".
#define VARLEN_TILE(t) "+f"(sum[t][0]), "+f"(sum[t][1]), "+f"(sum[t][2]), "+f"(sum[t][3])
#define VARLEN_TILES_4(t) VARLEN_TILE(t), VARLEN_TILE(t + 1), VARLEN_TILE(t + 2), VARLEN_TILE(t + 3)
#define VARLEN_TILES_8(t) VARLEN_TILES_4(t), VARLEN_TILES_4(t + 4)
#define VARLEN_TILES_16(t) VARLEN_TILES_8(t), VARLEN_TILES_8(t + 8)
#define VARLEN_TILES_32(t) VARLEN_TILES_16(t), VARLEN_TILES_16(t + 16)
#define VARLEN_REGISTERS_8                                                                               \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, " \
  "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define VARLEN_REGISTERS_16                                                                              \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, " \
  "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, " \
  "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, " \
  "%62, %63"
#define VARLEN_REGISTERS_32                                                                                \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "   \
  "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, "   \
  "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, "   \
  "%62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, "   \
  "%82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, " \
  "%102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118, " \
  "%119, %120, %121, %122, %123, %124, %125, %126, %127"

// wgmma.mma_async.sync.aligned.m64nNk16.f32.type.type d, a-desc, b-desc, scale-d, imm-scale-a, imm-scale-b,
// imm-trans-a, imm-trans-b; wgmma.mma_async.sync.aligned.m64nNk16.f32.type.type d, a, b-desc, scale-d, imm-scale-a,
// imm-scale-b, imm-trans-b;
#define VARLEN_PRODUCTS(element, type, tiles, columns, p0, p1, p2, p3, p4)                                             \
  template <>                                                                                                          \
  VARLEN_DEVICE void warpgroup_multiply<element, tiles>(Sums<tiles> & sum, MatrixDescriptor a, MatrixDescriptor b,     \
                                                        bool add) {                                                    \
    asm volatile("{ .reg .pred add; setp.ne.b32 add, " p2 ", 0; wgmma.mma_async.sync.aligned.m64n" columns             \
                 "k16.f32." type "." type " {" VARLEN_REGISTERS_##tiles "}, " p0 ", " p1 ", add, 1, 1, 0, 0; }"        \
                 : VARLEN_TILES_##tiles(0)                                                                             \
                 : "l"(a.bits), "l"(b.bits), "r"(static_cast<int>(add)));                                              \
  }                                                                                                                    \
  template <>                                                                                                          \
  VARLEN_DEVICE void warpgroup_multiply_add<element, tiles>(Sums<tiles> & sum, const Fragment& a,                      \
                                                            MatrixDescriptor b) {                                      \
    asm volatile("{ .reg .pred add; setp.eq.b32 add, 0, 0; wgmma.mma_async.sync.aligned.m64n" columns "k16.f32." type  \
                 "." type " {" VARLEN_REGISTERS_##tiles "}, {" p0 ", " p1 ", " p2 ", " p3 "}, " p4 ", add, 1, 1, 1; }" \
                 : VARLEN_TILES_##tiles(0)                                                                             \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.bits));                                           \
  }
VARLEN_PRODUCTS(Float16, "f16", 8, "64", "%32", "%33", "%34", "%35", "%36")
VARLEN_PRODUCTS(Float16, "f16", 16, "128", "%64", "%65", "%66", "%67", "%68")
VARLEN_PRODUCTS(Float16, "f16", 32, "256", "%128", "%129", "%130", "%131", "%132")
VARLEN_PRODUCTS(BFloat16, "bf16", 8, "64", "%32", "%33", "%34", "%35", "%36")
VARLEN_PRODUCTS(BFloat16, "bf16", 16, "128", "%64", "%65", "%66", "%67", "%68")
VARLEN_PRODUCTS(BFloat16, "bf16", 32, "256", "%128", "%129", "%130", "%131", "%132")

#undef VARLEN_PRODUCTS
#undef VARLEN_REGISTERS_8
#undef VARLEN_REGISTERS_16
#undef VARLEN_REGISTERS_32
#undef VARLEN_TILES_32
#undef VARLEN_TILES_16
#undef VARLEN_TILES_8
#undef VARLEN_TILES_4
#undef VARLEN_TILE

}  // namespace varlen::gpu
