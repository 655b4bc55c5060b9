// What a GPU kernel may call, and the types it may hold. Kernels see this page and the plan's cursor, nothing else; an
// implementer defines the functions: gpu/ptx by one instruction each, gpu/emulator on a CPU, with every access checked.
//
// Kernels are class templates whose `run()` is called by every thread of every block. All functions are called by the
// threads of one warp together ("by the whole warp") where that is said, and by single threads otherwise.
#pragma once

#include <cstdint>

#include "gpu/tensor_box.hpp"
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

// ---- Element types: two bytes in memory, pairs of them in 32-bit registers, the lower half first; or one byte, four
// of them in 32 bits, the first in the lowest.
struct Float16 {};
struct BFloat16 {};
struct Float8E4M3 {};
template <class Element>
inline constexpr int kElementBytes = 2;
template <>
inline constexpr int kElementBytes<Float8E4M3> = 1;

// ---- Registers that products of a warpgroup take over until they are waited for. Plain arrays on a GPU; the emulator
// watches who touches them.
/// Sums of kTiles tiles of eight columns: sums[tile] is a float[4].
template <int kTiles>
class Sums;
/// A left operand of 16 columns: fragment[i] is a std::uint32_t, i from 0 to 3.
class Fragment;

// ---- Where a thread stands. Blocks have one dimension, grids too.
VARLEN_DEVICE int thread_index();  ///< in the block
VARLEN_DEVICE int block_index();
VARLEN_DEVICE int block_count();
VARLEN_DEVICE int warp_index() { return thread_index() / kWarpThreads; }
VARLEN_DEVICE int lane_index() { return thread_index() % kWarpThreads; }

inline constexpr int kWarpgroupThreads = 128;  // four warps, the first of them a multiple of four

// ---- Barriers.
VARLEN_DEVICE void sync_block();  ///< by every thread of the block
VARLEN_DEVICE void sync_warp();   ///< by the whole warp: what its lanes wrote before, all of them see after
// Barrier `id`, 1 to 15, of whole warps: complete when `threads` threads have called one of these.
VARLEN_DEVICE void sync_threads(int id, int threads);    ///< until it is complete
VARLEN_DEVICE void arrive_threads(int id, int threads);  ///< without waiting

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
VARLEN_DEVICE Words4 load_shared(SharedAddress from);                    ///< 16-byte aligned

// ---- Barriers in shared memory, of 8 bytes, that count arrivals phase after phase: a phase is complete when as many
// have arrived as init_barrier() said. Phases have parities 0, 1, 0, …. (PTX ISA: mbarrier.)
VARLEN_DEVICE void init_barrier(SharedAddress barrier, int arrivals);  ///< by one thread
VARLEN_DEVICE void fence_barriers();  ///< after it has made barriers, before a sync_block()
VARLEN_DEVICE void arrive(SharedAddress barrier);
/// And the phase is complete only when copies have brought `bytes` more.
VARLEN_DEVICE void arrive_expecting(SharedAddress barrier, std::uint32_t bytes);
/// Until the newest phase of this parity is complete. True at once for parity 1 before the first phase is.
VARLEN_DEVICE void wait_for(SharedAddress barrier, std::uint32_t parity);

// ---- Global memory. Addresses are aligned to the type.
template <class T>
VARLEN_DEVICE T load_global(const T* from);
template <class T>
VARLEN_DEVICE void store_global(T* to, const T& value);

/// Adds 1 to a counter in global memory that all blocks share. Returns what it was.
VARLEN_DEVICE std::int64_t draw(std::int64_t* counter);

/// A lock in global memory, 0 while it is free: whether it was, and is this thread's now.
VARLEN_DEVICE bool try_lock(std::uint32_t* lock);
VARLEN_DEVICE void unlock(std::uint32_t* lock);

// Words of memory that host and device share, and that tell of what else is there.
VARLEN_DEVICE std::uint32_t load_from_host(const std::uint32_t* word);
/// Who sees the word on the host sees all that this thread has stored before, too.
VARLEN_DEVICE void store_for_host(std::uint32_t* word, std::uint32_t value);

// ---- Asynchronous copies of a thread, in groups.
/// Copies 16 bytes, both sides aligned to 16; with `present` false nothing is read and zeros are written.
VARLEN_DEVICE void copy_async_16(SharedAddress to, const void* from, bool present);
VARLEN_DEVICE void copy_async_commit();
/// Until all groups of this thread but the newest kPending have arrived. Other threads' copies need a barrier besides.
template <int kPending>
VARLEN_DEVICE void copy_async_wait();

/// An arrival at `barrier` once all copies that this thread has started have arrived.
VARLEN_DEVICE void copy_async_arrive(SharedAddress barrier);

// ---- Copies of boxes by the tensor memory accelerator (PTX ISA: cp.async.bulk.tensor), by one thread each. In shared
// memory each row of 64 elements is one of 128 bytes, swizzled as MatrixDescriptor says. A box wholly outside of the
// tensor is an error.

/// Elements outside of the tensor become zeros. `barrier` expects the bytes of a whole box.
VARLEN_DEVICE void load_box(SharedAddress to, const TensorMap& map, const BoxPlace& place, SharedAddress barrier);
/// Elements outside of the tensor are not stored. The box must not begin before it: places are not negative.
VARLEN_DEVICE void store_box(const TensorMap& map, const BoxPlace& place, SharedAddress from);
/// Until all boxes that this thread has stored have been read from shared memory.
VARLEN_DEVICE void store_box_wait();

// ---- Matrices of 8 × 8 elements of two bytes, by the whole warp. Lane l holds elements (l / 4, 2 · (l % 4)) and the
// one after it in a word; transposed: of the matrix's transpose.
/// Four matrices; lanes 8 i … 8 i + 7 give the addresses of matrix i's rows, 16 bytes each.
VARLEN_DEVICE void load_matrices(std::uint32_t (&matrix)[4], SharedAddress row);
VARLEN_DEVICE void load_matrices_transposed(std::uint32_t (&matrix)[4], SharedAddress row);
VARLEN_DEVICE void store_matrices(SharedAddress row, const std::uint32_t (&matrix)[4]);

/// sum[16 × 8] += a[16 × 16] · b[16 × 8]. `a` is four matrices: rows 0-7 and 8-15 of columns 0-7, then of 8-15. `b` is
/// two, of rows 0-7 and 8-15, each transposed. Lane l holds of `sum` (l / 4, 2 · (l % 4)) and the one after it, then
/// the same eight rows below.
template <class Element>
VARLEN_DEVICE void multiply_add_16x8x16(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                        std::uint32_t b1);

// ---- Products by a warpgroup (PTX ISA: wgmma), four warps of sixteen rows each. They run on after the call: `sum`,
// `a` in registers and the matrices in shared memory must not be touched until warpgroup_wait().

/// A matrix in shared memory. Its memory is rows of 128 bytes, eight rows together 1024-byte aligned; 16-byte chunk c
/// of row r lies at place c ^ (r % 8). (PTX ISA: matrix descriptor, 128-byte swizzle.)
struct MatrixDescriptor {
  std::uint64_t bits;
};
/// `group_bytes` from eight rows to the next eight, `panel_bytes` from 64 columns to the next 64.
VARLEN_DEVICE constexpr MatrixDescriptor matrix_descriptor(SharedAddress start, std::uint32_t panel_bytes,
                                                           std::uint32_t group_bytes) {
  constexpr std::uint64_t kSwizzle128 = std::uint64_t{1} << 62;
  return {(start.value & 0x3FFFFU) >> 4 | std::uint64_t{panel_bytes >> 4} << 16 |
          std::uint64_t{group_bytes >> 4} << 32 | kSwizzle128};
}
VARLEN_DEVICE constexpr MatrixDescriptor operator+(MatrixDescriptor matrix, std::uint32_t bytes) {
  return {matrix.bits + (bytes >> 4)};
}

/// sum[64 × 8 kTiles] = a[64 × 16] · transposed b[8 kTiles × 16], added to what `sum` was if `add`. A lane of warp w
/// holds of each tile of eight columns what multiply_add_16x8x16() says, of the rows from 16 w on.
template <class Element, int kTiles>
VARLEN_DEVICE void warpgroup_multiply(Sums<kTiles>& sum, MatrixDescriptor a, MatrixDescriptor b, bool add);
/// sum[64 × 8 kTiles] += a[64 × 16] · b[16 × 8 kTiles], with `a` as in multiply_add_16x8x16().
template <class Element, int kTiles>
VARLEN_DEVICE void warpgroup_multiply_add(Sums<kTiles>& sum, const Fragment& a, MatrixDescriptor b);

/// Before the first product after registers that it takes or shared memory that it reads were written.
VARLEN_DEVICE void warpgroup_fence();
VARLEN_DEVICE void warpgroup_commit();  ///< Products since the last one are a group.
template <int kPending>
VARLEN_DEVICE void warpgroup_wait();  ///< Until all groups but the newest kPending are done.
/// The compiler moves no use of `sum` across this.
template <int kTiles>
VARLEN_DEVICE void keep_in_place(Sums<kTiles>& sum);

/// The compiler moves nothing that follows before what `value` is computed from. By the whole warp; `positive` is any
/// positive number that is not known at compile time. Changes nothing.
VARLEN_DEVICE void compute_first(float value, std::int32_t positive);

/// What this thread wrote to shared memory before is there for products and boxes, too: these read it by another way.
VARLEN_DEVICE void fence_shared_for_products();

/// How many registers each thread of the warpgroup has from here on, of those that the others have given back: a
/// multiple of 8 from 24 to 240. (PTX ISA: setmaxnreg.)
template <int kRegisters>
VARLEN_DEVICE void take_registers();
template <int kRegisters>
VARLEN_DEVICE void give_back_registers();

// ---- Between the lanes of a warp, by the whole warp.
VARLEN_DEVICE float shuffle_xor(float value, int lane_mask);  ///< the value of lane (own ^ lane_mask)
VARLEN_DEVICE int count_votes(bool vote);                     ///< of how many lanes it is true
VARLEN_DEVICE std::int64_t broadcast(std::int64_t value);     ///< the value of lane 0
VARLEN_DEVICE bool elect_one();                               ///< true for one lane, the same one each time

// ---- Arithmetic.
VARLEN_DEVICE float exp2_fast(float x);        ///< relative error 2^-22; 0 for −inf and results below 2^-126
VARLEN_DEVICE float reciprocal_fast(float x);  ///< to one unit in the last place; 0 for infinity
VARLEN_DEVICE float natural_log(float x);      ///< of a normal number, to about one unit in the last place
/// Rounded to nearest even; `low` in the lower half.
template <class Element>
VARLEN_DEVICE std::uint32_t pack(float low, float high);

VARLEN_DEVICE float word_as_float(std::uint32_t word) {
  float value;
  __builtin_memcpy(&value, &word, sizeof(value));
  return value;
}
VARLEN_DEVICE std::uint32_t float_as_word(float value) {
  std::uint32_t word;
  __builtin_memcpy(&word, &value, sizeof(word));
  return word;
}

/// Four e4m3 numbers to fp16, which holds them exactly: the first two to `low`, the others to `high`.
VARLEN_DEVICE void widen_e4m3(std::uint32_t four, std::uint32_t& low, std::uint32_t& high);
/// Byte i of the result is byte (selector >> 4 i) & 7 of the eight of `low` and `high`.
VARLEN_DEVICE std::uint32_t select_bytes(std::uint32_t low, std::uint32_t high, std::uint32_t selector);

/// The compiler may not use what it knows about `value` from here on. Changes nothing.
VARLEN_DEVICE void forget(std::uint32_t& value);
/// thread_index(), as if it changed: or all that follows from it would be kept in registers throughout loops that are
/// short of them.
VARLEN_DEVICE int fresh_thread_index() {
  auto index = static_cast<std::uint32_t>(thread_index());
  forget(index);
  return static_cast<int>(index);
}

// ---- For the emulator's eyes; nothing on a GPU.
/// From here on the thread works on this item of the plan (−1: on a merge) and this request: rows of others are out of
/// bounds.
VARLEN_DEVICE void enter_item(std::int64_t item, std::int32_t request);

}  // namespace varlen::gpu
