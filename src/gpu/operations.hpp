// What a GPU kernel may call, and the types it may hold. Kernels see this page and the plan's cursor, nothing else; an
// implementer defines the functions: gpu/ptx by one instruction each, gpu/emulator on a CPU, with every access checked.
//
// Kernels are class templates whose `run()` is called by every thread of every block. All functions are called by the
// threads of one warp together ("by the whole warp") where that is said, and by single threads otherwise.
#pragma once

#include <cstdint>

#include "plan/tile_geometry.hpp"

#if defined(__CUDACC__)
#define VARLEN_DEVICE __device__ __forceinline__
#define VARLEN_UNROLL _Pragma("unroll")
#define VARLEN_PRAGMA(text) _Pragma(#text)
#define VARLEN_UNROLL_BY(count) VARLEN_PRAGMA(unroll count)
#else
#define VARLEN_DEVICE inline
#define VARLEN_UNROLL
#define VARLEN_UNROLL_BY(count)
#endif

namespace varlen::gpu {

inline constexpr int kWarpThreads = 32;

// ---- Element types: two bytes in memory, pairs of them in 32-bit registers, the lower half first.
struct Float16 {};
struct BFloat16 {};

// ---- Where a thread stands. Blocks have one dimension, grids too.
VARLEN_DEVICE int thread_index();  ///< in the block
VARLEN_DEVICE int block_index();
VARLEN_DEVICE int block_count();
VARLEN_DEVICE int warp_index() { return thread_index() / kWarpThreads; }
VARLEN_DEVICE int lane_index() { return thread_index() % kWarpThreads; }

// ---- Barriers.
VARLEN_DEVICE void sync_block();  ///< by every thread of the block

// ---- Shared memory: one array of bytes for each block, 1024-byte aligned, as large as the launch asked for.
struct SharedAddress {
  std::uint32_t value;
};
VARLEN_DEVICE constexpr SharedAddress operator+(SharedAddress address, std::uint32_t bytes) {
  return {address.value + bytes};
}
VARLEN_DEVICE SharedAddress shared_memory();  ///< its first byte

struct alignas(16) Words4 {
  std::uint32_t word[4];
};
VARLEN_DEVICE void store_shared(SharedAddress to, const Words4& value);  ///< 16-byte aligned

// ---- Global memory. Addresses are aligned to the type.
template <class T>
VARLEN_DEVICE T load_global(const T* from);
template <class T>
VARLEN_DEVICE void store_global(T* to, const T& value);

// ---- Asynchronous copies of a thread, in groups.
/// Copies 16 bytes, both sides aligned to 16; with `present` false nothing is read and zeros are written.
VARLEN_DEVICE void copy_async_16(SharedAddress to, const void* from, bool present);
VARLEN_DEVICE void copy_async_commit();
/// Until all groups of this thread but the newest kPending have arrived. Other threads' copies need a barrier besides.
template <int kPending>
VARLEN_DEVICE void copy_async_wait();

// ---- Matrices of 8 × 8 elements of two bytes, by the whole warp. Lane l holds elements (l / 4, 2 · (l % 4)) and the
// one after it in a word; transposed: of the matrix's transpose.
/// Four matrices; lanes 8 i … 8 i + 7 give the addresses of matrix i's rows, 16 bytes each.
VARLEN_DEVICE void load_matrices(std::uint32_t (&matrix)[4], SharedAddress row);
VARLEN_DEVICE void load_matrices_transposed(std::uint32_t (&matrix)[4], SharedAddress row);

/// sum[16 × 8] += a[16 × 16] · b[16 × 8]. `a` is four matrices: rows 0-7 and 8-15 of columns 0-7, then of 8-15. `b` is
/// two, of rows 0-7 and 8-15, each transposed. Lane l holds of `sum` (l / 4, 2 · (l % 4)) and the one after it, then
/// the same eight rows below.
template <class Element>
VARLEN_DEVICE void multiply_add_16x8x16(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                        std::uint32_t b1);

// ---- Between the lanes of a warp, by the whole warp.
VARLEN_DEVICE float shuffle_xor(float value, int lane_mask);  ///< the value of lane (own ^ lane_mask)

// ---- Arithmetic.
VARLEN_DEVICE float exp2_fast(float x);        ///< relative error 2^-22; 0 for −inf and results below 2^-126
VARLEN_DEVICE float reciprocal_fast(float x);  ///< to one unit in the last place; 0 for infinity
VARLEN_DEVICE float natural_log(float x);      ///< of a normal number, to about one unit in the last place
/// Rounded to nearest even; `low` in the lower half.
template <class Element>
VARLEN_DEVICE std::uint32_t pack(float low, float high);

/// The compiler may not use what it knows about `value` from here on. Changes nothing.
VARLEN_DEVICE void forget(std::uint32_t& value);

// ---- For the emulator's eyes; nothing on a GPU.
/// From here on the thread works on this request: rows of others are out of bounds.
VARLEN_DEVICE void enter_request(std::int32_t request);

}  // namespace varlen::gpu
