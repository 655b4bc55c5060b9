// The page numbers of a call, in whichever of the three forms of Tensors they are given.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "varlen/batch.hpp"

namespace varlen {

/// Element `index` of a one-dimensional tensor of 32- or 64-bit integers.
inline std::int64_t integer_at(const TensorView& view, std::int64_t index) {
  const std::int64_t at = index * view.strides[0];
  if (view.dtype == Dtype::kInt64) return static_cast<const std::int64_t*>(view.data)[at];
  return static_cast<const std::int32_t*>(view.data)[at];
}

/// The page numbers of one request.
struct PageEntries {
  std::int64_t row;    ///< of the block table; 0 of page_indices
  std::int64_t first;  ///< place of the first entry in the row, or in page_indices
  TensorView numbers;  ///< [entries]

  std::int64_t size() const { return numbers.shape[0]; }
  std::int64_t operator[](std::int64_t place) const { return integer_at(numbers, place); }
};

/// `size` numbers from `offset` elements on.
inline TensorView numbers_at(TensorView view, std::int64_t offset, std::int64_t size, std::int64_t stride) {
  if (view.present()) view.data = static_cast<std::byte*>(view.data) + offset * dtype_size(view.dtype);
  view.rank = 1;
  view.shape[0] = size;
  view.strides[0] = stride;
  return view;
}

/// Of tensors in host memory whose layouts are valid. None if the block table has no such row, or page_indices no such
/// range.
inline std::optional<PageEntries> page_entries(const Tensors& tensors, std::int64_t request) {
  if (tensors.page_indptr.present()) {
    const std::int64_t begin = integer_at(tensors.page_indptr, request);
    const std::int64_t end = integer_at(tensors.page_indptr, request + 1);
    const TensorView& indices = tensors.page_indices;
    if (begin < 0 || end < begin || end > (indices.present() ? indices.shape[0] : 0)) return std::nullopt;
    return PageEntries{0, begin, numbers_at(indices, begin * indices.strides[0], end - begin, indices.strides[0])};
  }
  const TensorView& table = tensors.block_table;
  const std::int64_t row = tensors.block_table_rows.present() ? integer_at(tensors.block_table_rows, request) : request;
  if (row < 0 || row >= (table.present() ? table.shape[0] : 0)) return std::nullopt;
  return PageEntries{row, 0, numbers_at(table, row * table.strides[0], table.shape[1], table.strides[1])};
}

/// The same tensor as 32-bit numbers, for kernels, which then need no second way to read it: a little-endian number of
/// 64 bits begins with its low half, which is all of one below 2^31.
inline TensorView narrow_integers(TensorView view) {
  static_assert(std::endian::native == std::endian::little);
  if (view.dtype != Dtype::kInt64) return view;
  view.dtype = Dtype::kInt32;
  for (std::int64_t& stride : view.strides) stride *= 2;
  return view;
}

}  // namespace varlen
