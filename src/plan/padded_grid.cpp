#include "plan/padded_grid.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <queue>
#include <utility>
#include <vector>

#include "plan/plan_data.hpp"
#include "plan/select_tiles.hpp"
#include "plan/tile_geometry.hpp"

namespace varlen {
namespace {

Cost tile_cost(const PlanTarget& target, std::int32_t shape, KeyRange keys) {
  if (keys.begin >= keys.end) keys = {0, 0};  // rows of the padding that a window carries past the last key
  keys.begin -= keys.begin % target.key_block;
  return cost_of(target, shape, block_count(keys, target.key_block), false);
}

}  // namespace

PaddedGrid simulate_padded_grid(const RaggedBatch& batch, const PlanTarget& target, Cost record_until,
                                std::int64_t max_tiles) {
  PaddedGrid grid;
  for (const RequestExtent& request : batch.requests) {
    grid.query_tokens = std::max(grid.query_tokens, request.query_length);
    grid.key_tokens = std::max(grid.key_tokens, request.key_length);
  }
  const RequestTiles tiles = TileSelector(target, batch.group).select(grid.query_tokens, grid.key_tokens);
  const std::int64_t heads = std::int64_t{batch.kv_heads} * tiles.head_chunks;
  if (grid.query_tokens > 0) grid.tile_count = std::ssize(batch.requests) * heads * tiles.tiles;

  using Load = std::pair<Cost, std::int32_t>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> workers;
  for (std::int32_t worker = 0; worker < target.workers; ++worker) workers.emplace(0, worker);

  const std::int64_t query_tiles = grid.query_tokens > 0 ? tiles.tiles : 0;
  std::int64_t walked = 0;
  for (std::size_t r = 0; r < batch.requests.size(); ++r) {
    RequestTiles request = tiles;
    request.query_length = batch.requests[r].query_length;
    request.key_length = batch.requests[r].key_length;
    // Its rows keep their key positions, but the grid believes in rows and keys up to the longest request's.
    RequestTiles padded = tiles;
    padded.key_length = grid.key_tokens;
    padded.query_length = grid.key_tokens - (request.key_length - request.query_length);
    for (std::int64_t head = 0; head < heads; ++head) {
      for (std::int64_t tile = 0; tile < query_tiles; ++tile) {
        const auto [begin, worker] = workers.top();
        if (++walked > max_tiles && begin >= record_until) {
          grid.complete = false;
          return grid;
        }
        const std::int64_t first = tile * tiles.tile_tokens;
        const std::int64_t padded_end = std::min(first + tiles.tile_tokens, grid.query_tokens);
        const std::int64_t rows_end = std::min(padded_end, request.query_length);
        const KeyRange padded_keys = visible_keys(padded, batch.mask, first, padded_end);
        KeyRange real{0, 0};
        Cost useful = 0;
        if (first < rows_end) {
          real = visible_keys(request, batch.mask, first, rows_end);
          useful = tile_cost(target, tiles.main_shape, real);
        } else {
          ++grid.rowless_tiles;
        }
        const Cost cost = std::max(useful, tile_cost(target, tiles.main_shape, padded_keys));
        if (begin < record_until) {
          grid.tiles.push_back({first, std::max<std::int64_t>(0, rows_end - first), real.begin, real.end,
                                static_cast<std::int32_t>(r), static_cast<std::int32_t>(head / tiles.head_chunks),
                                worker, begin, begin + useful, begin + cost});
        }
        grid.useful_cost += useful;
        grid.total_cost += cost;
        grid.makespan = std::max(grid.makespan, begin + cost);
        workers.pop();
        workers.emplace(begin + cost, worker);
      }
    }
  }
  return grid;
}

}  // namespace varlen
