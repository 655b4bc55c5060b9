#include "plan_case.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <span>

namespace varlen::plan_test {

namespace {

std::string list(const std::vector<std::int64_t>& values) {
  constexpr std::size_t kShown = 64;
  const std::span<const std::int64_t> shown(values.data(), std::min(values.size(), kShown));
  return fmt::format("{{{}{}}}", fmt::join(shown, ","), values.size() > kShown ? ",…" : "");
}

}  // namespace

Batch BatchCase::view() const {
  Batch batch;
  batch.query_lengths = IndexView(std::span<const std::int64_t>(query_lengths));
  batch.key_lengths = IndexView(std::span<const std::int64_t>(key_lengths));
  batch.query_heads = query_heads();
  batch.kv_heads = kv_heads;
  batch.head_dim_qk = head_dim_qk;
  batch.head_dim_vo = head_dim_vo;
  batch.mask = mask;
  batch.batch_invariant = batch_invariant;
  return batch;
}

BatchCase BatchCase::alone(std::int64_t index) const {
  BatchCase single = *this;
  single.query_lengths = {query_lengths[static_cast<std::size_t>(index)]};
  single.key_lengths = {key_lengths[static_cast<std::size_t>(index)]};
  return single;
}

void collect(const Plan& plan, PlanOutput& output) {
  const std::int64_t count = plan.item_count();
  output.items.clear();
  output.items.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) output.items.push_back(plan.item(i));
  output.merges = plan.merges();
  output.partial_rows = plan.partial_rows();
}

PlanOutput collect(const Plan& plan) {
  PlanOutput output;
  collect(plan, output);
  return output;
}

bool same_item(const WorkItem& a, const WorkItem& b) {
  return a.query_begin == b.query_begin && a.query_count == b.query_count && a.key_begin == b.key_begin &&
         a.key_end == b.key_end && a.partial_row == b.partial_row && a.request == b.request && a.kv_head == b.kv_head &&
         a.query_head_begin == b.query_head_begin && a.query_head_count == b.query_head_count &&
         a.tile_shape == b.tile_shape && a.part == b.part && a.parts == b.parts && a.merge == b.merge;
}

bool same_merge(const Merge& a, const Merge& b) {
  return a.query_begin == b.query_begin && a.query_count == b.query_count && a.partial_row == b.partial_row &&
         a.request == b.request && a.kv_head == b.kv_head && a.query_head_begin == b.query_head_begin &&
         a.query_head_count == b.query_head_count && a.parts == b.parts && a.tile_shape == b.tile_shape;
}

std::string describe(const BatchCase& batch, const PlanTarget& target) {
  std::string shapes;
  for (const TileShape& shape : target.tile_shapes) shapes += fmt::format(" {}@{}", shape.rows, shape.block_cost);
  return fmt::format(
      "requests={} query_lengths={} key_lengths={} kv_heads={} group={} mask=({},{}) batch_invariant={} | target '{}' "
      "shapes (rows@block_cost){} key_block={} workers={} item_cost={} split_cost={} l2_bytes={}",
      batch.requests(), list(batch.query_lengths), list(batch.key_lengths), batch.kv_heads, batch.group,
      batch.mask.left, batch.mask.right, batch.batch_invariant, target.name, shapes, target.key_block, target.workers,
      target.item_cost, target.split_cost, target.l2_bytes);
}

std::string describe(const WorkItem& item) {
  return fmt::format(
      "{{request {} kv_head {} heads {}+{} queries {}+{} keys [{}, {}) part {}/{} merge {} partial_row {} shape {}}}",
      item.request, item.kv_head, item.query_head_begin, item.query_head_count, item.query_begin, item.query_count,
      item.key_begin, item.key_end, item.part, item.parts, item.merge, item.partial_row, item.tile_shape);
}

}  // namespace varlen::plan_test
