#include <fmt/format.h>

#include <utility>

#include "check/cases.hpp"

namespace varlen::check {
namespace {

/// Keys of 128 or 192 dims, values of 128, in bf16.
Case wide_case(std::int32_t head_dim_qk, bool causal) {
  Case test;
  test.head_dim_qk = head_dim_qk;
  test.head_dim_vo = 128;
  test.mask = causal ? Mask::causal() : Mask::full();
  test.input_dtype = test.output_dtype = Dtype::kBFloat16;
  return test;
}

const char* mask_name(bool causal) { return causal ? "causal" : "full"; }

/// FlashInfer's issue 1103: seven prompts, none of them a multiple of a tile, the last one much shorter than the
/// others. 32 query heads on 4 or 32 KV heads; `sampled` has the first one of four groups, or the first two heads.
void add_issue1103(std::vector<Case>& cases, bool sampled) {
  const std::vector<std::int64_t> lengths = {1274, 1294, 1347, 1279, 1304, 1341, 353};
  for (const std::int32_t kv_heads : {4, 32}) {
    for (const std::int32_t head_dim_qk : {128, 192}) {
      for (const bool causal : {false, true}) {
        Case test = wide_case(head_dim_qk, causal);
        test.name = fmt::format("issue1103_{}/kv{}_d{}_{}", sampled ? "sampled" : "whole", kv_heads, head_dim_qk,
                                mask_name(causal));
        test.query_lengths = test.key_lengths = lengths;
        const std::int32_t group = 32 / kv_heads;
        const std::int32_t sample = kv_heads == 4 ? 1 : 2;
        test.kv_heads = sampled ? sample : kv_heads;
        test.query_heads = group * test.kv_heads;
        cases.push_back(std::move(test));
      }
    }
  }
}

/// FlashInfer's own tests of that kernel: every number of requests with every number of queries and keys, more queries
/// than keys included. Head dims take turns.
void add_grid(std::vector<Case>& cases) {
  std::int32_t head_dim_qk = 128;
  for (const std::size_t requests : {1U, 2U, 3U, 9U, 17U}) {
    for (const std::int64_t queries : {1, 17, 177, 377, 977}) {
      for (const std::int64_t keys : {1, 17, 544, 977, 1999}) {
        for (const bool causal : {false, true}) {
          Case test = wide_case(head_dim_qk, causal);
          test.name = fmt::format("grid_{}/{}_requests_{}_queries_{}_keys", mask_name(causal), requests, queries, keys);
          test.query_lengths.assign(requests, queries);
          test.key_lengths.assign(requests, keys);
          test.query_heads = 2;
          cases.push_back(std::move(test));
        }
        head_dim_qk = head_dim_qk == 128 ? 192 : 128;
      }
    }
  }
}

}  // namespace

std::vector<EdgeCase> long_cases() {
  std::vector<Case> cases;
  add_issue1103(cases, true);
  add_issue1103(cases, false);
  add_grid(cases);
  std::vector<Tail> tails;
  for (const std::int64_t keys : {131'072, 500'000}) {
    for (const int bits : {1, 8, 13, 20, 24, 25, 26, 30, 40}) tails.push_back({keys, bits});
  }
  for (Case& test : tail_cases(tails)) cases.push_back(std::move(test));
  std::vector<EdgeCase> edges;
  for (Case& test : cases) {
    test.seed = edges.size() + 1;
    edges.push_back({std::move(test), {PlanTarget::b200()}});
  }
  return edges;
}

}  // namespace varlen::check
