// The contract of a plan, checked by code that shares nothing with the planner: it reads the public headers only and
// derives what each tile must cover from the lengths and the mask. Every function returns the first fault as text, or
// "".
#pragma once

#include <cstdint>
#include <string>

#include "plan_case.hpp"

namespace varlen::plan_test {

/// Keys [begin, end) that a tile must read: from the block of the first key that any of its rows sees to the last key
/// that any of them sees. begin == end: its rows see nothing.
struct KeyRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  bool blind() const { return begin == end; }
};

/// By closed form at the ends of the tile, for lengths too large to look at every row.
KeyRange visible_keys(std::int64_t query_length, std::int64_t key_length, const Mask& mask, std::int64_t query_begin,
                      std::int64_t query_count, std::int64_t key_block);

/// What must hold of one item whatever the mask and the other items are: its rows exist, belong to one KV head and fit
/// the tile shape; its keys exist and start at a key block; its part number makes sense.
std::string geometry_fault(const BatchCase& batch, const PlanTarget& target, const WorkItem& item);

/// The same, and its keys lie within what its tile may see and are not empty unless the tile is blind.
std::string item_fault(const BatchCase& batch, const PlanTarget& target, const WorkItem& item);

/// Every split tile is merged exactly once from exactly its parts, and the parts' workspace rows are dense from 0 to
/// partial_rows in merge order.
std::string merge_fault(const PlanOutput& output);

/// Everything: item_fault and merge_fault, every (query row, head) in exactly one tile, and the parts of every tile
/// partition its keys in order. O(items · log items + items · group); any lengths.
std::string plan_fault(const BatchCase& batch, const PlanTarget& target, const PlanOutput& output);

/// The same guarantees established another way, for tiny batches only: a bitmap of keys for every (query row, head),
/// and what a row may see found by asking of every key. Lengths up to 32.
std::string bitmap_fault(const BatchCase& batch, const PlanTarget& target, const PlanOutput& output);

/// Request `index` of the batch has the same tiles and parts as when planned alone: `alone` is that plan. Item order,
/// workspace rows and merge numbers may differ.
std::string invariance_fault(const PlanOutput& among_others, std::int64_t index, const PlanOutput& alone);

}  // namespace varlen::plan_test
