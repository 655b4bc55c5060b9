// Random batches and targets, the same for a seed on every machine.
#pragma once

#include <cstdint>
#include <random>

#include "plan_case.hpp"

namespace varlen::plan_test {

class RandomCase {
 public:
  explicit RandomCase(std::uint64_t seed) : random_(seed) {}

  /// Draws batch and target. The batch has up to 5,000 requests of 0 … 200,000 queries and keys, log-uniform, cut where
  /// the plan would have many more items than `max_items`.
  void draw(std::int64_t max_items);

  BatchCase batch;
  PlanTarget target;

  /// Uniform in [low, high].
  std::int64_t uniform(std::int64_t low, std::int64_t high);
  /// Log-uniform in [low, high]; low may be 0.
  std::int64_t log_uniform(std::int64_t low, std::int64_t high);
  bool one_in(std::int64_t n) { return uniform(1, n) == 1; }

 private:
  void draw_target();
  void draw_mask();
  void draw_lengths(std::int64_t requests, std::int64_t query_tokens);

  std::mt19937_64 random_;
};

}  // namespace varlen::plan_test
