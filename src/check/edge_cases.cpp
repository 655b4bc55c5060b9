#include <utility>

#include "check/cases.hpp"

namespace varlen::check {
namespace {

/// The machines of PlanTarget, and two that exist nowhere: tiles smaller than groups and shorter than key blocks are
/// tall, and more workers than tiles, so that most tiles are cut by key range.
std::vector<PlanTarget> targets() {
  PlanTarget narrow;
  narrow.name = "narrow";
  narrow.tile_shapes = {{6, kCostPerBlock}, {2, 7}};
  narrow.key_block = 5;
  narrow.workers = 3;
  narrow.l2_bytes = 1 << 16;
  PlanTarget crowded;
  crowded.name = "crowded";
  crowded.tile_shapes = {{48, kCostPerBlock}};
  crowded.key_block = 16;
  crowded.workers = 61;
  crowded.l2_bytes = 1 << 20;
  return {PlanTarget::cpu(2), PlanTarget::h100(), PlanTarget::b200(), narrow, crowded};
}

}  // namespace

Case small_case(std::string name, std::vector<std::int64_t> query_lengths, std::vector<std::int64_t> key_lengths) {
  Case test;
  test.name = std::move(name);
  test.query_lengths = std::move(query_lengths);
  test.key_lengths = std::move(key_lengths);
  test.query_heads = 4;
  test.kv_heads = 2;
  test.head_dim_qk = test.head_dim_vo = 16;
  return test;
}

std::vector<EdgeCase> edge_cases() {
  std::vector<EdgeCase> cases;
  for (const auto& part : {length_cases(), data_cases(), layout_cases(), hidden_cases(),
                           tail_cases({{1, 1}, {1, 24}, {1, 40}, {300, 13}, {300, 40}, {4096, 26}, {20'000, 25}})}) {
    for (const Case& test : part) {
      cases.push_back({test, targets()});
      cases.back().test.seed = cases.size();
      if (test.one_call) cases.back().targets.resize(1);  // it plans for a target of its own
    }
  }
  return cases;
}

}  // namespace varlen::check
