// What the items of a plan add up to.
#pragma once

#include <cstdint>

#include "plan/plan_data.hpp"

namespace varlen {

struct ItemSums {
  std::int64_t tiles = 0;
  std::int64_t empty_tiles = 0;
  std::int64_t blind_tiles = 0;
  std::int64_t splits = 0;
  std::int64_t partial_slots = 0;
  std::int64_t live_rows = 0;
  std::int64_t tile_rows = 0;
  std::int64_t key_blocks = 0;
  Cost cost = 0;
  Cost unsplit_cost = 0;  // as if every tile were whole

  bool operator==(const ItemSums&) const = default;
};

/// Looks at every item. O(items).
ItemSums sum_items(const PlanData& plan);
/// The same by closed forms of tile_geometry.hpp. O(requests + listed items).
ItemSums sum_runs(const PlanData& plan);

}  // namespace varlen
