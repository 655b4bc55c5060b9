// A tensor map of the emulator: a TensorBox, word by word. (PTX ISA: Tensors, tiled mode: bounding box, traversal
// stride, out-of-boundary access; swizzling modes.)
#pragma once

#include <cstdint>
#include <cstring>

#include "gpu/operations.hpp"

namespace varlen::gpu::emulator {

struct Box : TensorBox {
  bool touches_tensor(const BoxPlace& place) const {
    bool touches = true;
    for (int d = 0; d < kBoxRank; ++d) touches = touches && place[d] < sizes[d] && place[d] + box[d] > 0;
    return touches;
  }

  /// The hardware refuses to store a box that begins before the tensor in any dimension (an illegal instruction on
  /// H100, found by gpu_check fidelity-operations), though it loads such a box and fills what is missing with zeros.
  static bool may_be_stored(const BoxPlace& place) {
    bool begins_inside = true;
    for (int d = 0; d < kBoxRank; ++d) begins_inside = begins_inside && place[d] >= 0;
    return begins_inside;
  }

  /// The first dimension runs fastest. What lies outside in any dimension, on either side, is zeros when loaded and is
  /// not stored; a load brings the bytes of the whole box all the same (PTX ISA: cp.async.bulk.tensor, complete_tx).
  /// Calls visit(offset in the box, address) for every 16 bytes of the box at this place, before swizzling; the address
  /// is 0 outside of the tensor.
  template <class Visit>
  void visit_chunks(const BoxPlace& place, const Visit& visit) const {
    constexpr std::int64_t kChunkElements = 8;
    std::int64_t offset = 0;
    std::int64_t at[kBoxRank];
    const auto visit_rows = [&](const auto& self, int d) -> void {
      if (d > 0) {
        for (at[d] = place[d]; at[d] < std::int64_t{place[d]} + box[d]; ++at[d]) self(self, d - 1);
        return;
      }
      for (at[0] = place[0]; at[0] < std::int64_t{place[0]} + box[0]; at[0] += kChunkElements) {
        visit(offset, address(at));
        offset += 2 * kChunkElements;
      }
    };
    visit_rows(visit_rows, kBoxRank - 1);
  }

 private:
  std::uintptr_t address(const std::int64_t (&at)[kBoxRank]) const {
    std::int64_t bytes = 2 * at[0];
    for (int d = 0; d < kBoxRank; ++d) {
      if (at[d] < 0 || at[d] >= sizes[d]) return 0;
      if (d > 0) bytes += at[d] * strides[d - 1];
    }
    return base + static_cast<std::uint64_t>(bytes);
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
