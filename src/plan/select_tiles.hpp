// Which tile shapes one request gets. Depends on its own lengths only.
#pragma once

#include <cstdint>

#include "plan/tile_geometry.hpp"
#include "varlen/plan.hpp"

namespace varlen {

/// How the tokens and heads of a request are divided into tiles: all of TilesOf that is not a length.
struct TileCut {
  std::int16_t tile_tokens;
  std::int16_t heads_per_tile;
  std::int16_t main_shape;
  std::int16_t tail_shape;
};

/// The tiles of a request of these lengths that is cut so.
template <class Int>
VARLEN_HOST_DEVICE constexpr TilesOf<Int> tiles_of(TileCut cut, std::int32_t group, Int query_length, Int key_length) {
  TilesOf<Int> tiles{};
  tiles.query_length = query_length;
  tiles.key_length = key_length;
  tiles.tiles = query_length <= cut.tile_tokens ? 1 : ceil_div<Int>(query_length, cut.tile_tokens);
  tiles.tile_tokens = cut.tile_tokens;
  tiles.heads_per_tile = cut.heads_per_tile;
  tiles.head_chunks = cut.heads_per_tile == group ? 1 : ceil_div<std::int32_t>(group, cut.heads_per_tile);
  tiles.main_shape = cut.main_shape;
  tiles.tail_shape = cut.tail_shape;
  return tiles;
}

template <class Int>
VARLEN_HOST_DEVICE constexpr TileCut cut_of(const TilesOf<Int>& tiles) {
  return {static_cast<std::int16_t>(tiles.tile_tokens), static_cast<std::int16_t>(tiles.heads_per_tile),
          static_cast<std::int16_t>(tiles.main_shape), static_cast<std::int16_t>(tiles.tail_shape)};
}

/// Both packings of every tile shape of a target, for one group size: computed once per plan. Plain data.
class TileSelector {
 public:
  TileSelector() = default;
  TileSelector(const PlanTarget& target, std::int32_t group) : group_(group) {
    for (const TileShape& shape : target.tile_shapes) {
      Choice& choice = choices_[count_++];
      choice.rows = static_cast<std::int16_t>(shape.rows);
      // Packed: the whole group's heads share a tile, so keys and values are read once for all of them. A group taller
      // than the tile is cut into even chunks.
      choice.packed_chunks = ceil_div(group, shape.rows);
      const std::int32_t heads = ceil_div(group, choice.packed_chunks);
      choice.packed_heads = static_cast<std::int16_t>(heads);
      choice.packed_tokens = static_cast<std::int16_t>(shape.rows / heads);
      // Unpacked if under three quarters of the rows would live. But one tile for all heads beats one for each.
      const std::int64_t live = std::int64_t{choice.packed_tokens} * group;
      choice.always_packed = group == 1 || 4 * live >= 3 * std::int64_t{shape.rows} * choice.packed_chunks;
    }
  }

  /// Of tiles of a shape, with the whole group of heads in one or just one head.
  const HeadPacking& packing_of(int shape, bool packed) const {
    return packed ? choices_[shape].packed : choices_[shape].unpacked;
  }

  /// One tile of the shortest shape that holds the request, without cutting its heads more often than the tallest
  /// would; otherwise tiles of the tallest shape and, if it suffices, a shorter one for the tokens left over.
  template <class Int>
  VARLEN_HOST_DEVICE constexpr TilesOf<Int> select(Int query_length, std::type_identity_t<Int> key_length) const {
    int shape = count_ - 1;
    const std::int32_t fewest_chunks = packing(0, query_length).chunks;
    while (shape > 0 && (packing(shape, query_length).tokens < query_length ||
                         packing(shape, query_length).chunks > fewest_chunks)) {
      --shape;
    }
    const Packing main = packing(shape, query_length);
    const auto main_shape = static_cast<std::int16_t>(shape);
    TilesOf<Int> tiles =
        tiles_of<Int>({main.tokens, main.heads, main_shape, main_shape}, group_, query_length, key_length);
    if (tiles.tiles == 1) return tiles;

    const Int left = query_length - (tiles.tiles - 1) * main.tokens;
    for (int s = count_ - 1; s > shape; --s) {
      const bool packed = main.heads != 1;
      const std::int32_t heads = packed ? choices_[s].packed_heads : 1;
      const std::int32_t tokens = packed ? choices_[s].packed_tokens : choices_[s].rows;
      if (heads == main.heads && tokens >= left) {
        tiles.tail_shape = s;
        break;
      }
    }
    return tiles;
  }

 private:
  struct Choice {
    std::int32_t packed_chunks;
    std::int16_t packed_tokens;
    std::int16_t packed_heads;
    std::int16_t rows;
    bool always_packed;  // or only a request that one packed tile holds
  };
  /// How a KV head's group of query heads lies in a tile of some shape.
  struct Packing {
    std::int16_t tokens;
    std::int16_t heads;
    std::int32_t chunks;
  };

  template <class Int>
  VARLEN_HOST_DEVICE constexpr Packing packing(int shape, Int query_length) const {
    const Choice& choice = choices_[shape];
    if (choice.always_packed || query_length <= choice.packed_tokens) {
      return {choice.packed_tokens, choice.packed_heads, choice.packed_chunks};
    }
    return {choice.rows, 1, group_};
  }

  Choice choices_[PlanTarget::kMaxTileShapes]{};
  std::int32_t count_ = 0;
  std::int32_t group_ = 0;
};

}  // namespace varlen
