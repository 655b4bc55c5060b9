// Plans of random batches, the same for a seed on every machine.
#pragma once

#include <cstdint>
#include <random>

#include "varlen/plan.hpp"

namespace varlen::report_test {

/// Up to eight requests of up to `longest` queries and keys; all masks, groups and targets.
Plan random_plan(std::mt19937_64& random, std::int64_t longest);

/// One request for each length, of so many queries and keys.
Plan plan_of(const std::vector<std::int64_t>& query_lengths, const std::vector<std::int64_t>& key_lengths,
             std::int32_t kv_heads, std::int32_t group, const Mask& mask, const PlanTarget& target,
             bool batch_invariant = false);

}  // namespace varlen::report_test
