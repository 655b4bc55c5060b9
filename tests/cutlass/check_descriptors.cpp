// Our matrix descriptors and swizzled addresses against those of CUTLASS, computed by its own headers on the host.
// scripts/check-descriptors builds and runs this.
//
// What kernels hand to warpgroup_multiply() and tensor_multiply() comes from kernel/panel_memory.hpp; CUTLASS makes the
// same of a tensor in shared memory with one of its canonical layouts, cut to the operand of one instruction.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <type_traits>
#include <utility>

// CUTLASS asks the compiler for an address in shared memory. Here that is an offset in this array.
alignas(1024) static std::byte shared[256 * 1024];
inline std::size_t __cvta_generic_to_shared(const void* address) {
  return static_cast<std::size_t>(static_cast<const std::byte*>(address) - shared);
}
#define CUTE_CVTA_GENERIC_TO_SHARED_ACTIVATED 1

#include <cutlass/numeric_types.h>

#include <cute/atom/copy_traits_sm100.hpp>
#include <cute/atom/mma_traits_sm100.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cute/swizzle_layout.hpp>
#include <cute/tensor.hpp>

#include "gpu/emulator/shared_memory.hpp"
#include "gpu/tensor_operations.hpp"
#include "kernel/panel_memory.hpp"
#include "kernel/tile_memory.hpp"

namespace {

using namespace varlen;
namespace GMMA = cute::SM90::GMMA;
namespace UMMA = cute::UMMA;
using Element = cutlass::half_t;

long comparisons = 0;
long failures = 0;

void expect(bool same, const char* what, long a, long b, long c) {
  ++comparisons;
  if (same) return;
  if (failures++ < 20) std::printf("FAILED %s at %ld, %ld, %ld\n", what, a, b, c);
}

/// Field by field. CUTLASS has 1 as the leading offset where the hardware ignores it (PTX ISA: along rows, with
/// swizzling), we have the panels' distance.
void expect_same(gpu::MatrixDescriptor ours, const cute::GmmaDescriptor& theirs, bool leading, const char* what, long a,
                 long b, long c) {
  const cute::GmmaDescriptor own(ours.bits);
  const auto& left = own.bitfield;
  const auto& right = theirs.bitfield;
  expect(left.start_address_ == right.start_address_, what, a, b, c);
  expect(!leading || left.leading_byte_offset_ == right.leading_byte_offset_, what, a, b, c);
  expect(left.stride_byte_offset_ == right.stride_byte_offset_, what, a, b, c);
  expect(left.base_offset_ == right.base_offset_, what, a, b, c);
  expect(left.layout_type_ == right.layout_type_, what, a, b, c);
}

/// What matrix_descriptor() puts where.
void check_fields() {
  for (std::uint32_t start = 0; start < 256 * 1024; start += 32) {
    const std::uint32_t panel = start % (1 << 18) / 16 * 16;
    const std::uint32_t group = (start * 7 + 1024) % (1 << 18) / 16 * 16;
    const cute::GmmaDescriptor own(gpu::matrix_descriptor({start}, panel, group).bits);
    expect(own.bitfield.start_address_ == start >> 4, "start_address", start, panel, group);
    expect(own.bitfield.leading_byte_offset_ == panel >> 4, "leading_byte_offset", start, panel, group);
    expect(own.bitfield.stride_byte_offset_ == group >> 4, "stride_byte_offset", start, panel, group);
    expect(own.bitfield.base_offset_ == 0, "base_offset", start, panel, group);
    expect(own.bitfield.layout_type_ == static_cast<int>(GMMA::LayoutType::B128), "layout_type", start, panel, group);
    const std::uint32_t further = 96 + start % 4096 / 32 * 32;
    if (start + further >= 256 * 1024) continue;
    const GMMA::DescriptorIterator iterator{own};
    expect((gpu::MatrixDescriptor{own.desc_} + further).bits == (*(iterator + (further >> 4))).desc_, "operator+",
           start, further, 0);
  }
}

/// Operands of kTileRows rows whose depth runs along them, of a matrix of kRows × kColumns.
template <int kRows, int kColumns, int kTileRows>
void check_along_rows(std::uint32_t base) {
  using namespace cute;
  const kernel::PanelMatrix<kRows, kColumns> ours{{base}};
  const auto layout = tile_to_shape(GMMA::Layout_K_SW128_Atom<Element>{}, Shape<Int<kRows>, Int<kColumns>>{});
  const auto theirs = make_tensor(make_smem_ptr(reinterpret_cast<Element*>(shared + base)), layout);
  for (int row = 0; row < kRows; row += kTileRows) {
    for (int depth = 0; depth < kColumns; depth += 16) {
      const auto tile = local_tile(theirs, Shape<Int<kTileRows>, _16>{}, make_coord(row / kTileRows, depth / 16));
      expect_same(ours.along_rows(row) + ours.along_rows_bytes(depth), GMMA::make_gmma_desc<GMMA::Major::K>(tile),
                  false, "along rows", kRows, row, depth);
    }
  }
  const auto places = as_position_independent_swizzle_layout(layout);
  for (int row = 0; row < kRows; ++row) {
    for (int chunk = 0; chunk < kColumns / 8; ++chunk) {
      const auto expected = base + static_cast<std::uint32_t>(places(row, chunk * 8)) * 2;
      const typename kernel::PanelMatrix<kRows, kColumns>::Lane lane(ours, row, chunk % 2);
      expect(lane.chunk(chunk / 2 * 2).value == expected, "chunk of a panel matrix", kRows, row, chunk);
      const std::uint32_t panel = ours.panel(chunk / 8).value + static_cast<std::uint32_t>(row * 128 + chunk % 8 * 16);
      expect(gpu::emulator::swizzled(panel) == expected, "emulated swizzle of a panel matrix", kRows, row, chunk);
    }
  }
}

/// Operands of all columns whose depth runs from row to row.
template <int kRows, int kColumns>
void check_across_rows(std::uint32_t base) {
  using namespace cute;
  const kernel::PanelMatrix<kRows, kColumns> ours{{base}};
  const auto layout =
      tile_to_shape(GMMA::Layout_MN_SW128_Atom<Element>{}, Shape<Int<kColumns>, Int<kRows>>{}, Step<_2, _1>{});
  const auto theirs = make_tensor(make_smem_ptr(reinterpret_cast<Element*>(shared + base)), layout);
  for (int depth = 0; depth < kRows; depth += 16) {
    const auto tile = local_tile(theirs, Shape<Int<kColumns>, _16>{}, make_coord(0, depth / 16));
    expect_same(ours.across_rows() + ours.across_rows_bytes(depth), GMMA::make_gmma_desc<GMMA::Major::MN>(tile),
                kColumns > 64, "across rows", kRows, kColumns, depth);
  }
  const auto places = as_position_independent_swizzle_layout(layout);
  for (int row = 0; row < kRows; ++row) {
    for (int column = 0; column < kColumns; column += 8) {
      const std::uint32_t panel =
          ours.panel(column / 64).value + static_cast<std::uint32_t>(row * 128 + column % 64 * 2);
      expect(gpu::emulator::swizzled(panel) == base + static_cast<std::uint32_t>(places(column, row)) * 2,
             "emulated swizzle across rows", kRows, row, column);
    }
  }
}

/// All shapes of kernel/wgmma_memory.hpp: queries and results of 128 rows, keys and values of 128 or 64.
template <int kColumns>
void check_columns() {
  for (const std::uint32_t base : {0U, 1024U, 64U * 1024U, 163'840U}) {
    check_along_rows<128, kColumns, 64>(base);
    if constexpr (kColumns <= 192) check_along_rows<128, kColumns, 128>(base);
    check_along_rows<64, kColumns, 64>(base);
    check_across_rows<64, kColumns>(base);
    if constexpr (kColumns <= 128) check_across_rows<128, kColumns>(base);
  }
}

/// forward_mma's rows of kColumns are swizzled likewise, with wider rows.
template <int kColumns, int kShift>
void check_shared_matrix() {
  const kernel::SharedMatrix<gpu::Float16, 64, kColumns> matrix{{0}};
  for (int row = 0; row < 64; ++row) {
    for (int chunk = 0; chunk < kColumns / 8; ++chunk) {
      const auto linear = static_cast<std::uint32_t>((row * kColumns + chunk * 8) * 2);
      expect(matrix.chunk(row, chunk).value == cute::Swizzle<3, 4, kShift>::apply(linear), "chunk of a shared matrix",
             kColumns, row, chunk);
    }
  }
}

// ---- Blackwell.

template <class Element>
using Theirs = std::conditional_t<
    std::is_same_v<Element, gpu::Float16>, cutlass::half_t,
    std::conditional_t<std::is_same_v<Element, gpu::BFloat16>, cutlass::bfloat16_t, cutlass::float_e4m3_t>>;

/// As for Hopper: the leading offset is compared where the hardware reads it.
void expect_same(gpu::TensorMatrix ours, const UMMA::SmemDescriptor& theirs, bool leading, const char* what, long a,
                 long b, long c) {
  UMMA::SmemDescriptor own;
  own.desc_ = ours.bits;
  expect(own.start_address_ == theirs.start_address_, what, a, b, c);
  expect(!leading || own.leading_byte_offset_ == theirs.leading_byte_offset_, what, a, b, c);
  expect(own.stride_byte_offset_ == theirs.stride_byte_offset_, what, a, b, c);
  expect(own.version_ == theirs.version_, what, a, b, c);
  expect(own.base_offset_ == theirs.base_offset_, what, a, b, c);
  expect(own.lbo_mode_ == theirs.lbo_mode_, what, a, b, c);
  expect(own.layout_type_ == theirs.layout_type_, what, a, b, c);
  if (!leading) own.leading_byte_offset_ = theirs.leading_byte_offset_;
  expect(own.desc_ == theirs.desc_, what, a, b, c);  // the bits of no field, too
}

/// What tensor_matrix() puts where.
void check_tensor_fields() {
  for (std::uint32_t start = 0; start < 256 * 1024; start += 32) {
    const std::uint32_t panel = start % (1 << 18) / 16 * 16;
    const std::uint32_t group = (start * 7 + 1024) % (1 << 18) / 16 * 16;
    UMMA::SmemDescriptor theirs;
    theirs.start_address_ = start >> 4;
    theirs.leading_byte_offset_ = panel >> 4;
    theirs.stride_byte_offset_ = group >> 4;
    theirs.version_ = 1;
    theirs.layout_type_ = static_cast<int>(UMMA::LayoutType::SWIZZLE_128B);
    const gpu::TensorMatrix ours = gpu::tensor_matrix({start}, panel, group);
    expect_same(ours, theirs, true, "tensor_matrix", start, panel, group);
    const std::uint32_t further = 96 + start % 4096 / 32 * 32;
    if (start + further >= 256 * 1024) continue;
    const UMMA::DescriptorIterator iterator{theirs};
    expect_same(ours + further, *(iterator + (further >> 4)), true, "tensor matrix's operator+", start, further, 0);
  }
}

/// product_shape(), for every number of columns that there is.
template <class Element, int kColumns, UMMA::Major kMajor>
void check_product_shape() {
  using Type = Theirs<Element>;
  const auto theirs = UMMA::make_instr_desc<Type, Type, float, gpu::kTensorLanes, kColumns, UMMA::Major::K, kMajor>();
  UMMA::InstrDescriptor own;
  own.desc_ = gpu::product_shape<Element>(kColumns, kMajor == UMMA::Major::MN).bits;
  const auto same = [](auto ours, auto other) { expect(ours == other, "product_shape", kColumns, sizeof(Type), 0); };
  same(own.sparse_id2_, theirs.sparse_id2_);
  same(own.sparse_flag_, theirs.sparse_flag_);
  same(own.saturate_, theirs.saturate_);
  same(own.c_format_, theirs.c_format_);
  same(own.a_format_, theirs.a_format_);
  same(own.b_format_, theirs.b_format_);
  same(own.a_negate_, theirs.a_negate_);
  same(own.b_negate_, theirs.b_negate_);
  same(own.a_major_, theirs.a_major_);
  same(own.b_major_, theirs.b_major_);
  same(own.n_dim_, theirs.n_dim_);
  same(own.m_dim_, theirs.m_dim_);
  same(own.max_shift_, theirs.max_shift_);
  same(own.desc_, theirs.desc_);  // the bits of no field, too
}
template <class Element>
void check_product_shapes() {
  [&]<int... kSteps>(std::integer_sequence<int, kSteps...>) {
    (check_product_shape<Element, 16 * (kSteps + 1), UMMA::Major::K>(), ...);
    (check_product_shape<Element, 16 * (kSteps + 1), UMMA::Major::MN>(), ...);
  }
  (std::make_integer_sequence<int, 16>{});
}

/// Columns as panels of two-byte elements have them: e4m3's panels of 128 are theirs of 64.
template <class Element, int kRows, int kColumns>
using Panels = kernel::PanelMatrix<kRows, kColumns* static_cast<int>(sizeof(Theirs<Element>)) / 2>;

template <class Matrix>
gpu::TensorMatrix tensor_rows(const Matrix& matrix, int row) {
  return gpu::tensor_matrix(matrix.base + static_cast<std::uint32_t>(row) * Matrix::kRowBytes, Matrix::kPanelBytes,
                            8 * Matrix::kRowBytes);
}

/// Operands of kTileRows rows whose depth runs along them, product after product.
template <class Element, int kRows, int kColumns, int kTileRows>
void check_tensor_along_rows(std::uint32_t base) {
  using namespace cute;
  using Type = Theirs<Element>;
  using Matrix = Panels<Element, kRows, kColumns>;
  constexpr int kDepth = gpu::kProductDepth<Element>;
  const Matrix ours{{base}};
  const auto layout = tile_to_shape(UMMA::Layout_K_SW128_Atom<Type>{}, Shape<Int<kRows>, Int<kColumns>>{});
  const auto theirs = make_tensor(make_smem_ptr(reinterpret_cast<Type*>(shared + base)), layout);
  for (int row = 0; row < kRows; row += kTileRows) {
    for (int depth = 0; depth < kColumns; depth += kDepth) {
      const auto tile =
          local_tile(theirs, Shape<Int<kTileRows>, Int<kDepth>>{}, make_coord(row / kTileRows, depth / kDepth));
      const int pairs = depth * static_cast<int>(sizeof(Type)) / 2;
      expect_same(tensor_rows(ours, row) + Matrix::along_rows_bytes(pairs), UMMA::make_umma_desc<UMMA::Major::K>(tile),
                  false, "tensor matrix along rows", kRows, row, depth);
    }
  }
}

/// Operands of all columns whose depth runs from row to row, product after product.
template <class Element, int kRows, int kColumns>
void check_tensor_across_rows(std::uint32_t base) {
  using namespace cute;
  using Type = Theirs<Element>;
  using Matrix = Panels<Element, kRows, kColumns>;
  constexpr int kDepth = gpu::kProductDepth<Element>;
  const Matrix ours{{base}};
  const auto layout =
      tile_to_shape(UMMA::Layout_MN_SW128_Atom<Type>{}, Shape<Int<kColumns>, Int<kRows>>{}, Step<_2, _1>{});
  const auto theirs = make_tensor(make_smem_ptr(reinterpret_cast<Type*>(shared + base)), layout);
  for (int depth = 0; depth < kRows; depth += kDepth) {
    const auto tile = local_tile(theirs, Shape<Int<kColumns>, Int<kDepth>>{}, make_coord(0, depth / kDepth));
    expect_same(tensor_rows(ours, 0) + Matrix::across_rows_bytes(depth), UMMA::make_umma_desc<UMMA::Major::MN>(tile),
                Matrix::kPanels > 1, "tensor matrix across rows", kRows, kColumns, depth);
  }
}

template <class Element, int kRows, int kColumns>
void check_tensor_matrix() {
  constexpr int kBytes = Panels<Element, kRows, kColumns>::kBytes;
  for (const std::uint32_t base : {0U, 1024U, 64U * 1024U, 163'840U}) {
    if (base + kBytes > sizeof(shared)) continue;
    check_tensor_along_rows<Element, kRows, kColumns, kRows>(base);
    if constexpr (kRows > 64) check_tensor_along_rows<Element, kRows, kColumns, 64>(base);
    if constexpr (kRows > 128) check_tensor_along_rows<Element, kRows, kColumns, 128>(base);
    check_tensor_across_rows<Element, kRows, kColumns>(base);
  }
}
template <class Element, int... kColumns>
void check_tensor_matrices() {
  (check_tensor_matrix<Element, 64, kColumns>(), ...);
  (check_tensor_matrix<Element, 128, kColumns>(), ...);
  (check_tensor_matrix<Element, 256, kColumns>(), ...);
}

/// CUTLASS's address of an element in tensor memory has the element's place in its column in the uppermost bits.
template <class Type>
std::uint32_t element_address(gpu::TensorAddress base, int row, int column) {
  constexpr int kInColumn = 4 / static_cast<int>(sizeof(Type));
  const gpu::TensorAddress address = gpu::at_lane(base, row) + static_cast<std::uint32_t>(column / kInColumn);
  return kInColumn == 1 ? address.bits
                        : address.bits | static_cast<std::uint32_t>(column % kInColumn) << (kInColumn == 2 ? 31 : 30);
}

/// Where a product has its sums, and where it reads `a`, from product to product.
template <class Element>
void check_tensor_memory() {
  using namespace cute;
  using Type = Theirs<Element>;
  constexpr int kDepth = gpu::kProductDepth<Element>;
  constexpr auto kMode = UMMA::TmemAllocMode::NonInterleaved;
  const auto left = UMMA::tmem_frg_1sm<Type, Type, kMode>::make(Shape<Shape<_128, Int<kDepth>>, _1, _8>{});
  const auto sums = UMMA::tmem_frg_1sm<float, std::int32_t, kMode>::make(Shape<Shape<_128, _256>, _1, _1>{});
  for (int row = 0; row < gpu::kTensorLanes; ++row) {
    for (int column = 0; column < 8 * kDepth; ++column) {
      const int product = column / kDepth;
      const auto theirs = left.data() + left.layout()(make_coord(make_coord(row, column % kDepth), 0, product));
      const gpu::TensorAddress ours = gpu::TensorAddress{0} + static_cast<std::uint32_t>(product) * 8;
      expect(element_address<Type>(ours, row, column % kDepth) == raw_pointer_cast(theirs), "a in tensor memory", row,
             column, sizeof(Type));
    }
    for (int column = 0; column < 256; ++column) {
      const auto theirs = sums.data() + sums.layout()(make_coord(make_coord(row, column), 0, 0));
      expect(element_address<float>({0}, row, column) == raw_pointer_cast(theirs), "sums in tensor memory", row, column,
             0);
    }
  }
}

/// What load_tensor() and store_tensor() bring where: the word of each thread and column.
template <class Load, class Store, int kColumns>
void check_tensor_words() {
  using Loads = cute::Copy_Traits<Load>;
  using Stores = cute::Copy_Traits<Store>;
  for (int thread = 0; thread < gpu::kWarpThreads; ++thread) {
    for (int column = 0; column < kColumns; ++column) {
      const std::uint32_t ours = element_address<float>({0}, thread, column);
      const auto loaded = typename Loads::ValID{}(typename Loads::DstLayout{}(thread, column * 32));
      const auto stored = typename Stores::ValID{}(typename Stores::SrcLayout{}(thread, column * 32));
      expect(ours == static_cast<std::uint32_t>(loaded / 32), "load_tensor", kColumns, thread, column);
      expect(ours == static_cast<std::uint32_t>(stored / 32), "store_tensor", kColumns, thread, column);
    }
  }
}

void check_blackwell() {
  check_tensor_fields();
  check_product_shapes<gpu::Float16>();
  check_product_shapes<gpu::BFloat16>();
  check_product_shapes<gpu::Float8E4M3>();
  check_tensor_matrices<gpu::Float16, 64, 128, 192>();
  check_tensor_matrices<gpu::BFloat16, 64, 128, 192>();
  check_tensor_matrices<gpu::Float8E4M3, 128, 256>();
  check_tensor_memory<gpu::Float16>();
  check_tensor_memory<gpu::BFloat16>();
  check_tensor_memory<gpu::Float8E4M3>();
  check_tensor_words<cute::SM100_TMEM_LOAD_32dp32b16x, cute::SM100_TMEM_STORE_32dp32b16x, 16>();
  check_tensor_words<cute::SM100_TMEM_LOAD_32dp32b32x, cute::SM100_TMEM_STORE_32dp32b32x, 32>();
  check_tensor_words<cute::SM100_TMEM_LOAD_32dp32b64x, cute::SM100_TMEM_STORE_32dp32b64x, 64>();
  check_tensor_words<cute::SM100_TMEM_LOAD_32dp32b128x, cute::SM100_TMEM_STORE_32dp32b128x, 128>();
}

}  // namespace

int main() {
  for (std::uint32_t address = 0; address < 256 * 1024; address += 2) {
    const cute::Swizzle<3, 4, 3> swizzle;
    expect(gpu::emulator::swizzled(address) == swizzle(address), "swizzle", address, 0, 0);
  }
  check_fields();
  check_columns<64>();
  check_columns<128>();
  check_columns<192>();
  check_columns<256>();
  check_shared_matrix<64, 3>();
  check_shared_matrix<128, 4>();
  check_shared_matrix<256, 5>();
  const long before = comparisons;
  check_blackwell();
  std::printf("of Blackwell: %ld comparisons\n", comparisons - before);
  std::printf("descriptors and swizzles against CUTLASS: %ld comparisons, %ld failed\n", comparisons, failures);
  return failures == 0 && comparisons > 0 ? 0 : 1;
}
