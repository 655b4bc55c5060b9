// Matrices in shared memory as a warpgroup's products want them, and how rows of tensors come into them.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"
#include "kernel/tile_memory.hpp"

namespace varlen::kernel {

/// A matrix of two-byte elements in panels of 64 columns, [kColumns / 64][kRows][64], swizzled as gpu::MatrixDescriptor
/// says.
template <int kRows_, int kColumns_>
struct PanelMatrix {
  static constexpr int kRows = kRows_;
  static constexpr int kPanels = kColumns_ / 64;
  static constexpr std::uint32_t kRowBytes = 128;
  static constexpr std::uint32_t kPanelBytes = kRows * kRowBytes;
  static constexpr int kBytes = kPanels * static_cast<int>(kPanelBytes);
  static_assert(kColumns_ % 64 == 0 && kRows % 16 == 0);

  gpu::SharedAddress base;

  /// Rows from `row` (a multiple of 8) on, for products whose depth runs along rows; and how far on the depth is.
  VARLEN_DEVICE gpu::MatrixDescriptor along_rows(int row) const {
    return gpu::matrix_descriptor(base + static_cast<std::uint32_t>(row) * kRowBytes, kPanelBytes, 8 * kRowBytes);
  }
  VARLEN_DEVICE static constexpr std::uint32_t along_rows_bytes(int depth) {
    return static_cast<std::uint32_t>(depth / 64) * kPanelBytes + static_cast<std::uint32_t>(depth % 64 * 2);
  }
  /// All rows, for products whose depth runs from row to row.
  VARLEN_DEVICE gpu::MatrixDescriptor across_rows() const {
    return gpu::matrix_descriptor(base, kPanelBytes, 8 * kRowBytes);
  }
  VARLEN_DEVICE static constexpr std::uint32_t across_rows_bytes(int depth) {
    return static_cast<std::uint32_t>(depth) * kRowBytes;
  }
};

/// A thread's share of the copies into a panel matrix by kThreads threads: one chunk in every row that is as many rows
/// on as they reach at a time.
template <class Matrix, int kThreads>
class PanelCopy {
 public:
  static constexpr int kStepRows = kThreads / 8;
  static_assert(kStepRows % 8 == 0, "all of a thread's chunks are swizzled alike");

  VARLEN_DEVICE PanelCopy(const Matrix& matrix, int thread)
      : first_row_(thread / 8),
        chunk_(thread % 8),
        to_(matrix.base + static_cast<std::uint32_t>(first_row_) * Matrix::kRowBytes +
            static_cast<std::uint32_t>((chunk_ ^ (first_row_ % 8)) * 16)) {}

  /// Starts to bring rows that lie `row_stride` elements apart from `first` on. Rows from `rows` on and columns from
  /// `head_dim` on become zeros without anything being read.
  VARLEN_DEVICE void strided(const std::uint16_t* first, std::int64_t row_stride, int rows, int head_dim) const {
    VARLEN_UNROLL_BY(1)
    for (int panel = 0; panel < Matrix::kPanels; ++panel) {
      const std::uint16_t* from = first + first_row_ * row_stride + column(panel);
      const int present_rows = column(panel) < head_dim ? rows : 0;
      VARLEN_UNROLL
      for (int step = 0; step < Matrix::kRows / kStepRows; ++step) {
        const bool present = first_row_ + step * kStepRows < present_rows;
        gpu::copy_async_16(place(panel, step), present ? from : first, present);
        from += kStepRows * row_stride;
      }
    }
  }

  /// The same for rows that lie anywhere: `offset_of(row)` is the element offset of a row's data from `data`, asked for
  /// the first `rows` rows only.
  template <class Offset>
  VARLEN_DEVICE void scattered(const std::uint16_t* data, int rows, int head_dim, const Offset& offset_of) const {
    VARLEN_UNROLL_BY(1)
    for (int step = 0; step < Matrix::kRows / kStepRows; ++step) {
      const int row = first_row_ + step * kStepRows;
      const std::uint16_t* const from = row < rows ? data + offset_of(row) : data;
      VARLEN_UNROLL
      for (int panel = 0; panel < Matrix::kPanels; ++panel) {
        const bool present = row < rows && column(panel) < head_dim;
        gpu::copy_async_16(place(panel, step), present ? from + column(panel) : data, present);
      }
    }
  }

 private:
  VARLEN_DEVICE int column(int panel) const { return panel * 64 + chunk_ * kChunkElements; }
  VARLEN_DEVICE gpu::SharedAddress place(int panel, int step) const {
    return to_ + static_cast<std::uint32_t>(panel) * Matrix::kPanelBytes +
           static_cast<std::uint32_t>(step * kStepRows) * Matrix::kRowBytes;
  }

  const int first_row_;
  const int chunk_;
  const gpu::SharedAddress to_;
};

}  // namespace varlen::kernel
