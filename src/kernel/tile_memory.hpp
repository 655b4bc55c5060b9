// Matrices of two-byte elements in shared memory, rows of 16-byte chunks, and how rows of tensors come into them.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"

namespace varlen::kernel {

inline constexpr int kChunkElements = 8;  // of two bytes: 16 bytes

/// A matrix of kRows rows of kColumns elements. Chunk c of row r lies at place c ^ (r % 8) of the row, so that the
/// chunks c of eight rows in sequence are in different banks.
template <int kRows_, int kColumns_>
struct SharedMatrix {
  static constexpr int kRows = kRows_;
  static constexpr int kChunks = kColumns_ / kChunkElements;  // of a row
  static constexpr int kBytes = kRows * kColumns_ * 2;
  static_assert(kChunks % 8 == 0);

  gpu::SharedAddress base;

  VARLEN_DEVICE gpu::SharedAddress chunk(int row, int chunk) const {
    return base + static_cast<std::uint32_t>((row * kChunks + (chunk ^ (row % 8))) * 16);
  }

  /// chunk(row + rows, chunk) for a fixed `row` and any `rows` that is a multiple of 8: one exclusive or and an
  /// addition of what is mostly known at compile time.
  class Lane {
   public:
    VARLEN_DEVICE Lane(const SharedMatrix& matrix, int row, int first_chunk)
        : row_(matrix.base + static_cast<std::uint32_t>(row * kChunks * 16)),
          flip_(static_cast<std::uint32_t>((first_chunk ^ (row % 8)) * 16)) {
      gpu::forget(flip_);  // or all chunks' addresses would be kept in registers throughout the loop over keys
    }
    /// `chunk` counts from the first chunk and is a multiple of as many as the lanes' first chunks differ by.
    VARLEN_DEVICE gpu::SharedAddress chunk(int rows, int chunk) const {
      return row_ +
             ((static_cast<std::uint32_t>(chunk * 16) ^ flip_) + static_cast<std::uint32_t>(rows * kChunks * 16));
    }

   private:
    gpu::SharedAddress row_;
    std::uint32_t flip_;
  };
};

/// The thread's index, as if it changed: or all that follows from it would be kept in registers throughout the loop
/// over keys, where they are short.
VARLEN_DEVICE int fresh_thread_index() {
  auto index = static_cast<std::uint32_t>(gpu::thread_index());
  gpu::forget(index);
  return static_cast<int>(index);
}

/// Starts to bring rows into a matrix, by kThreads threads together. `offset_of(row)` is the element offset of a row's
/// data, called for the first `rows` rows only; rows after them and columns from head_dim on become zeros without
/// anything being read.
template <int kThreads, class Matrix, class Offset>
VARLEN_DEVICE void load_rows(const Matrix& matrix, const RowAddresses& tensor, int rows, int head_dim,
                             const Offset& offset_of) {
  constexpr int kAll = Matrix::kRows * Matrix::kChunks;
  const auto* const data = static_cast<const std::uint16_t*>(tensor.data);
  const int thread = fresh_thread_index();
  VARLEN_UNROLL_BY(2)  // enough in flight; more addresses would cost the registers of the sums
  for (int step = 0; step < (kAll + kThreads - 1) / kThreads; ++step) {
    const int index = step * kThreads + thread;
    if (kAll % kThreads != 0 && index >= kAll) break;
    const int row = index / Matrix::kChunks;
    const int chunk = index % Matrix::kChunks;
    const bool present = row < rows && chunk * kChunkElements < head_dim;
    const std::uint16_t* const from = present ? data + offset_of(row) + chunk * kChunkElements : data;
    if (tensor.in_chunks) {
      gpu::copy_async_16(matrix.chunk(row, chunk), from, present);
      continue;
    }
    // Rows that begin anywhere: element by element.
    gpu::Words4 value{};
    for (int word = 0; present && word < 4; ++word) {
      const std::uint32_t low = gpu::load_global(from + 2 * word);
      const std::uint32_t high = gpu::load_global(from + 2 * word + 1);
      value.word[word] = low | high << 16;
    }
    gpu::store_shared(matrix.chunk(row, chunk), value);
  }
}

/// The same for rows that lie `row_stride` elements apart from `first` on, each 16-byte aligned: the usual case,
/// without an address to work out for each chunk.
template <int kThreads, class Matrix>
VARLEN_DEVICE void load_strided_rows(const Matrix& matrix, const std::uint16_t* first, std::int64_t row_stride,
                                     int rows, int head_dim) {
  static_assert(kThreads % Matrix::kChunks == 0, "a thread copies the same chunk of every row that it copies of");
  constexpr int kStepRows = kThreads / Matrix::kChunks;
  static_assert(Matrix::kRows % kStepRows == 0);
  const int thread = fresh_thread_index();
  const int chunk = thread % Matrix::kChunks;
  const int first_row = thread / Matrix::kChunks;
  const std::uint16_t* from = first + first_row * row_stride + chunk * kChunkElements;
  const int present_rows = chunk * kChunkElements < head_dim ? rows : 0;
  const std::int64_t step_elements = kStepRows * row_stride;
  const typename Matrix::Lane lane(matrix, first_row, chunk);
  VARLEN_UNROLL
  for (int step = 0; step < Matrix::kRows / kStepRows; ++step) {
    const int row = first_row + step * kStepRows;
    const bool present = row < present_rows;
    const gpu::SharedAddress to = kStepRows % 8 == 0 ? lane.chunk(step * kStepRows, 0) : matrix.chunk(row, chunk);
    gpu::copy_async_16(to, present ? from : first, present);
    from += step_elements;
  }
}

}  // namespace varlen::kernel
