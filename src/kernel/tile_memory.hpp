// Matrices in shared memory, rows of 16-byte chunks, and how rows of tensors come into them.
#pragma once

#include <cstdint>
#include <type_traits>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"
#include "kernel/row_range.hpp"

namespace varlen::kernel {

/// A matrix of kRows rows of kColumns elements. Chunk c of row r lies at place c ^ flip(r) of the row, so that the
/// chunks c of eight rows in sequence are in different banks: there is room for eight chunks beside each other, which
/// are those of one row, or four of one and four of the next.
template <class Element, int kRows_, int kColumns_>
struct SharedMatrix {
  using Bits = std::conditional_t<gpu::kElementBytes<Element> == 1, std::uint8_t, std::uint16_t>;  // of an element
  static constexpr int kRows = kRows_;
  static constexpr int kChunkElements = 16 / gpu::kElementBytes<Element>;
  static constexpr int kChunks = kColumns_ / kChunkElements;  // of a row
  static constexpr int kBytes = kRows * kChunks * 16;
  static_assert(kChunks % 4 == 0);

  gpu::SharedAddress base;

  VARLEN_DEVICE static constexpr int flip(int row) { return kChunks % 8 == 0 ? row % 8 : row / 2 % 4; }
  VARLEN_DEVICE gpu::SharedAddress chunk(int row, int chunk) const {
    return base + static_cast<std::uint32_t>((row * kChunks + (chunk ^ flip(row))) * 16);
  }

  /// chunk(row + rows, chunk) for a fixed `row` and any `rows` that is a multiple of 8: one exclusive or and an
  /// addition of what is mostly known at compile time.
  class Lane {
   public:
    VARLEN_DEVICE Lane(const SharedMatrix& matrix, int row, int first_chunk)
        : row_(matrix.base + static_cast<std::uint32_t>(row * kChunks * 16)),
          flip_(static_cast<std::uint32_t>((first_chunk ^ flip(row)) * 16)) {
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

/// A chunk of a row that begins anywhere, or ends within the chunk: element by element, of the first `count` at most. A
/// multiple of eight.
template <class Bits>
VARLEN_DEVICE gpu::Words4 load_elements(const Bits* from, int count) {
  constexpr int kWordElements = 4 / static_cast<int>(sizeof(Bits));
  gpu::Words4 value{};
  VARLEN_UNROLL
  for (int word = 0; word < 4; ++word) {
    if (word * kWordElements >= count) break;
    VARLEN_UNROLL
    for (int i = 0; i < kWordElements; ++i) {
      const std::uint32_t bits = gpu::load_global(from + word * kWordElements + i);
      value.word[word] |= bits << (i * 8 * static_cast<int>(sizeof(Bits)));
    }
  }
  return value;
}

/// Starts to bring `rows` into a matrix, by kThreads threads together. `offset_of(row)` is the element offset of a
/// row's data, called for these rows only; other rows and columns from head_dim on become zeros without anything being
/// read.
template <int kThreads, class Matrix, class Offset>
VARLEN_DEVICE void load_rows(const Matrix& matrix, const RowAddresses& tensor, const RowRange& rows, int head_dim,
                             const Offset& offset_of) {
  constexpr int kAll = Matrix::kRows * Matrix::kChunks;
  using Bits = typename Matrix::Bits;
  constexpr int kChunkElements = Matrix::kChunkElements;
  const auto* const data = static_cast<const Bits*>(tensor.data);
  const int thread = gpu::fresh_thread_index();
  VARLEN_UNROLL_BY(2)  // enough in flight; more addresses would cost the registers of the sums
  for (int step = 0; step < (kAll + kThreads - 1) / kThreads; ++step) {
    const int index = step * kThreads + thread;
    if (kAll % kThreads != 0 && index >= kAll) break;
    const int row = index / Matrix::kChunks;
    const int chunk = index % Matrix::kChunks;
    const bool present = rows.contain(row) && chunk * kChunkElements < head_dim;
    const Bits* const from = present ? data + offset_of(row) + chunk * kChunkElements : data;
    if (tensor.in_chunks) {
      gpu::copy_async_16(matrix.chunk(row, chunk), from, present);
      continue;
    }
    gpu::store_shared(matrix.chunk(row, chunk), load_elements(from, present ? head_dim - chunk * kChunkElements : 0));
  }
}

/// The same for rows that lie `row_stride` elements apart from row 0, `first`, on, each 16-byte aligned: the usual
/// case, without an address to work out for each chunk.
template <int kThreads, class Matrix>
VARLEN_DEVICE void load_strided_rows(const Matrix& matrix, const typename Matrix::Bits* first, std::int64_t row_stride,
                                     const RowRange& rows, int head_dim) {
  constexpr int kChunkElements = Matrix::kChunkElements;
  static_assert(kThreads % Matrix::kChunks == 0, "a thread copies the same chunk of every row that it copies of");
  constexpr int kStepRows = kThreads / Matrix::kChunks;
  static_assert(Matrix::kRows % kStepRows == 0);
  const int thread = gpu::fresh_thread_index();
  const int chunk = thread % Matrix::kChunks;
  const int first_row = thread / Matrix::kChunks;
  const typename Matrix::Bits* from = first + first_row * row_stride + chunk * kChunkElements;
  const RowRange present_rows = {rows.begin, chunk * kChunkElements < head_dim ? rows.end : rows.begin};
  const std::int64_t step_elements = kStepRows * row_stride;
  const typename Matrix::Lane lane(matrix, first_row, chunk);
  VARLEN_UNROLL
  for (int step = 0; step < Matrix::kRows / kStepRows; ++step) {
    const int row = first_row + step * kStepRows;
    const bool present = present_rows.contain(row);
    const gpu::SharedAddress to = kStepRows % 8 == 0 ? lane.chunk(step * kStepRows, 0) : matrix.chunk(row, chunk);
    gpu::copy_async_16(to, present ? from : first, present);
    from += step_elements;
  }
}

/// As load_rows(), of e4m3 into the first `needed` rows of a matrix of fp16; all is there when the call returns. In
/// each sixteen columns stand those first that KeyOperands have in the first half of a product's depth: of every four,
/// the first two.
template <int kThreads, class Matrix, class Offset>
VARLEN_DEVICE void load_widened_rows(const Matrix& matrix, const RowAddresses& tensor, int rows, int needed,
                                     int head_dim, const Offset& offset_of) {
  constexpr int kElements = 16;
  constexpr int kRowChunks = Matrix::kChunks / 2;
  constexpr int kAtOnce = 4;  // of a thread, on their way at the same time
  const auto* const data = static_cast<const std::uint8_t*>(tensor.data);
  const int thread = gpu::fresh_thread_index();
  for (int begin = thread; begin < needed * kRowChunks; begin += kAtOnce * kThreads) {
    gpu::Words4 loaded[kAtOnce];
    VARLEN_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      const int index = begin + i * kThreads;
      const int row = index / kRowChunks;
      const int column = index % kRowChunks * kElements;
      loaded[i] = {};
      if (row < rows && column < head_dim) {
        const std::uint8_t* const from = data + offset_of(row) + column;
        loaded[i] = tensor.in_chunks ? gpu::load_global(reinterpret_cast<const gpu::Words4*>(from))
                                     : load_elements(from, head_dim - column);
      }
    }
    VARLEN_UNROLL
    for (int i = 0; i < kAtOnce; ++i) {
      const int index = begin + i * kThreads;
      if (index >= needed * kRowChunks) break;
      gpu::Words4 first;
      gpu::Words4 second;
      VARLEN_UNROLL
      for (int word = 0; word < 4; ++word) {
        gpu::widen_e4m3(loaded[i].word[word], first.word[word], second.word[word]);
      }
      const int row = index / kRowChunks;
      const int chunk = index % kRowChunks * 2;
      gpu::store_shared(matrix.chunk(row, chunk), first);
      gpu::store_shared(matrix.chunk(row, chunk + 1), second);
    }
  }
}

}  // namespace varlen::kernel
