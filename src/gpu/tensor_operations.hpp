// More that a kernel for Blackwell may call: tensor memory, and the products that add to it (PTX ISA: tcgen05). The
// rest is in gpu/operations.hpp, whose rules hold here as well.
//
// Tensor memory is a block's own: kTensorLanes lanes of kTensorColumns columns of 32 bits. Products write whole
// columns; a warp loads and stores the 32 lanes from 32 · (warp % 4) on, each of its threads the one lane that is its
// own.
//
// Loads, stores and products all run on after the call. Their order:
// - a thread's loads and stores are done when it has waited for them;
// - products are done one after another as they were issued, by one warp of the block. Nobody is told that a product is
//   done but by a barrier that a commit arrives at;
// - between threads a barrier orders none of them by itself: who comes first calls fence_tensor_before_sync() before
//   it arrives (a commit does that), who comes after calls fence_tensor_after_sync() when it has waited.
// (PTX ISA: tcgen05, memory consistency model. It promises the order of products only for those of the same sum and
// shape; that all are done in order is how the hardware works, and what every published attention kernel relies on.)
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"

namespace varlen::gpu {

inline constexpr int kTensorLanes = 128;
inline constexpr int kTensorColumns = 512;

// ---- Where in tensor memory (PTX ISA: tensor memory addressing): the lane in the upper half, the column in the lower.
struct TensorAddress {
  std::uint32_t bits;
};
VARLEN_DEVICE constexpr TensorAddress operator+(TensorAddress address, std::uint32_t columns) {
  return {address.bits + columns};
}
/// Of lane 0, moved to `lane`.
VARLEN_DEVICE constexpr TensorAddress at_lane(TensorAddress address, int lane) {
  return {address.bits + (static_cast<std::uint32_t>(lane) << 16)};
}

// ---- Allocation, each by one whole warp. What is allocated must be freed before the kernel ends.
/// Of `columns` columns, a power of two from 32 to 512. Waits for other blocks to free some. Where they begin is
/// written to 16 bytes of shared memory.
VARLEN_DEVICE void allocate_tensor_memory(SharedAddress to, int columns);
VARLEN_DEVICE TensorAddress load_tensor_address(SharedAddress from);  ///< what it has written
VARLEN_DEVICE void give_up_tensor_allocation();                       ///< The block allocates no more.
/// When nobody uses it any more: all loads and stores are waited for, all products committed and waited for.
VARLEN_DEVICE void free_tensor_memory(TensorAddress address, int columns);

// ---- A thread's lane of kColumns columns in registers: words[column] is a std::uint32_t.
template <int kColumns>
class TensorWords;

/// By the whole warp. `from` names the first of its 32 lanes. 16, 32, 64 or 128 columns. `words` must not be touched
/// until wait_tensor_loads().
template <int kColumns>
VARLEN_DEVICE void load_tensor(TensorWords<kColumns>& words, TensorAddress from);
/// Until all that this warp has loaded is there; `words` are all registers that it has loaded to since the last time.
template <int... kColumns>
VARLEN_DEVICE void wait_tensor_loads(TensorWords<kColumns>&... words);
/// By the whole warp, as load_tensor(). `words` may be used at once.
template <int kColumns>
VARLEN_DEVICE void store_tensor(TensorAddress to, const TensorWords<kColumns>& words);
VARLEN_DEVICE void wait_tensor_stores();

VARLEN_DEVICE void fence_tensor_before_sync();
VARLEN_DEVICE void fence_tensor_after_sync();

// ---- Products, by one thread.

/// A matrix in shared memory, laid out as MatrixDescriptor says. (PTX ISA: tcgen05, shared memory descriptor.)
struct TensorMatrix {
  std::uint64_t bits;
};
/// `group_bytes` from eight rows to the next eight, `panel_bytes` from 128 bytes of columns to the next.
VARLEN_DEVICE constexpr TensorMatrix tensor_matrix(SharedAddress start, std::uint32_t panel_bytes,
                                                   std::uint32_t group_bytes) {
  constexpr std::uint64_t kVersion = std::uint64_t{1} << 46;
  constexpr std::uint64_t kSwizzle128 = std::uint64_t{2} << 61;
  return {(start.value & 0x3FFFFU) >> 4 | std::uint64_t{panel_bytes >> 4} << 16 |
          std::uint64_t{group_bytes >> 4} << 32 | kVersion | kSwizzle128};
}
VARLEN_DEVICE constexpr TensorMatrix operator+(TensorMatrix matrix, std::uint32_t bytes) {
  return {matrix.bits + (bytes >> 4)};
}

/// How a product reads and what it adds to: 128 rows of fp32. (PTX ISA: tcgen05, instruction descriptor.)
struct ProductShape {
  std::uint32_t bits;
};
/// The format of an element's operands.
template <class Element>
VARLEN_DEVICE constexpr std::uint32_t operand_format() = delete;
template <>
VARLEN_DEVICE constexpr std::uint32_t operand_format<Float16>() {
  return 0;
}
template <>
VARLEN_DEVICE constexpr std::uint32_t operand_format<BFloat16>() {
  return 1;
}
template <>
VARLEN_DEVICE constexpr std::uint32_t operand_format<Float8E4M3>() {
  return 0;
}
/// `columns`: a multiple of 16 up to 256. `across_rows`: the depth of b runs from row to row of its matrix, not along
/// them.
template <class Element>
VARLEN_DEVICE constexpr ProductShape product_shape(int columns, bool across_rows) {
  constexpr std::uint32_t kSumsOfFp32 = 1U << 4;
  constexpr std::uint32_t kFormat = operand_format<Element>();
  return {kSumsOfFp32 | kFormat << 7 | kFormat << 10 | (across_rows ? 1U << 16 : 0U) |
          static_cast<std::uint32_t>(columns / 8) << 17 | static_cast<std::uint32_t>(kTensorLanes / 16) << 24};
}
/// Depth of one product, in elements: 32 bytes.
template <class Element>
inline constexpr int kProductDepth = 16;
template <>
inline constexpr int kProductDepth<Float8E4M3> = 32;

/// sum[128 × columns] = a[128 × kProductDepth] · b[kProductDepth × columns], added to what `sum` was if `add`. The
/// depth of `a` runs along the rows of its matrix.
template <class Element>
VARLEN_DEVICE void tensor_multiply(TensorAddress sum, TensorMatrix a, TensorMatrix b, ProductShape shape, bool add);
/// The same with `a` in tensor memory, in columns that hold two elements of two bytes or four of one.
template <class Element>
VARLEN_DEVICE void tensor_multiply(TensorAddress sum, TensorAddress a, TensorMatrix b, ProductShape shape, bool add);
/// An arrival at `barrier` once all products that this thread has issued so far are done.
VARLEN_DEVICE void commit_tensor_products(SharedAddress barrier);

}  // namespace varlen::gpu
