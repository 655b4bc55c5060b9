// A machine that nobody has: plans for it have shapes that real ones never have.
#pragma once

#include <cstdint>

#include "check/random_bits.hpp"
#include "varlen/plan.hpp"

namespace varlen::check {

inline PlanTarget random_target(RandomBits& random, std::int64_t most_rows, std::int64_t most_workers) {
  PlanTarget target;
  target.name = "random";
  auto rows = static_cast<std::int32_t>(random.log_between(1, most_rows));
  for (std::int64_t shapes = random.between(1, PlanTarget::kMaxTileShapes); shapes > 0 && rows > 0; --shapes) {
    target.tile_shapes.push_back({rows, random.between(1, kCostPerBlock)});
    rows = static_cast<std::int32_t>(random.below(rows));
  }
  target.key_block =
      static_cast<std::int32_t>(random.one_in(2) ? random.pick({16, 32, 64, 128}) : random.log_between(1, 200));
  target.workers = static_cast<std::int32_t>(random.log_between(1, most_workers));
  target.item_cost = random.below(40);
  target.split_cost = random.below(60);
  target.l2_bytes = random.log_between(1, 100'000'000);
  return target;
}

}  // namespace varlen::check
