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
VARLEN_HOST_DEVICE constexpr RequestTiles tiles_of(TileCut cut, std::int32_t group, std::int64_t query_length,
                                                   std::int64_t key_length) {
  RequestTiles tiles{};
  tiles.query_length = query_length;
  tiles.key_length = key_length;
  tiles.tile_tokens = cut.tile_tokens;
  tiles.tiles = ceil_div(query_length, tiles.tile_tokens);
  tiles.heads_per_tile = cut.heads_per_tile;
  tiles.head_chunks = cut.heads_per_tile == group ? 1 : ceil_div<std::int32_t>(group, cut.heads_per_tile);
  tiles.main_shape = cut.main_shape;
  tiles.tail_shape = cut.tail_shape;
  return tiles;
}

/// How a KV head's group of query heads lies in a tile of some shape.
struct HeadPacking {
  std::int32_t tile_tokens;
  std::int32_t heads_per_tile;
  std::int32_t head_chunks;
};

/// Both packings of every tile shape of a target for one group size, and which of them requests get by their number of
/// queries. Made once per plan.
class TilePackings {
 public:
  TilePackings(const PlanTarget& target, std::int32_t group) : group_(group) {
    for (const TileShape& shape : target.tile_shapes) {
      Choice& choice = choices_[count_++];
      choice.rows = shape.rows;
      // Packed: the whole group's heads share a tile, so keys and values are read once for all of them. A group taller
      // than the tile is cut into even chunks.
      HeadPacking& packed = choice.packed;
      packed.head_chunks = ceil_div(group, shape.rows);
      packed.heads_per_tile = ceil_div(group, packed.head_chunks);
      packed.tile_tokens = shape.rows / packed.heads_per_tile;
      // Unpacked if under three quarters of the rows would live. But one tile for all heads beats one for each.
      const std::int64_t live = std::int64_t{packed.tile_tokens} * group;
      choice.always_packed = group == 1 || 4 * live >= 3 * std::int64_t{shape.rows} * packed.head_chunks;
    }
  }

  std::int32_t shapes() const { return count_; }
  /// Of tiles of a shape, with the whole group of heads in one or just one head.
  HeadPacking packing_of(int shape, bool packed) const {
    const Choice& choice = choices_[shape];
    return packed ? choice.packed : HeadPacking{choice.rows, 1, group_};
  }
  /// Of tiles of a shape for a request of so many queries.
  HeadPacking packing(int shape, std::int64_t queries) const {
    const Choice& choice = choices_[shape];
    return packing_of(shape, choice.always_packed || queries <= choice.packed.tile_tokens);
  }
  /// For a request of so many queries: the shortest shape that holds it in one tile without cutting its heads more
  /// often than the tallest would; otherwise the tallest.
  int shape_for(std::int64_t queries) const {
    int shape = count_ - 1;
    const std::int32_t fewest_chunks = packing(0, queries).head_chunks;
    while (shape > 0 &&
           (packing(shape, queries).tile_tokens < queries || packing(shape, queries).head_chunks > fewest_chunks)) {
      --shape;
    }
    return shape;
  }

 private:
  struct Choice {
    HeadPacking packed;
    std::int32_t rows;
    bool always_packed;  // or only a request that one packed tile holds
  };
  Choice choices_[PlanTarget::kMaxTileShapes]{};
  std::int32_t count_ = 0;
  std::int32_t group_ = 0;
};

/// What a request gets: how many tiles, and in one number how it is cut into them.
template <class Int>
struct TileChoice {
  Int tiles;
  std::int32_t cut;
};

/// The tiles of requests by their number of queries: a table of TilePackings' choices. Plain data.
template <class Int>
class TileSelectorOf {
 public:
  static constexpr std::int32_t kCuts = 64;  // every choice's cut is below this

  TileSelectorOf() = default;
  TileSelectorOf(const PlanTarget& target, std::int32_t group) {
    const TilePackings packings(target, group);
    // Choices change behind a number of queries that some tile holds.
    std::int32_t queries = 0;
    while (true) {
      Entry& entry = entries_[count_++];
      entry = entry_of(packings, queries + 1);
      std::int32_t last = 0;  // the first number from `queries` on that some tile holds
      for (int shape = 0; shape < packings.shapes(); ++shape) {
        for (const bool packed : {true, false}) {
          const std::int32_t tokens = packings.packing_of(shape, packed).tile_tokens;
          if (tokens > queries && (last == 0 || tokens < last)) last = tokens;
        }
      }
      if (last == 0) break;
      entry.most_queries = queries = last;
      if (count_ > 1 && same(entries_[count_ - 2], entry)) entries_[--count_ - 1].most_queries = last;
    }
    if (count_ > 1 && same(entries_[count_ - 2], entries_[count_ - 1])) --count_;
    // Tokens left over after tiles of the tallest shape may have a shorter one of the same heads.
    const Entry& main = entries_[count_ - 1];
    for (int shape = 1; shape < packings.shapes(); ++shape) {
      const HeadPacking tail = packings.packing_of(shape, main.heads_per_tile != 1);
      if (tail.heads_per_tile == main.heads_per_tile) tail_tokens_[shape] = tail.tile_tokens;
    }
  }

  /// One tile of the shortest shape that holds the request; otherwise tiles of the tallest shape and, if it suffices, a
  /// shorter one for the tokens left over.
  VARLEN_HOST_DEVICE constexpr TileChoice<Int> choose(Int query_length) const {
    std::int32_t e = 0;
    while (e + 1 < count_ && query_length > entries_[e].most_queries) ++e;
    const Entry& entry = entries_[e];
    if (query_length <= entry.tile_tokens.value) return {1, e * kShapes + entry.shape};
    const Int tiles = ceil_div(query_length, entry.tile_tokens);
    const Int left = query_length - (tiles - 1) * entry.tile_tokens;
    std::int32_t tail = 0;
    VARLEN_UNROLLED
    for (std::int32_t shape = 1; shape < kShapes; ++shape) tail = left <= tail_tokens_[shape] ? shape : tail;
    return {tiles, e * kShapes + tail};
  }
  /// What `choice`, which choose() made of this query length, says in full.
  VARLEN_HOST_DEVICE constexpr TilesOf<Int> tiles(const TileChoice<Int>& choice, Int query_length,
                                                  std::type_identity_t<Int> key_length) const {
    const Entry& entry = entry_of(choice.cut);
    return {query_length,         key_length,        choice.tiles, entry.tile_tokens,
            entry.heads_per_tile, entry.head_chunks, entry.shape,  tail_of(choice.cut)};
  }
  VARLEN_HOST_DEVICE constexpr TilesOf<Int> select(Int query_length, std::type_identity_t<Int> key_length) const {
    return tiles(choose(query_length), query_length, key_length);
  }
  VARLEN_HOST_DEVICE constexpr std::int32_t head_chunks(std::int32_t cut) const { return entry_of(cut).head_chunks; }
  VARLEN_HOST_DEVICE constexpr TileCut cut(std::int32_t cut) const {
    const Entry& entry = entry_of(cut);
    return {static_cast<std::int16_t>(entry.tile_tokens.value), static_cast<std::int16_t>(entry.heads_per_tile),
            static_cast<std::int16_t>(entry.shape), static_cast<std::int16_t>(tail_of(cut))};
  }

 private:
  static constexpr std::int32_t kShapes = PlanTarget::kMaxTileShapes;

  struct Entry {
    std::int32_t most_queries;  // the last entry's means nothing
    std::int32_t heads_per_tile;
    std::int32_t head_chunks;
    std::int32_t shape;
    Divisor<Int> tile_tokens;
  };
  VARLEN_HOST_DEVICE constexpr const Entry& entry_of(std::int32_t cut) const {
    return entries_[static_cast<std::uint32_t>(cut) / kShapes];
  }
  VARLEN_HOST_DEVICE static constexpr std::int32_t tail_of(std::int32_t cut) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(cut) % kShapes);
  }
  static Entry entry_of(const TilePackings& packings, std::int64_t queries) {
    const int shape = packings.shape_for(queries);
    const HeadPacking packing = packings.packing(shape, queries);
    return {0, packing.heads_per_tile, packing.head_chunks, shape, packing.tile_tokens};
  }
  static bool same(const Entry& a, const Entry& b) {
    return a.shape == b.shape && a.heads_per_tile == b.heads_per_tile && a.tile_tokens.value == b.tile_tokens.value;
  }

  static constexpr std::int32_t kEntries = 2 * kShapes + 1;
  static_assert(kEntries * kShapes <= kCuts);
  Entry entries_[kEntries]{};
  std::int32_t count_ = 0;
  std::int32_t tail_tokens_[kShapes]{};  // of shapes after the first; 0: not for tails
};
using TileSelector = TileSelectorOf<std::int64_t>;

}  // namespace varlen
