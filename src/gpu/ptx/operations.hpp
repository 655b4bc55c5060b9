// gpu/operations.hpp in PTX: one wrapper for each instruction, its syntax above it as the PTX ISA manual prints it.
// Each instruction's rules are in the section of the PTX ISA that is named like it, and where that is not so the
// comment names the section. Included before kernels by the sources that nvcc compiles, and by nothing else.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "gpu/operations.hpp"
#include "gpu/ptx/warpgroup.hpp"

namespace varlen::gpu {

VARLEN_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
VARLEN_DEVICE int block_index() { return static_cast<int>(blockIdx.x); }
VARLEN_DEVICE int block_count() { return static_cast<int>(gridDim.x); }

// barrier.sync 0;  (PTX ISA: bar, barrier)
VARLEN_DEVICE void sync_block() { __syncthreads(); }

// bar.warp.sync membermask;
VARLEN_DEVICE void sync_warp() { __syncwarp(); }

// barrier.sync a, b;  (PTX ISA: bar, barrier)
VARLEN_DEVICE void sync_threads(int id, int threads) {
  asm volatile("barrier.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// barrier.arrive a, b;  (PTX ISA: bar, barrier)
VARLEN_DEVICE void arrive_threads(int id, int threads) {
  asm volatile("barrier.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

VARLEN_DEVICE SharedAddress shared_memory() {
  extern __shared__ __align__(1024) std::uint8_t memory[];
  return {static_cast<std::uint32_t>(__cvta_generic_to_shared(memory))};
}

// st.shared.v4.b32 [a], {b, c, d, e};
VARLEN_DEVICE void store_shared(SharedAddress to, const Words4& value) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(to.value), "r"(value.word[0]), "r"(value.word[1]),
               "r"(value.word[2]), "r"(value.word[3])
               : "memory");
}

// ld.shared.v4.b32 {b, c, d, e}, [a];
VARLEN_DEVICE Words4 load_shared(SharedAddress from) {
  Words4 value;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.word[0]), "=r"(value.word[1]), "=r"(value.word[2]), "=r"(value.word[3])
               : "r"(from.value)
               : "memory");
  return value;
}

template <class T>
VARLEN_DEVICE T load_global(const T* from) {
  return *from;
}
template <class T>
VARLEN_DEVICE void store_global(T* to, const T& value) {
  *to = value;
}

// atom.relaxed.gpu.global.add.u64 d, [a], b;  (PTX ISA: atom)
VARLEN_DEVICE std::int64_t draw(std::int64_t* counter) {
  std::int64_t before;
  asm volatile("atom.relaxed.gpu.global.add.u64 %0, [%1], 1;"
               : "=l"(before)
               : "l"(__cvta_generic_to_global(counter))
               : "memory");
  return before;
}

// atom.acquire.gpu.global.cas.b32 d, [a], b, c;  (PTX ISA: atom)
VARLEN_DEVICE bool try_lock(std::uint32_t* lock) {
  std::uint32_t before;
  asm volatile("atom.acquire.gpu.global.cas.b32 %0, [%1], 0, 1;"
               : "=r"(before)
               : "l"(__cvta_generic_to_global(lock))
               : "memory");
  return before == 0;
}

// st.release.gpu.global.u32 [a], b;  (PTX ISA: st)
VARLEN_DEVICE void unlock(std::uint32_t* lock) {
  asm volatile("st.release.gpu.global.u32 [%0], 0;" ::"l"(__cvta_generic_to_global(lock)) : "memory");
}

// ld.acquire.sys.global.u32 d, [a];  (PTX ISA: ld)
VARLEN_DEVICE std::uint32_t load_from_host(const std::uint32_t* word) {
  std::uint32_t value;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(__cvta_generic_to_global(word)) : "memory");
  return value;
}

// st.release.sys.global.u32 [a], b;  (PTX ISA: st)
VARLEN_DEVICE void store_for_host(std::uint32_t* word, std::uint32_t value) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(__cvta_generic_to_global(word)), "r"(value) : "memory");
}

// cp.async.cg.shared.global [dst], [src], 16, src-size;
VARLEN_DEVICE void copy_async_16(SharedAddress to, const void* from, bool present) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to.value), "l"(__cvta_generic_to_global(from)),
               "r"(present ? 16 : 0)
               : "memory");
}

// cp.async.commit_group;
VARLEN_DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// cp.async.wait_group N;
template <int kPending>
VARLEN_DEVICE void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// mbarrier.init.shared.b64 [addr], count;
VARLEN_DEVICE void init_barrier(SharedAddress barrier, int arrivals) {
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barrier.value), "r"(arrivals) : "memory");
}

// fence.mbarrier_init.release.cluster;
VARLEN_DEVICE void fence_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

// mbarrier.arrive.expect_tx.shared.b64 state, [addr], tx_count;
VARLEN_DEVICE void arrive_expecting(SharedAddress barrier, std::uint32_t bytes) {
  asm volatile("{ .reg .b64 state; mbarrier.arrive.expect_tx.shared.b64 state, [%0], %1; }" ::"r"(barrier.value),
               "r"(bytes)
               : "memory");
}

// PTX ISA: cp.async.bulk.tensor; Tensors, tiled mode; mbarrier, Tracking asynchronous operations.
// cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes [dstMem], [tensorMap, tensorCoords],
// [mbar];
VARLEN_DEVICE void load_box(SharedAddress to, const TensorMap& map, const BoxPlace& place, SharedAddress barrier) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5, %6}], "
      "[%7];" ::"r"(to.value),
      "l"(&map), "r"(place[0]), "r"(place[1]), "r"(place[2]), "r"(place[3]), "r"(place[4]), "r"(barrier.value)
      : "memory");
}

// cp.async.bulk.tensor.5d.global.shared::cta.bulk_group [tensorMap, tensorCoords], [srcMem];
VARLEN_DEVICE void store_box(const TensorMap& map, const BoxPlace& place, SharedAddress from) {
  asm volatile("cp.async.bulk.tensor.5d.global.shared::cta.bulk_group [%0, {%1, %2, %3, %4, %5}], [%6];" ::"l"(&map),
               "r"(place[0]), "r"(place[1]), "r"(place[2]), "r"(place[3]), "r"(place[4]), "r"(from.value)
               : "memory");
}

// cp.async.bulk.commit_group; cp.async.bulk.wait_group.read N;
VARLEN_DEVICE void store_box_wait() {
  asm volatile("cp.async.bulk.commit_group; cp.async.bulk.wait_group.read 0;" ::: "memory");
}

// mbarrier.arrive.shared.b64 state, [addr];
VARLEN_DEVICE void arrive(SharedAddress barrier) {
  asm volatile("{ .reg .b64 state; mbarrier.arrive.shared.b64 state, [%0]; }" ::"r"(barrier.value) : "memory");
}

// PTX ISA: mbarrier.test_wait, mbarrier.try_wait; mbarrier, Phase of the mbarrier object.
// mbarrier.try_wait.parity.shared.b64 complete, [addr], phaseParity;
VARLEN_DEVICE void wait_for(SharedAddress barrier, std::uint32_t parity) {
  std::uint32_t complete = 0;
  while (complete == 0) {
    asm volatile(
        "{ .reg .pred complete; mbarrier.try_wait.parity.shared.b64 complete, [%1], %2; selp.u32 %0, 1, 0, complete; }"
        : "=r"(complete)
        : "r"(barrier.value), "r"(parity)
        : "memory");
  }
}

// cp.async.mbarrier.arrive.noinc.shared.b64 [addr];
VARLEN_DEVICE void copy_async_arrive(SharedAddress barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier.value) : "memory");
}

// ldmatrix.sync.aligned.m8n8.x4.shared.b16 r, [p];
VARLEN_DEVICE void load_matrices(std::uint32_t (&matrix)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrix[0]), "=r"(matrix[1]), "=r"(matrix[2]), "=r"(matrix[3])
               : "r"(row.value)
               : "memory");
}

// ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 r, [p];
VARLEN_DEVICE void load_matrices_transposed(std::uint32_t (&matrix)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(matrix[0]), "=r"(matrix[1]), "=r"(matrix[2]), "=r"(matrix[3])
               : "r"(row.value)
               : "memory");
}

// stmatrix.sync.aligned.m8n8.x4.shared.b16 [p], r;
VARLEN_DEVICE void store_matrices(SharedAddress row, const std::uint32_t (&matrix)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(row.value), "r"(matrix[0]),
               "r"(matrix[1]), "r"(matrix[2]), "r"(matrix[3])
               : "memory");
}

// Volatile, because all lanes must meet in it: otherwise the compiler may move it into a branch that some of them take.
// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 d, a, b, c;
template <>
VARLEN_DEVICE void multiply_add_16x8x16<BFloat16>(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                                  std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 d, a, b, c;
template <>
VARLEN_DEVICE void multiply_add_16x8x16<Float16>(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                                 std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// shfl.sync.bfly.b32 d, a, b, c, membermask;
VARLEN_DEVICE float shuffle_xor(float value, int lane_mask) { return __shfl_xor_sync(0xFFFFFFFFU, value, lane_mask); }

// vote.sync.ballot.b32 d, a, membermask; popc.b32 d, a;
VARLEN_DEVICE int count_votes(bool vote) { return __popc(__ballot_sync(0xFFFFFFFFU, vote)); }

// shfl.sync.idx.b32 d, a, b, c, membermask; (twice)
VARLEN_DEVICE std::int64_t broadcast(std::int64_t value) {
  return __shfl_sync(0xFFFFFFFFU, static_cast<long long>(value), 0);
}

// elect.sync d|p, membermask;
VARLEN_DEVICE bool elect_one() {
  std::uint32_t elected;
  asm volatile("{ .reg .pred elected; elect.sync _|elected, 0xFFFFFFFF; selp.u32 %0, 1, 0, elected; }" : "=r"(elected));
  return elected != 0;
}

// ex2.approx.ftz.f32 d, a;  (PTX ISA: ex2: 2^-22 of the result, subnormal numbers are flushed)
VARLEN_DEVICE float exp2_fast(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// rcp.approx.ftz.f32 d, a;  (PTX ISA: rcp: 1 unit in the last place, subnormal numbers are flushed)
VARLEN_DEVICE float reciprocal_fast(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

// CUDA C++ Programming Guide, mathematical functions: logf, 1 unit in the last place.
VARLEN_DEVICE float natural_log(float x) { return logf(x); }

// cvt.rn.bf16x2.f32 d, a, b;  (a: upper half)
template <>
VARLEN_DEVICE std::uint32_t pack<BFloat16>(float low, float high) {
  std::uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}

// cvt.rn.f16x2.f32 d, a, b;
template <>
VARLEN_DEVICE std::uint32_t pack<Float16>(float low, float high) {
  std::uint32_t result;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}

// prmt.b32 d, a, b, c;
VARLEN_DEVICE std::uint32_t select_bytes(std::uint32_t low, std::uint32_t high, std::uint32_t selector) {
  return __byte_perm(low, high, selector);
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
// cvt.rn.f16x2.e4m3x2 d, a;
VARLEN_DEVICE void widen_e4m3(std::uint32_t four, std::uint32_t& low, std::uint32_t& high) {
  asm("{ .reg .b16 first, second; mov.b32 {first, second}, %2; cvt.rn.f16x2.e4m3x2 %0, first; "
      "cvt.rn.f16x2.e4m3x2 %1, second; }"
      : "=r"(low), "=r"(high)
      : "r"(four));
}
#else
// The same by hand. A byte s eeee mmm becomes the half s 0eeee mmm0000000, which is 2^-8 of it, subnormals included.
VARLEN_DEVICE std::uint32_t widen_e4m3_pair(std::uint32_t bytes) {  // in the upper byte of each half
  const std::uint32_t magnitude = bytes & 0x7F007F00U;
  // NaN is the largest magnitude alone: it carries into the sign's place, and becomes a NaN by another exponent bit.
  const std::uint32_t nan = (magnitude + 0x01000100U) & 0x80008000U;
  const std::uint32_t scaled = (bytes & 0x80008000U) | ((magnitude | nan) >> 1);
  __half2 halves;
  __builtin_memcpy(&halves, &scaled, sizeof(halves));
  halves = __hmul2(halves, __half2{__half_raw{0x5C00}, __half_raw{0x5C00}});  // 2^8
  std::uint32_t result;
  __builtin_memcpy(&result, &halves, sizeof(result));
  return result;
}
VARLEN_DEVICE void widen_e4m3(std::uint32_t four, std::uint32_t& low, std::uint32_t& high) {
  low = widen_e4m3_pair(__byte_perm(four, 0, 0x1404));
  high = widen_e4m3_pair(__byte_perm(four, 0, 0x3424));
}
#endif

VARLEN_DEVICE void forget(std::uint32_t& value) { asm volatile("" : "+r"(value)); }

VARLEN_DEVICE void enter_item(std::int64_t, std::int32_t) {}

}  // namespace varlen::gpu
