// Our matrix descriptors and swizzled addresses against those of CUTLASS, computed by its own headers on the host.
// scripts/check-descriptors builds and runs this.
//
// What kernels hand to warpgroup_multiply() comes from kernel/panel_memory.hpp; CUTLASS makes the same of a tensor in
// shared memory with one of its canonical layouts, cut to the operand of one instruction.
#include <cstddef>
#include <cstdint>
#include <cstdio>

// CUTLASS asks the compiler for an address in shared memory. Here that is an offset in this array.
alignas(1024) static std::byte shared[256 * 1024];
inline std::size_t __cvta_generic_to_shared(const void* address) {
  return static_cast<std::size_t>(static_cast<const std::byte*>(address) - shared);
}
#define CUTE_CVTA_GENERIC_TO_SHARED_ACTIVATED 1

#include <cutlass/half.h>

#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cute/swizzle_layout.hpp>
#include <cute/tensor.hpp>

#include "gpu/emulator/shared_memory.hpp"
#include "kernel/panel_memory.hpp"
#include "kernel/tile_memory.hpp"

namespace {

using namespace varlen;
namespace GMMA = cute::SM90::GMMA;
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
  const kernel::SharedMatrix<64, kColumns> matrix{{0}};
  for (int row = 0; row < 64; ++row) {
    for (int chunk = 0; chunk < kColumns / 8; ++chunk) {
      const auto linear = static_cast<std::uint32_t>((row * kColumns + chunk * 8) * 2);
      expect(matrix.chunk(row, chunk).value == cute::Swizzle<3, 4, kShift>::apply(linear), "chunk of a shared matrix",
             kColumns, row, chunk);
    }
  }
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
  std::printf("descriptors and swizzles against CUTLASS: %ld comparisons, %ld failed\n", comparisons, failures);
  return failures == 0 && comparisons > 0 ? 0 : 1;
}
