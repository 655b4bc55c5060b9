#include <fmt/format.h>

#include <utility>

#include "check/cases.hpp"

namespace varlen::check {
namespace {

struct HeadDims {
  std::int32_t qk;
  std::int32_t vo;
};
constexpr HeadDims kHeadDims[] = {{128, 128}, {192, 128}};

struct NamedMask {
  const char* name;
  Mask mask;
};
const NamedMask kMasks[] = {{"full", Mask::full()}, {"causal", Mask::causal()}};

Case wide_case(HeadDims dims, const NamedMask& mask) {
  Case test;
  test.head_dim_qk = dims.qk;
  test.head_dim_vo = dims.vo;
  test.mask = mask.mask;
  test.input_dtype = test.output_dtype = Dtype::kBFloat16;
  return test;
}

/// FlashInfer's issue 1103: seven prompts, none of them a multiple of a tile, the last one much shorter than the
/// others. 32 query heads on 4 or 32 KV heads; `sampled` has the first of the groups, and never fewer than two heads.
void add_issue1103(std::vector<Case>& cases, bool sampled) {
  const std::vector<std::int64_t> lengths = {1274, 1294, 1347, 1279, 1304, 1341, 353};
  for (const std::int32_t kv_heads : {4, 32}) {
    for (const HeadDims dims : kHeadDims) {
      for (const NamedMask& mask : kMasks) {
        Case test = wide_case(dims, mask);
        test.name =
            fmt::format("issue1103_{}/kv{}_d{}_{}", sampled ? "sampled" : "whole", kv_heads, dims.qk, mask.name);
        test.query_lengths = test.key_lengths = lengths;
        const std::int32_t group = 32 / kv_heads;
        test.kv_heads = !sampled ? kv_heads : group > 1 ? 1 : 2;
        test.query_heads = group * test.kv_heads;
        cases.push_back(std::move(test));
      }
    }
  }
}

/// FlashInfer's own tests of that kernel: every number of requests with every number of queries and keys, more queries
/// than keys included.
void add_grid(std::vector<Case>& cases) {
  for (const std::size_t requests : {1, 2, 3, 9, 17}) {
    for (const std::int64_t queries : {1, 17, 177, 377, 977}) {
      for (const std::int64_t keys : {1, 17, 544, 977, 1999}) {
        for (const NamedMask& mask : kMasks) {
          Case test = wide_case(kHeadDims[cases.size() / 2 % 2], mask);
          test.name = fmt::format("grid_{}/{}_requests_{}_queries_{}_keys", mask.name, requests, queries, keys);
          test.query_lengths.assign(requests, queries);
          test.key_lengths.assign(requests, keys);
          test.query_heads = 2;
          cases.push_back(std::move(test));
        }
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
  std::vector<EdgeCase> edges;
  for (Case& test : cases) {
    test.seed = edges.size() + 1;
    edges.push_back({std::move(test), {PlanTarget::b200()}});
  }
  return edges;
}

}  // namespace varlen::check
