// How large the plan of a batch within limits may be: room to set aside for plans that are made on a device.
#pragma once

#include <cstdint>

#include "plan/problem.hpp"

namespace varlen {

/// The most of each that a plan of such a batch has.
struct PlanSizes {
  std::int64_t requests = 0;
  std::int64_t listed = 0;        // items
  std::int64_t listed_tiles = 0;  // before they are cut
  std::int64_t merges = 0;
  std::int64_t partial_rows = 0;
  std::int64_t items = 0;
};

/// The same limits with lengths of one request that they imply.
Limits resolved(const Limits& limits);

/// `limits` are resolved. Throws Error(kUnsupported) for limits beyond what a plan counts or 32 bits number.
PlanSizes plan_sizes(const PlanProblem<std::int64_t>& problem, const PlanTarget& target, const Limits& limits);

/// Throws Error if valid requests exceed the limits: what a planner on a device finds of them (LengthFault).
void check_within(const RaggedBatch& batch, const Requests& requests, const Limits& limits);

/// Whether 32 bits hold every length, number of items, and number of tiles and key blocks of one head of a request.
bool is_narrow(const PlanProblem<std::int64_t>& problem, const PlanSizes& sizes, const Limits& limits);

}  // namespace varlen
