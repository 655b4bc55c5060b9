// gpu/tensor_operations.hpp in PTX, for sm_100a and sm_103a.
// PTX ISA: Tensor Memory; tcgen05, shapes of data movement (32x32b), memory consistency model, instruction descriptor,
// shared memory descriptor.
#pragma once

#include <cstdint>

#include "gpu/ptx/operations.hpp"
#include "gpu/tensor_operations.hpp"

namespace varlen::gpu {

template <int kColumns>
class TensorWords {
 public:
  VARLEN_DEVICE std::uint32_t& operator[](int column) { return word_[column]; }
  VARLEN_DEVICE const std::uint32_t& operator[](int column) const { return word_[column]; }

 private:
  std::uint32_t word_[kColumns];
};

// tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [dst], nCols;
VARLEN_DEVICE void allocate_tensor_memory(SharedAddress to, int columns) {
  asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], %1;" ::"r"(to.value), "r"(columns)
               : "memory");
}

// ld.shared.b32 d, [a];
VARLEN_DEVICE TensorAddress load_tensor_address(SharedAddress from) {
  TensorAddress address;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(address.bits) : "r"(from.value) : "memory");
  return address;
}

// tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;
VARLEN_DEVICE void give_up_tensor_allocation() {
  asm volatile("tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;" ::: "memory");
}

// tcgen05.dealloc.cta_group::1.sync.aligned.b32 taddr, nCols;
VARLEN_DEVICE void free_tensor_memory(TensorAddress address, int columns) {
  asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, %1;" ::"r"(address.bits), "r"(columns) : "memory");
}

// The operands of one instruction are written out one by one: there is no other way to say "all of an array".
#define VARLEN_WORDS_4(io, w) io(words[w]), io(words[w + 1]), io(words[w + 2]), io(words[w + 3])
#define VARLEN_WORDS_16(io, w) \
  VARLEN_WORDS_4(io, w), VARLEN_WORDS_4(io, w + 4), VARLEN_WORDS_4(io, w + 8), VARLEN_WORDS_4(io, w + 12)
#define VARLEN_WORDS_32(io, w) VARLEN_WORDS_16(io, w), VARLEN_WORDS_16(io, w + 16)
#define VARLEN_WORDS_64(io, w) VARLEN_WORDS_32(io, w), VARLEN_WORDS_32(io, w + 32)
#define VARLEN_WORDS_128(io, w) VARLEN_WORDS_64(io, w), VARLEN_WORDS_64(io, w + 64)
#define VARLEN_REGISTERS_16 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define VARLEN_REGISTERS_32                                                                              \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, " \
  "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define VARLEN_REGISTERS_64                                                                              \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, " \
  "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, " \
  "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, " \
  "%62, %63"
#define VARLEN_REGISTERS_128                                                                             \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, " \
  "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, " \
  "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, " \
  "%62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, " \
  "%82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, "     \
  "%101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, "     \
  "%117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// tcgen05.ld.sync.aligned.32x32b.num.b32 r, [taddr]; tcgen05.st.sync.aligned.32x32b.num.b32 [taddr], r;
#define VARLEN_TENSOR_WORDS(columns, address)                                                                        \
  template <>                                                                                                        \
  VARLEN_DEVICE void load_tensor<columns>(TensorWords<columns> & words, TensorAddress from) {                        \
    asm volatile("tcgen05.ld.sync.aligned.32x32b.x" #columns ".b32 {" VARLEN_REGISTERS_##columns "}, [" address "];" \
                 : VARLEN_WORDS_##columns("=r", 0)                                                                   \
                 : "r"(from.bits)                                                                                    \
                 : "memory");                                                                                        \
  }                                                                                                                  \
  template <>                                                                                                        \
  VARLEN_DEVICE void store_tensor<columns>(TensorAddress to, const TensorWords<columns>& words) {                    \
    asm volatile("tcgen05.st.sync.aligned.32x32b.x" #columns ".b32 [" address "], {" VARLEN_REGISTERS_##columns      \
                 "};" ::VARLEN_WORDS_##columns("r", 0),                                                              \
                 "r"(to.bits)                                                                                        \
                 : "memory");                                                                                        \
  }
VARLEN_TENSOR_WORDS(16, "%16")
VARLEN_TENSOR_WORDS(32, "%32")
VARLEN_TENSOR_WORDS(64, "%64")
VARLEN_TENSOR_WORDS(128, "%128")

#undef VARLEN_TENSOR_WORDS
#undef VARLEN_REGISTERS_16
#undef VARLEN_REGISTERS_32
#undef VARLEN_REGISTERS_64
#undef VARLEN_REGISTERS_128
#undef VARLEN_WORDS_128
#undef VARLEN_WORDS_64
#undef VARLEN_WORDS_32
#undef VARLEN_WORDS_16
#undef VARLEN_WORDS_4

// tcgen05.wait::ld.sync.aligned;
// The ties come after the wait, not with it: the compiler may copy an operand that is read and written to another
// register before the instruction, which here would be a use too early. What uses `words` afterwards takes what the
// ties give, and those stay behind the wait because all are volatile. A load must not be waited for in the next
// iteration of a loop: there the compiler copies `words` at the end of the one before.
template <int... kColumns>
VARLEN_DEVICE void wait_tensor_loads(TensorWords<kColumns>&... words) {
  asm volatile("tcgen05.wait::ld.sync.aligned;" ::: "memory");
  const auto tie = [](auto& loaded, int columns) {
    VARLEN_UNROLL
    for (int column = 0; column < columns; ++column) asm volatile("" : "+r"(loaded[column])::"memory");
  };
  (tie(words, kColumns), ...);
}

// tcgen05.wait::st.sync.aligned;
VARLEN_DEVICE void wait_tensor_stores() { asm volatile("tcgen05.wait::st.sync.aligned;" ::: "memory"); }

// tcgen05.fence::before_thread_sync;
VARLEN_DEVICE void fence_tensor_before_sync() { asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory"); }

// tcgen05.fence::after_thread_sync;
VARLEN_DEVICE void fence_tensor_after_sync() { asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory"); }

// tcgen05.mma.cta_group::1.kind [d-tmem], a-desc, b-desc, idesc, enable-input-d;
// tcgen05.mma.cta_group::1.kind [d-tmem], [a-tmem], b-desc, idesc, enable-input-d;
#define VARLEN_TENSOR_PRODUCTS(element, kind)                                                                         \
  template <>                                                                                                         \
  VARLEN_DEVICE void tensor_multiply<element>(TensorAddress sum, TensorMatrix a, TensorMatrix b, ProductShape shape,  \
                                              bool add) {                                                             \
    asm volatile("{ .reg .pred add; setp.ne.b32 add, %4, 0; tcgen05.mma.cta_group::1.kind::" kind                     \
                 " [%0], %1, %2, %3, add; }" ::"r"(sum.bits),                                                         \
                 "l"(a.bits), "l"(b.bits), "r"(shape.bits), "r"(static_cast<int>(add))                                \
                 : "memory");                                                                                         \
  }                                                                                                                   \
  template <>                                                                                                         \
  VARLEN_DEVICE void tensor_multiply<element>(TensorAddress sum, TensorAddress a, TensorMatrix b, ProductShape shape, \
                                              bool add) {                                                             \
    asm volatile("{ .reg .pred add; setp.ne.b32 add, %4, 0; tcgen05.mma.cta_group::1.kind::" kind                     \
                 " [%0], [%1], %2, %3, add; }" ::"r"(sum.bits),                                                       \
                 "r"(a.bits), "l"(b.bits), "r"(shape.bits), "r"(static_cast<int>(add))                                \
                 : "memory");                                                                                         \
  }
VARLEN_TENSOR_PRODUCTS(Float16, "f16")
VARLEN_TENSOR_PRODUCTS(BFloat16, "f16")
VARLEN_TENSOR_PRODUCTS(Float8E4M3, "f8f6f4")

#undef VARLEN_TENSOR_PRODUCTS

// tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [mbar];
VARLEN_DEVICE void commit_tensor_products(SharedAddress barrier) {
  asm volatile("tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(barrier.value)
               : "memory");
}

}  // namespace varlen::gpu
