#include "random_plan.hpp"

#include <span>
#include <vector>

namespace varlen::report_test {

Plan plan_of(const std::vector<std::int64_t>& query_lengths, const std::vector<std::int64_t>& key_lengths,
             std::int32_t kv_heads, std::int32_t group, const Mask& mask, const PlanTarget& target,
             bool batch_invariant) {
  Batch batch;
  batch.query_lengths = std::span<const std::int64_t>(query_lengths);
  batch.key_lengths = std::span<const std::int64_t>(key_lengths);
  batch.query_heads = kv_heads * group;
  batch.kv_heads = kv_heads;
  batch.head_dim_qk = 64;
  batch.mask = mask;
  batch.batch_invariant = batch_invariant;
  return make_plan(batch, target);
}

Plan random_plan(std::mt19937_64& random, std::int64_t longest) {
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  std::vector<std::int64_t> queries;
  std::vector<std::int64_t> keys;
  for (std::int64_t r = 1 + below(8); r > 0; --r) {
    queries.push_back(below(longest + 1));
    keys.push_back(below(3) == 0 ? queries.back() : below(longest + 1));
  }
  const auto limit = [&] { return below(2) == 0 ? Mask::kUnlimited : below(longest); };
  const Mask mask = Mask::window(limit(), limit());
  PlanTarget target = below(3) == 0 ? PlanTarget::h100() : below(2) == 0 ? PlanTarget::b200() : PlanTarget::cpu(4);
  if (below(2) == 0) {
    target.key_block = static_cast<std::int32_t>(1 + below(200));
    target.workers = static_cast<std::int32_t>(1 + below(30));
    target.l2_bytes = below(1 << 20);
  }
  const auto kv_heads = static_cast<std::int32_t>(1 + below(5));
  const auto group = static_cast<std::int32_t>(1 + below(below(4) == 0 ? 300 : 9));
  return plan_of(queries, keys, kv_heads, group, mask, target, below(4) == 0);
}

}  // namespace varlen::report_test
