// A tensor map of the emulator: a TensorBox, word by word.
#pragma once

#include <cstdint>
#include <cstring>

#include "gpu/operations.hpp"

namespace varlen::gpu::emulator {

struct Box : TensorBox {
  bool touches_tensor(const std::int32_t (&at)[4]) const {
    bool touches = true;
    for (int d = 0; d < 4; ++d) touches = touches && at[d] < sizes[d] && at[d] + box[d] > 0;
    return touches;
  }

  /// Calls visit(offset in the box, address) for every 16 bytes of the box at these coordinates, before swizzling; the
  /// address is null outside of the tensor.
  template <class Visit>
  void visit_chunks(const std::int32_t (&at)[4], const Visit& visit) const {
    constexpr std::int64_t kChunkElements = 8;
    std::int64_t offset = 0;
    for (std::int64_t w = at[3]; w < at[3] + box[3]; ++w) {
      for (std::int64_t z = at[2]; z < at[2] + box[2]; ++z) {
        for (std::int64_t y = at[1]; y < at[1] + box[1]; ++y) {
          for (std::int64_t x = at[0]; x < at[0] + box[0]; x += kChunkElements, offset += 2 * kChunkElements) {
            visit(offset, address(x, y, z, w));
          }
        }
      }
    }
  }

 private:
  const void* address(std::int64_t x, std::int64_t y, std::int64_t z, std::int64_t w) const {
    const std::int64_t at[] = {x, y, z, w};
    for (int d = 0; d < 4; ++d) {
      if (at[d] < 0 || at[d] >= sizes[d]) return nullptr;
    }
    const std::int64_t bytes = 2 * x + y * strides[0] + z * strides[1] + w * strides[2];
    return reinterpret_cast<const void*>(base + static_cast<std::uint64_t>(bytes));
  }
};
static_assert(sizeof(Box) <= sizeof(TensorMap));

inline TensorMap encode_tensor_map(const TensorBox& box) {
  TensorMap map{};
  std::memcpy(&map, &box, sizeof(TensorBox));
  return map;
}
inline Box decode_tensor_map(const TensorMap& map) {
  Box box{};
  std::memcpy(static_cast<TensorBox*>(&box), &map, sizeof(TensorBox));
  return box;
}

}  // namespace varlen::gpu::emulator
