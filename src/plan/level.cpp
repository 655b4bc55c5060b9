#include "plan/level.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

namespace varlen {
namespace {

/// Tiles are cut only if that shortens their schedule by more than such a part of it.
constexpr Cost kGain = 64;

/// Indices of `tiles`, longest first: a stable counting sort on the upper ten bits of what each lacks to the longest.
std::vector<std::int32_t> longest_first(const std::vector<ListedTile>& tiles) {
  constexpr int kBits = 10;
  Cost longest = 0;
  for (const ListedTile& tile : tiles) longest = std::max(longest, tile.cost);
  const int shift = std::max(0, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(longest))) - kBits);
  const auto bucket = [&](const ListedTile& tile) { return static_cast<std::size_t>((longest - tile.cost) >> shift); };
  std::array<std::int32_t, (1 << kBits) + 1> next{};
  for (const ListedTile& tile : tiles) ++next[bucket(tile) + 1];
  for (std::size_t b = 1; b < next.size(); ++b) next[b] += next[b - 1];
  std::vector<std::int32_t> order(tiles.size());
  for (std::size_t i = 0; i < tiles.size(); ++i) {
    order[static_cast<std::size_t>(next[bucket(tiles[i])]++)] = static_cast<std::int32_t>(i);
  }
  return order;
}

/// Makespan of tiles, longest first, drawn whole: the lesser of two estimates.
Cost whole_makespan(const std::vector<ListedTile>& tiles, const std::vector<std::int32_t>& order,
                    std::int64_t workers) {
  // Dealt out forth and back; exact for up to two tiles each.
  std::vector<Cost> load(static_cast<std::size_t>(workers), 0);
  Cost dealt = 0;
  std::size_t worker = 0;
  bool forth = true;
  // Graham's bound: when a tile is drawn, all workers have been busy until then.
  Cost bound = 0;
  Cost before = 0;
  for (const std::int32_t index : order) {
    const ListedTile& tile = tiles[static_cast<std::size_t>(index)];
    load[worker] += tile.cost;
    dealt = std::max(dealt, load[worker]);
    if (forth ? worker + 1 == load.size() : worker == 0) {
      forth = !forth;
    } else {
      worker += forth ? 1 : std::size_t(-1);
    }
    bound = std::max(bound, before / workers + tile.cost);
    before += tile.cost;
  }
  return std::min(dealt, bound);
}

}  // namespace

Cost Leveller::block_cost(const WorkItem& item) const {
  return plan_.target.tile_shapes[static_cast<std::size_t>(item.tile_shape)].block_cost;
}

std::int64_t Leveller::least_blocks(Cost block_cost) const {
  return std::max<std::int64_t>(1, ceil_div(part_cost(), block_cost));
}

ListedTile Leveller::listed(const WorkItem& item) const {
  ListedTile tile{};
  tile.item = item;
  tile.cost = cost_of(plan_.target, item.tile_shape,
                      block_count({item.key_begin, item.key_end}, plan_.target.key_block), item.parts > 1);
  return tile;
}

void Leveller::append(const std::vector<ListedTile>& tiles, std::int64_t workers, Cost share) {
  if (tiles.empty()) return;
  const std::vector<std::int32_t> order = longest_first(tiles);
  const auto sorted = [&](std::size_t i) -> const ListedTile& { return tiles[static_cast<std::size_t>(order[i])]; };
  // The first waves may stay whole: then everybody waits for the longest tile of each, and the others share what is
  // left.
  Cost left = 0;
  for (const ListedTile& tile : tiles) left += tile.cost + plan_.target.split_cost;
  Cost waves = 0;
  Cost best = std::numeric_limits<Cost>::max();
  Cost best_share = 0;
  std::size_t best_whole = 0;
  for (std::size_t whole = 0; whole < tiles.size(); whole += static_cast<std::size_t>(workers)) {
    // A part whose work is less than its overhead would not pay.
    const Cost fair = std::max({ceil_div(left, workers) + part_cost(), share - waves, 2 * part_cost(), Cost{2}});
    if (waves + fair < best) {
      best = waves + fair;
      best_share = fair;
      best_whole = whole;
    }
    waves += sorted(whole).cost;
    const std::size_t end = std::min(tiles.size(), whole + static_cast<std::size_t>(workers));
    for (std::size_t i = whole; i < end; ++i) left -= sorted(i).cost + plan_.target.split_cost;
  }
  if (best + best / kGain < whole_makespan(tiles, order, workers)) {
    const std::vector<ListedTile> parts = cut_at_shares(tiles, order, best_whole, best_share);
    emit(parts, longest_first(parts));
  } else {
    emit(tiles, order);
  }
}

void Leveller::append_fixed(const std::vector<ListedTile>& tiles) {
  std::vector<ListedTile> parts;
  std::vector<std::int64_t> cuts;
  for (const ListedTile& tile : tiles) {
    cuts.clear();
    const std::int64_t blocks = block_count({tile.item.key_begin, tile.item.key_end}, plan_.target.key_block);
    for (std::int64_t block = tile.part_blocks; block < blocks; block += tile.part_blocks) cuts.push_back(block);
    cut(tile, cuts, parts);
  }
  emit(parts, longest_first(parts));
}

/// What a part costs besides its key blocks.
Cost Leveller::part_cost() const { return plan_.target.item_cost + plan_.target.split_cost; }

// McNaughton's wrap-around rule (Management Science 6, 1959): the tiles lie end to end on a line, a worker's share is
// an equal length of it, and a tile is cut where a share ends. A tile's own length includes the cost of its first part;
// a share that begins inside a tile pays for one more part, so the line is ruled in lengths of share − part_cost().
std::vector<ListedTile> Leveller::cut_at_shares(const std::vector<ListedTile>& tiles,
                                                const std::vector<std::int32_t>& order, std::size_t whole, Cost share) {
  const Cost length = std::max<Cost>(1, share - part_cost());
  std::vector<ListedTile> out;
  out.reserve(2 * tiles.size());
  for (std::size_t i = 0; i < whole; ++i) out.push_back(tiles[static_cast<std::size_t>(order[i])]);
  std::vector<std::int64_t> cuts;
  Cost begin = 0;  // of the tile on the line
  for (std::size_t i = whole; i < tiles.size(); ++i) {
    const ListedTile& tile = tiles[static_cast<std::size_t>(order[i])];
    const Cost end = begin + tile.cost + plan_.target.split_cost;
    const Cost per_block = block_cost(tile.item);
    const std::int64_t blocks = block_count({tile.item.key_begin, tile.item.key_end}, plan_.target.key_block);
    const std::int64_t least = least_blocks(per_block);
    cuts.clear();
    for (Cost border = (begin / length + 1) * length; border < end; border += length) {
      const Cost work = border - begin - part_cost();
      const std::int64_t previous = cuts.empty() ? 0 : cuts.back();
      if (previous + 2 * least > blocks) break;
      const std::int64_t wanted = work <= 0 ? 0 : (work + per_block / 2) / per_block;
      const std::int64_t block = std::clamp(wanted, previous + least, blocks - least);
      // A border near the tile's edge, or near the cut before it, goes if what it parts fits into one share, or moves
      // inwards.
      const std::int64_t next = std::min(blocks, wanted + length / per_block);
      const std::int64_t joined = wanted < block ? next - previous : blocks - previous;
      if (block != wanted && joined * per_block <= share) continue;
      cuts.push_back(block);
    }
    cut(tile, cuts, out);
    begin = end;
  }
  return out;
}

/// Cuts a tile before the key blocks `cuts` (ascending, counted from the tile's first) and books workspace for the
/// parts.
void Leveller::cut(const ListedTile& tile, const std::vector<std::int64_t>& cuts, std::vector<ListedTile>& out) {
  if (cuts.empty()) {
    out.push_back(tile);
    return;
  }
  const WorkItem& whole = tile.item;
  const auto parts = static_cast<std::int32_t>(cuts.size() + 1);
  const std::int64_t rows = whole.query_count * whole.query_head_count;
  for (std::int32_t part = 0; part < parts; ++part) {
    WorkItem item = whole;
    const auto index = static_cast<std::size_t>(part);
    if (part > 0) item.key_begin = whole.key_begin + cuts[index - 1] * plan_.target.key_block;
    if (part + 1 < parts) item.key_end = whole.key_begin + cuts[index] * plan_.target.key_block;
    item.part = part;
    item.parts = parts;
    item.partial_row = plan_.partial_rows + part * rows;
    item.merge = static_cast<std::int32_t>(plan_.merges.size());
    out.push_back(listed(item));
  }
  plan_.merges.push_back({whole.query_begin, whole.query_count, plan_.partial_rows, whole.request, whole.kv_head,
                          whole.query_head_begin, whole.query_head_count, parts, whole.tile_shape});
  plan_.partial_rows += parts * rows;
}

void Leveller::emit(const std::vector<ListedTile>& tiles, const std::vector<std::int32_t>& order) {
  plan_.listed.reserve(plan_.listed.size() + tiles.size());
  for (const std::int32_t index : order) plan_.listed.push_back(tiles[static_cast<std::size_t>(index)].item);
}

}  // namespace varlen
