// The schedule that padding gives, for contrast in pictures and benchmarks: every request is padded to the longest, the
// grid has one tile per (request, KV head, padded query tile), and tiles go to the least loaded worker in that order.
#pragma once

#include <cstdint>
#include <vector>

#include "batch/ragged_batch.hpp"
#include "varlen/plan.hpp"

namespace varlen {

struct PaddedTile {
  std::int64_t query_begin;  // first query token of the tile
  std::int64_t query_count;  // tokens that exist; 0: the tile is all padding
  std::int64_t key_begin;    // keys that exist and that its rows may see
  std::int64_t key_end;
  std::int32_t request;
  std::int32_t kv_head;
  std::int32_t worker;
  Cost begin;
  Cost useful_end;  // work on rows and keys that exist lasts until here …
  Cost end;         // … and padding until here
};

struct PaddedGrid {
  std::int64_t tile_count = 0;    // of the whole grid
  std::int64_t query_tokens = 0;  // of the longest request
  std::int64_t key_tokens = 0;
  std::vector<PaddedTile> tiles;  // those issued before the caller's limits
  bool complete = true;           // false: the grid was too large to walk, and the sums below are of the part walked
  std::int64_t rowless_tiles = 0;
  Cost useful_cost = 0;
  Cost total_cost = 0;
  Cost makespan = 0;
};

/// Records the tiles that begin before `record_until`; walks at most `max_tiles` tiles unless recording needs more.
PaddedGrid simulate_padded_grid(const RaggedBatch& batch, const PlanTarget& target, Cost record_until,
                                std::int64_t max_tiles);

}  // namespace varlen
