// One planning problem and one answer to it, as plain values: the checker sees nothing else of the library.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "varlen/plan.hpp"

namespace varlen::plan_test {

/// What to plan. Owns its lengths, unlike Batch.
struct BatchCase {
  std::vector<std::int64_t> query_lengths;
  std::vector<std::int64_t> key_lengths;
  std::int32_t kv_heads = 1;
  std::int32_t group = 1;  // query heads per KV head
  std::int32_t head_dim_qk = 128;
  std::int32_t head_dim_vo = 128;
  Mask mask;
  bool batch_invariant = false;

  std::int64_t requests() const { return static_cast<std::int64_t>(query_lengths.size()); }
  std::int32_t query_heads() const { return kv_heads * group; }
  /// Valid while this case lives.
  Batch view() const;
  /// The case with request `index` only.
  BatchCase alone(std::int64_t index) const;
};

/// Everything a plan says about its work.
struct PlanOutput {
  std::vector<WorkItem> items;
  std::vector<Merge> merges;
  std::int64_t partial_rows = 0;
};

/// Reads all items in order into `output`, reusing its memory.
void collect(const Plan& plan, PlanOutput& output);
PlanOutput collect(const Plan& plan);

bool same_item(const WorkItem& a, const WorkItem& b);
bool same_merge(const Merge& a, const Merge& b);

/// Enough to type the case in again; long length lists are cut.
std::string describe(const BatchCase& batch, const PlanTarget& target);
std::string describe(const WorkItem& item);

}  // namespace varlen::plan_test
