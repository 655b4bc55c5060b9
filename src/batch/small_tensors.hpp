// How the tensors are read that may have any strides: block tables, and scales, which may broadcast.
#pragma once

#include <bit>
#include <cstdint>

#include "varlen/tensor.hpp"

namespace varlen {

/// Entry `place` of a request's row of a block table of 32 or 64 bits.
inline std::int64_t page_number(const TensorView& table, std::int64_t request, std::int64_t place) {
  const std::int64_t at = request * table.strides[0] + place * table.strides[1];
  if (table.dtype == Dtype::kInt64) return static_cast<const std::int64_t*>(table.data)[at];
  return static_cast<const std::int32_t*>(table.data)[at];
}

/// The same block table as 32-bit numbers, for kernels, which then need no second way to read it: a little-endian entry
/// of 64 bits begins with its low half, which is all of a page number below 2^31.
inline TensorView narrow_block_table(TensorView table) {
  static_assert(std::endian::native == std::endian::little);
  if (table.dtype != Dtype::kInt64) return table;
  table.dtype = Dtype::kInt32;
  for (std::int64_t& stride : table.strides) stride *= 2;
  return table;
}

/// Elements from one request's scale to the next one's, and from one KV head's to the next one's; 0 where one scale is
/// for all.
struct ScaleStrides {
  std::int64_t request;
  std::int64_t kv_head;
};

/// Of a validated scale tensor: [requests, kv_heads], with 1 for either, or [1].
inline ScaleStrides scale_strides(const TensorView& scales) {
  if (scales.rank == 1) return {0, 0};
  return {scales.shape[0] == 1 ? 0 : scales.strides[0], scales.shape[1] == 1 ? 0 : scales.strides[1]};
}

}  // namespace varlen
