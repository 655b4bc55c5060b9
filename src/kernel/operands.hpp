// What mma.sync multiplies with queries and weights, from chunks of 16 bytes in shared memory as ldmatrix loads them,
// four matrices at a time.
//
// Elements of two bytes are operands as they are. Those of one byte become fp16 on the way, and four matrices of them
// are the operands of twice as many tiles. In the depth of a product any order will do if both sides have it. Of a key
// a lane gets four columns beside each other, where a product wants two from each half of its sixteen: it takes the
// first two for the first half, and queries are put in that order (load_widened_rows()). Columns of values come two to
// what ldmatrix takes for one element: even ones make one tile of columns and odd ones another, which
// put_columns_in_order() sorts out in the end.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"

namespace varlen::kernel {

/// What elements of this type are multiplied as.
template <class Element>
struct Multiplied {
  using Type = Element;
};
template <>
struct Multiplied<gpu::Float8E4M3> {
  using Type = gpu::Float16;
};

/// Operands [16 × 8 keys] of the scores, for kTiles tiles of eight keys and kProducts products of sixteen columns: as
/// many as four matrices hold.
template <class Element, int kTiles_>
struct KeyOperands {
  static constexpr int kTiles = kTiles_;
  static constexpr int kTileChunks = 4 / kTiles;  // beside each other
  static constexpr int kProducts = kTileChunks * 16 / gpu::kElementBytes<Element> / 16;
  std::uint32_t word[kProducts][kTiles][2];

  // Where a lane loads from: all chunks of the first tile, then of the next.
  VARLEN_DEVICE static constexpr int lane_key(int lane) { return lane / (8 * kTileChunks) * 8 + lane % 8; }
  VARLEN_DEVICE static constexpr int lane_chunk(int lane) { return lane / 8 % kTileChunks; }

  VARLEN_DEVICE explicit KeyOperands(const std::uint32_t (&loaded)[4]) {
    VARLEN_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int tile = i / kTileChunks;
      const int chunk = i % kTileChunks;
      if constexpr (gpu::kElementBytes<Element> == 2) {
        word[chunk / 2][tile][chunk % 2] = loaded[i];
      } else {
        gpu::widen_e4m3(loaded[i], word[chunk][tile][0], word[chunk][tile][1]);
      }
    }
  }
};

/// Operands [16 keys × 8 columns] of the sums, loaded transposed: keys 0-7 and 8-15 of one chunk of columns, then of
/// the next.
template <class Element>
struct ValueOperands {
  static constexpr int kTiles = 4 / gpu::kElementBytes<Element>;  // of eight columns
  std::uint32_t word[kTiles][2];

  VARLEN_DEVICE explicit ValueOperands(const std::uint32_t (&loaded)[4]) {
    VARLEN_UNROLL
    for (int tile = 0; tile < kTiles; ++tile) {
      if constexpr (gpu::kElementBytes<Element> == 2) {
        word[tile][0] = loaded[2 * tile];
        word[tile][1] = loaded[2 * tile + 1];
      } else {
        constexpr std::uint32_t kColumns[2] = {0x6420, 0x7531};  // even ones, odd ones
        const int chunk = tile / 2 * 2;
        const std::uint32_t four = gpu::select_bytes(loaded[chunk], loaded[chunk + 1], kColumns[tile % 2]);
        gpu::widen_e4m3(four, word[tile][0], word[tile][1]);
      }
    }
  }
};

}  // namespace varlen::kernel
