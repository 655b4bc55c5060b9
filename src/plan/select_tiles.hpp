// Which tile shapes one request gets. Depends on its own lengths only.
#pragma once

#include <limits>

#include "batch/ragged_batch.hpp"
#include "plan/tile_geometry.hpp"
#include "varlen/plan.hpp"

namespace varlen {

/// How a KV head's group of query heads lies in a tile of a given shape.
struct HeadPacking {
  std::int32_t tile_tokens;
  std::int32_t heads_per_tile;
  std::int32_t head_chunks;
};

/// Both packings of every tile shape of a target, for one group size: computed once per plan.
class TileSelector {
 public:
  TileSelector(const PlanTarget& target, std::int32_t group) {
    for (const TileShape& shape : target.tile_shapes) {
      Choice& choice = choices_[count_++];
      // Packed: the whole group's heads share a tile, so keys and values are read once for all of them. A group taller
      // than the tile is cut into even chunks.
      choice.packed.head_chunks = static_cast<std::int32_t>(ceil_div(group, shape.rows));
      choice.packed.heads_per_tile = static_cast<std::int32_t>(ceil_div(group, choice.packed.head_chunks));
      choice.packed.tile_tokens = shape.rows / choice.packed.heads_per_tile;
      choice.unpacked = {shape.rows, 1, group};
      const std::int64_t live = std::int64_t{choice.packed.tile_tokens} * group;
      // Unpacked if under three quarters of the rows would live. But one tile for all heads beats one for each.
      const bool dense = group == 1 || 4 * live >= 3 * std::int64_t{shape.rows} * choice.packed.head_chunks;
      choice.packed_up_to = dense ? std::numeric_limits<std::int64_t>::max() : choice.packed.tile_tokens;
    }
  }

  /// Of tiles of a shape, with the whole group of heads in one or just one head.
  const HeadPacking& packing_of(int shape, bool packed) const {
    return packed ? choices_[shape].packed : choices_[shape].unpacked;
  }

  /// One tile of the shortest shape that holds the request, without cutting its heads more often than the tallest
  /// would; otherwise tiles of the tallest shape and, if it suffices, a shorter one for the tokens left over.
  RequestTiles select(std::int64_t query_length, std::int64_t key_length) const {
    int shape = count_ - 1;
    const std::int32_t fewest_chunks = packing(0, query_length).head_chunks;
    while (shape > 0 && (packing(shape, query_length).tile_tokens < query_length ||
                         packing(shape, query_length).head_chunks > fewest_chunks)) {
      --shape;
    }
    const HeadPacking& main = packing(shape, query_length);
    RequestTiles tiles;
    tiles.query_length = query_length;
    tiles.key_length = key_length;
    tiles.tiles = 1;
    tiles.tile_tokens = main.tile_tokens;
    tiles.heads_per_tile = main.heads_per_tile;
    tiles.head_chunks = main.head_chunks;
    tiles.main_shape = shape;
    tiles.tail_shape = shape;
    if (query_length <= main.tile_tokens) return tiles;

    tiles.tiles = ceil_div(query_length, main.tile_tokens);
    const std::int64_t left = query_length - (tiles.tiles - 1) * main.tile_tokens;
    for (int s = count_ - 1; s > shape; --s) {
      const HeadPacking& tail = main.heads_per_tile == 1 ? choices_[s].unpacked : choices_[s].packed;
      if (tail.heads_per_tile == main.heads_per_tile && tail.tile_tokens >= left) {
        tiles.tail_shape = s;
        break;
      }
    }
    return tiles;
  }

 private:
  struct Choice {
    HeadPacking packed;
    HeadPacking unpacked;
    std::int64_t packed_up_to;  // longer requests are not packed
  };

  const HeadPacking& packing(int shape, std::int64_t query_length) const {
    const Choice& choice = choices_[shape];
    return query_length <= choice.packed_up_to ? choice.packed : choice.unpacked;
  }

  Choice choices_[PlanTarget::kMaxTileShapes]{};
  int count_ = 0;
};

}  // namespace varlen
