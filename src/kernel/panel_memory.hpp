// Matrices in shared memory as products of warpgroups and of tensor memory, and boxes, want them.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"

namespace varlen::kernel {

/// A matrix in panels of 128 bytes of columns, [panels][kRows][128 bytes], swizzled as gpu::MatrixDescriptor says. The
/// last panel may be half empty: 64 columns are half a panel if elements have one byte.
template <int kRows_, int kColumns_, int kElementBytes_ = 2>
struct PanelMatrix {
  static constexpr int kRows = kRows_;
  static constexpr int kColumns = kColumns_;
  static constexpr int kElementBytes = kElementBytes_;
  static constexpr std::uint32_t kRowBytes = 128;
  static constexpr int kPanels = (kColumns * kElementBytes + 127) / 128;
  static constexpr std::uint32_t kPanelBytes = kRows * kRowBytes;
  static constexpr int kBytes = kPanels * static_cast<int>(kPanelBytes);
  static_assert(kColumns % 64 == 0 && kRows % 16 == 0);

  gpu::SharedAddress base;

  VARLEN_DEVICE gpu::SharedAddress panel(int panel) const {
    return base + static_cast<std::uint32_t>(panel) * kPanelBytes;
  }

  /// Rows from `row` (a multiple of 8) on, for products whose depth runs along rows; and how far on the depth is.
  VARLEN_DEVICE gpu::MatrixDescriptor along_rows(int row) const {
    return gpu::matrix_descriptor(base + static_cast<std::uint32_t>(row) * kRowBytes, kPanelBytes, 8 * kRowBytes);
  }
  VARLEN_DEVICE static constexpr std::uint32_t along_rows_bytes(int depth) {
    const int bytes = depth * kElementBytes;
    return static_cast<std::uint32_t>(bytes / 128) * kPanelBytes + static_cast<std::uint32_t>(bytes % 128);
  }
  /// All rows, for products whose depth runs from row to row.
  VARLEN_DEVICE gpu::MatrixDescriptor across_rows() const {
    return gpu::matrix_descriptor(base, kPanelBytes, 8 * kRowBytes);
  }
  VARLEN_DEVICE static constexpr std::uint32_t across_rows_bytes(int depth) {
    return static_cast<std::uint32_t>(depth) * kRowBytes;
  }

  /// Chunk `chunk` of 16 bytes of a row.
  VARLEN_DEVICE gpu::SharedAddress chunk(int row, int chunk) const {
    return base + (static_cast<std::uint32_t>(row) * kRowBytes + static_cast<std::uint32_t>(chunk / 8) * kPanelBytes +
                   static_cast<std::uint32_t>((chunk % 8 ^ row % 8) * 16));
  }

  VARLEN_DEVICE void clear_row(int row) const {
    VARLEN_UNROLL_BY(1)
    for (int c = 0; c < kColumns * kElementBytes / 16; ++c) gpu::store_shared(chunk(row, c), {});
  }

  /// Chunks of 16 bytes of one row, from chunk `first` (0 or 1) on.
  class Lane {
   public:
    VARLEN_DEVICE Lane(const PanelMatrix& matrix, int row, int first)
        : row_(matrix.base + static_cast<std::uint32_t>(row) * kRowBytes),
          flip_(static_cast<std::uint32_t>((first ^ (row % 8)) * 16)) {}
    /// `chunk` is even and counts from the first.
    VARLEN_DEVICE gpu::SharedAddress chunk(int chunk) const {
      return row_ + (static_cast<std::uint32_t>(chunk / 8) * kPanelBytes +
                     (static_cast<std::uint32_t>(chunk % 8 * 16) ^ flip_));
    }

   private:
    gpu::SharedAddress row_;
    std::uint32_t flip_;
  };
};

}  // namespace varlen::kernel
