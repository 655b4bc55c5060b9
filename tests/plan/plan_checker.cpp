#include "plan_checker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <tuple>
#include <vector>

namespace varlen::plan_test {

namespace {

using std::int32_t;
using std::int64_t;

std::size_t at(int64_t index) { return static_cast<std::size_t>(index); }

std::string fault(const WorkItem& item, const std::string& what) { return describe(item) + ": " + what; }

/// Within one (request, KV head): by tile, then part.
bool tile_order(const WorkItem* a, const WorkItem* b) {
  return std::tie(a->query_begin, a->query_head_begin, a->part) <
         std::tie(b->query_begin, b->query_head_begin, b->part);
}

bool same_tile(const WorkItem& a, const WorkItem& b) {
  return a.request == b.request && a.kv_head == b.kv_head && a.query_begin == b.query_begin &&
         a.query_count == b.query_count && a.query_head_begin == b.query_head_begin &&
         a.query_head_count == b.query_head_count && a.tile_shape == b.tile_shape && a.parts == b.parts &&
         a.merge == b.merge;
}

/// Items [first, last) lie at one (query_begin, query_head_begin): they must be the parts 0, 1, … of one tile whose key
/// ranges follow one another from the tile's first key to its last.
std::string parts_fault(const BatchCase& batch, const PlanTarget& target, const WorkItem* const* first,
                        const WorkItem* const* last) {
  const WorkItem& head = **first;
  if (last - first != head.parts) return fault(head, fmt::format("{} parts emitted", last - first));
  const KeyRange range = visible_keys(batch.query_lengths[at(head.request)], batch.key_lengths[at(head.request)],
                                      batch.mask, head.query_begin, head.query_count, target.key_block);
  if (range.blind()) return "";  // item_fault has seen that it reads nothing and is not split
  int64_t expected_begin = range.begin;
  int32_t expected_part = 0;
  for (const WorkItem* const* item = first; item != last; ++item, ++expected_part) {
    if (!same_tile(head, **item))
      return fault(**item, "another tile starts at the same row and head: " + describe(head));
    if ((*item)->part != expected_part) return fault(**item, fmt::format("part {} is missing", expected_part));
    if ((*item)->key_begin != expected_begin) {
      return fault(**item, fmt::format("keys begin at {}, not at {}", (*item)->key_begin, expected_begin));
    }
    expected_begin = (*item)->key_end;
  }
  if (expected_begin != range.end) return fault(head, fmt::format("keys end at {}, not {}", expected_begin, range.end));
  return "";
}

/// All items of one (request, KV head), in tile order. Sweeps the rows downwards: `next[h]` is the first query token of
/// head h that no tile has taken, so a tile that starts below it leaves a gap and one that starts above it overlaps.
std::string sweep_fault(const BatchCase& batch, const PlanTarget& target, int64_t request, int32_t kv_head,
                        const WorkItem* const* first, const WorkItem* const* last, std::vector<int64_t>& next) {
  next.assign(at(batch.group), 0);
  while (first != last) {
    const WorkItem& tile = **first;
    const WorkItem* const* end = first + 1;
    while (end != last && (*end)->query_begin == tile.query_begin &&
           (*end)->query_head_begin == tile.query_head_begin) {
      ++end;
    }
    if (std::string found = parts_fault(batch, target, first, end); !found.empty()) return found;
    const int32_t head_begin = tile.query_head_begin - kv_head * batch.group;
    for (int32_t head = head_begin; head < head_begin + tile.query_head_count; ++head) {
      if (next[at(head)] != tile.query_begin) {
        return fault(tile, fmt::format("rows of head {} are taken up to token {}", head, next[at(head)]));
      }
      next[at(head)] += tile.query_count;
    }
    first = end;
  }
  for (int32_t head = 0; head < batch.group; ++head) {
    if (next[at(head)] != batch.query_lengths[at(request)]) {
      return fmt::format("request {} kv_head {} head {} of its group: rows from token {} are in no tile", request,
                         kv_head, head, next[at(head)]);
    }
  }
  return "";
}

}  // namespace

KeyRange visible_keys(int64_t query_length, int64_t key_length, const Mask& mask, int64_t query_begin,
                      int64_t query_count, int64_t key_block) {
  const bool left_unlimited = mask.left == Mask::kUnlimited;
  const bool right_unlimited = mask.right == Mask::kUnlimited;
  // A window wider than the request is the same as one of its width, and does not overflow when added to a position.
  const int64_t left = std::min(mask.left, query_length + key_length);
  const int64_t right = std::min(mask.right, query_length + key_length);
  const int64_t shift = key_length - query_length;  // key position of query token 0
  int64_t first_row = query_begin;
  const int64_t last_row = query_begin + query_count - 1;
  if (key_length == 0) return {};
  if (!right_unlimited) {
    if (last_row + shift + right < 0) return {};
    first_row = std::max(first_row, -shift - right);  // rows before it look at positions below 0 only
  }
  const int64_t first_key = left_unlimited ? 0 : std::max<int64_t>(0, first_row + shift - left);
  const int64_t last_key = right_unlimited ? key_length - 1 : std::min(key_length - 1, last_row + shift + right);
  return {first_key - first_key % key_block, last_key + 1};
}

std::string geometry_fault(const BatchCase& batch, const PlanTarget& target, const WorkItem& item) {
  if (item.request < 0 || item.request >= batch.requests()) return fault(item, "no such request");
  const int64_t query_length = batch.query_lengths[at(item.request)];
  const int64_t key_length = batch.key_lengths[at(item.request)];
  if (item.query_count <= 0 || item.query_head_count <= 0) return fault(item, "no rows");
  if (item.query_begin < 0 || item.query_begin > query_length || item.query_count > query_length - item.query_begin) {
    return fault(item, fmt::format("rows outside the request's {} queries", query_length));
  }
  if (item.kv_head < 0 || item.kv_head >= batch.kv_heads) return fault(item, "no such KV head");
  const int32_t group_begin = item.kv_head * batch.group;
  const int32_t group_end = group_begin + batch.group;
  if (item.query_head_begin < group_begin || item.query_head_begin >= group_end ||
      item.query_head_count > group_end - item.query_head_begin) {
    return fault(item, "query heads outside the KV head's group");
  }
  if (item.tile_shape < 0 || item.tile_shape >= static_cast<int32_t>(target.tile_shapes.size())) {
    return fault(item, "no such tile shape");
  }
  if (item.query_count * item.query_head_count > target.tile_shapes[at(item.tile_shape)].rows) {
    return fault(item, "more rows than its tile shape has");
  }
  if (item.parts < 1 || item.part < 0 || item.part >= item.parts) return fault(item, "part number out of range");
  if (item.parts == 1 && (item.merge != -1 || item.partial_row != -1)) {
    return fault(item, "a whole tile with a merge or workspace rows");
  }
  if (item.parts > 1 && (item.merge < 0 || item.partial_row < 0)) return fault(item, "a part without merge or rows");
  if (item.key_begin < 0 || item.key_end > key_length || item.key_begin > item.key_end) {
    return fault(item, fmt::format("keys outside the request's {}", key_length));
  }
  if (item.key_begin % target.key_block != 0) return fault(item, "keys do not begin at a key block");
  return "";
}

std::string item_fault(const BatchCase& batch, const PlanTarget& target, const WorkItem& item) {
  if (std::string found = geometry_fault(batch, target, item); !found.empty()) return found;
  const int64_t query_length = batch.query_lengths[at(item.request)];
  const int64_t key_length = batch.key_lengths[at(item.request)];
  const KeyRange range =
      visible_keys(query_length, key_length, batch.mask, item.query_begin, item.query_count, target.key_block);
  if (range.blind()) {
    if (item.key_begin != item.key_end) return fault(item, "keys for rows that see none");
    if (item.parts != 1) return fault(item, "rows that see no key are split");
    return "";
  }
  if (item.key_begin == item.key_end) return fault(item, "no keys");
  if (item.key_begin < range.begin || item.key_end > range.end) {
    return fault(item, fmt::format("its rows see keys of [{}, {}) only", range.begin, range.end));
  }
  return "";
}

std::string merge_fault(const PlanOutput& output) {
  // first_slot[m]: where merge m's parts start in `taken`, which has one mark for every part of every merge.
  std::vector<std::size_t> first_slot(output.merges.size() + 1, 0);
  int64_t next_row = 0;
  for (std::size_t m = 0; m < output.merges.size(); ++m) {
    const Merge& merge = output.merges[m];
    if (merge.parts < 2) return fmt::format("merge {} has {} parts", m, merge.parts);
    if (merge.partial_row != next_row) {
      return fmt::format("merge {} starts at workspace row {}, not {}", m, merge.partial_row, next_row);
    }
    next_row += merge.parts * merge.query_count * merge.query_head_count;
    first_slot[m + 1] = first_slot[m] + static_cast<std::size_t>(merge.parts);
  }
  if (next_row != output.partial_rows) {
    return fmt::format("merges use {} workspace rows, the plan says {}", next_row, output.partial_rows);
  }
  std::vector<bool> taken(first_slot.back(), false);
  for (const WorkItem& item : output.items) {
    if (item.parts == 1) continue;
    if (item.merge < 0 || at(item.merge) >= output.merges.size()) return fault(item, "no such merge");
    const Merge& merge = output.merges[at(item.merge)];
    if (merge.request != item.request || merge.kv_head != item.kv_head || merge.query_begin != item.query_begin ||
        merge.query_count != item.query_count || merge.query_head_begin != item.query_head_begin ||
        merge.query_head_count != item.query_head_count || merge.parts != item.parts ||
        merge.tile_shape != item.tile_shape) {
      return fault(item, fmt::format("merge {} is of another tile", item.merge));
    }
    const int64_t row = merge.partial_row + item.part * item.query_count * item.query_head_count;
    if (item.partial_row != row) return fault(item, fmt::format("workspace row should be {}", row));
    const std::size_t slot = first_slot[at(item.merge)] + static_cast<std::size_t>(item.part);
    if (taken[slot]) return fault(item, "its workspace rows are written twice");
    taken[slot] = true;
  }
  const auto missing = std::find(taken.begin(), taken.end(), false);
  if (missing != taken.end()) {
    const auto slot = static_cast<std::size_t>(missing - taken.begin());
    const auto merge = std::upper_bound(first_slot.begin(), first_slot.end(), slot) - first_slot.begin() - 1;
    return fmt::format("merge {} reads part {}, which no item writes", merge, slot - first_slot[at(merge)]);
  }
  return "";
}

std::string plan_fault(const BatchCase& batch, const PlanTarget& target, const PlanOutput& output) {
  const int64_t buckets = batch.requests() * batch.kv_heads;
  const auto bucket_of = [&](const WorkItem& item) {
    return at(int64_t{item.request} * batch.kv_heads + item.kv_head);
  };
  std::vector<std::size_t> begin(at(buckets) + 2, 0);
  for (const WorkItem& item : output.items) {
    if (std::string found = item_fault(batch, target, item); !found.empty()) return found;
    ++begin[bucket_of(item) + 2];
  }
  if (std::string found = merge_fault(output); !found.empty()) return found;

  for (std::size_t i = 2; i < begin.size(); ++i) begin[i] += begin[i - 1];
  std::vector<const WorkItem*> sorted(output.items.size());
  for (const WorkItem& item : output.items) sorted[begin[bucket_of(item) + 1]++] = &item;
  std::vector<int64_t> next;
  for (int64_t bucket = 0; bucket < buckets; ++bucket) {
    const WorkItem** first = sorted.data() + begin[at(bucket)];
    const WorkItem** last = sorted.data() + begin[at(bucket) + 1];
    if (!std::is_sorted(first, last, tile_order)) std::sort(first, last, tile_order);
    const int64_t request = bucket / batch.kv_heads;
    const auto kv_head = static_cast<int32_t>(bucket % batch.kv_heads);
    if (std::string found = sweep_fault(batch, target, request, kv_head, first, last, next); !found.empty())
      return found;
  }
  return "";
}

std::string invariance_fault(const PlanOutput& among_others, int64_t index, const PlanOutput& alone) {
  const auto tiles_of = [](const PlanOutput& output, int64_t request) {
    std::vector<WorkItem> items;
    for (WorkItem item : output.items) {
      if (item.request != request) continue;
      item.request = 0;
      item.merge = 0;
      item.partial_row = 0;
      items.push_back(item);
    }
    std::sort(items.begin(), items.end(), [](const WorkItem& a, const WorkItem& b) {
      return std::tie(a.kv_head, a.query_begin, a.query_head_begin, a.part) <
             std::tie(b.kv_head, b.query_begin, b.query_head_begin, b.part);
    });
    return items;
  };
  const std::vector<WorkItem> here = tiles_of(among_others, index);
  const std::vector<WorkItem> there = tiles_of(alone, 0);
  for (std::size_t i = 0; i < std::min(here.size(), there.size()); ++i) {
    if (!same_item(here[i], there[i])) {
      return fmt::format("request {}: {} among others, {} alone", index, describe(here[i]), describe(there[i]));
    }
  }
  if (here.size() != there.size()) {
    return fmt::format("request {}: {} items among others, {} alone", index, here.size(), there.size());
  }
  return "";
}

}  // namespace varlen::plan_test
