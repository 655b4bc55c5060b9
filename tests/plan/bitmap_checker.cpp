// The plan's guarantees by brute force: every row of every head has a bitmap of its keys.
#include <fmt/format.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan_checker.hpp"

namespace varlen::plan_test {

namespace {

using std::int32_t;
using std::int64_t;
using KeyBits = std::uint64_t;  // bit j: key j

constexpr int64_t kMaxLength = 32;

std::size_t at(int64_t index) { return static_cast<std::size_t>(index); }

struct Row {
  KeyBits keys = 0;                // of the items so far
  std::uint32_t parts = 0;         // bit p: part p has been seen
  const WorkItem* tile = nullptr;  // the first item that has this row
};

/// The definition of the mask (batch.hpp), word for word.
bool sees(const BatchCase& batch, int64_t request, int64_t row, int64_t key) {
  const int64_t position = batch.key_lengths[at(request)] - batch.query_lengths[at(request)] + row;
  const bool left = batch.mask.left == Mask::kUnlimited || key >= position - batch.mask.left;
  const bool right = batch.mask.right == Mask::kUnlimited || key <= position + batch.mask.right;
  return left && right;
}

/// Keys that a tile must read: all from the start of the block of the first that a row sees to the last that a row
/// sees.
KeyBits tile_keys(const BatchCase& batch, const PlanTarget& target, const WorkItem& tile) {
  KeyBits seen = 0;
  for (int64_t row = tile.query_begin; row < tile.query_begin + tile.query_count; ++row) {
    for (int64_t key = 0; key < batch.key_lengths[at(tile.request)]; ++key) {
      if (sees(batch, tile.request, row, key)) seen |= KeyBits{1} << key;
    }
  }
  if (seen == 0) return 0;
  int first = std::countr_zero(seen);
  while (first % target.key_block != 0) --first;
  const int last = 63 - std::countl_zero(seen);
  KeyBits all = 0;
  for (int key = first; key <= last; ++key) all |= KeyBits{1} << key;
  return all;
}

bool same_tile(const WorkItem& a, const WorkItem& b) {
  return a.query_begin == b.query_begin && a.query_count == b.query_count && a.kv_head == b.kv_head &&
         a.query_head_begin == b.query_head_begin && a.query_head_count == b.query_head_count &&
         a.tile_shape == b.tile_shape && a.parts == b.parts && a.merge == b.merge;
}

std::string add_item(const WorkItem& item, KeyBits keys, std::vector<Row>& rows, std::size_t first_row,
                     int32_t query_heads) {
  for (int64_t token = item.query_begin; token < item.query_begin + item.query_count; ++token) {
    for (int32_t head = item.query_head_begin; head < item.query_head_begin + item.query_head_count; ++head) {
      Row& row = rows[first_row + at(token * query_heads + head)];
      if (row.tile == nullptr) row.tile = &item;
      if (!same_tile(*row.tile, item)) {
        return fmt::format("token {} head {} is in two tiles: {} and {}", token, head, describe(*row.tile),
                           describe(item));
      }
      if ((row.parts >> item.part & 1U) != 0) return fmt::format("{}: part emitted twice", describe(item));
      if ((row.keys & keys) != 0) return fmt::format("{}: keys read twice", describe(item));
      row.parts |= 1U << item.part;
      row.keys |= keys;
    }
  }
  return "";
}

/// Parts of one tile must take its keys in order.
std::string order_fault(const std::vector<WorkItem>& items, const WorkItem& tile) {
  for (const WorkItem& item : items) {
    if (item.request != tile.request || !same_tile(item, tile)) continue;
    if ((item.part < tile.part) != (item.key_begin < tile.key_begin) && item.part != tile.part) {
      return fmt::format("parts out of order: {} and {}", describe(item), describe(tile));
    }
  }
  return "";
}

}  // namespace

std::string bitmap_fault(const BatchCase& batch, const PlanTarget& target, const PlanOutput& output) {
  const int32_t query_heads = batch.query_heads();
  thread_local std::vector<Row> rows;
  thread_local std::vector<std::size_t> first_row;
  first_row.assign(1, 0);
  for (int64_t request = 0; request < batch.requests(); ++request) {
    if (batch.query_lengths[at(request)] > kMaxLength || batch.key_lengths[at(request)] > kMaxLength) return "too long";
    first_row.push_back(first_row.back() + at(batch.query_lengths[at(request)] * query_heads));
  }
  rows.assign(first_row.back(), Row{});

  for (const WorkItem& item : output.items) {
    if (std::string found = geometry_fault(batch, target, item); !found.empty()) return found;
    if (item.parts > kMaxLength) return describe(item) + ": more parts than keys";
    KeyBits keys = 0;
    for (int64_t key = item.key_begin; key < item.key_end; ++key) keys |= KeyBits{1} << key;
    if (keys == 0 && item.parts > 1) return describe(item) + ": an empty part";
    if (std::string found = add_item(item, keys, rows, first_row[at(item.request)], query_heads); !found.empty()) {
      return found;
    }
    if (item.parts > 1) {
      if (std::string found = order_fault(output.items, item); !found.empty()) return found;
    }
  }
  for (int64_t request = 0; request < batch.requests(); ++request) {
    for (std::size_t row = first_row[at(request)]; row < first_row[at(request) + 1]; ++row) {
      const auto token_and_head = static_cast<int64_t>(row - first_row[at(request)]);
      const WorkItem* tile = rows[row].tile;
      if (tile == nullptr) {
        return fmt::format("request {} token {} head {} is in no tile", request, token_and_head / query_heads,
                           token_and_head % query_heads);
      }
      if (std::popcount(rows[row].parts) != tile->parts) return describe(*tile) + ": parts are missing";
      const bool first_of_tile = token_and_head == tile->query_begin * query_heads + tile->query_head_begin;
      if (!first_of_tile) continue;  // the items of a tile have all its rows in common
      const KeyBits expected = tile_keys(batch, target, *tile);
      if (rows[row].keys != expected) {
        return fmt::format("{}: keys read are bits {:#x}, must be {:#x}", describe(*tile), rows[row].keys, expected);
      }
    }
  }
  return merge_fault(output);
}

}  // namespace varlen::plan_test
