#include <fmt/format.h>

#include <algorithm>

#include "check/cases.hpp"

namespace varlen::check {
namespace {

constexpr Dtype kInputs[] = {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3};

/// One request whose first key is hot: each further key has 2^-bits of its weight. The hot key's value is `hot`, all
/// others are 1. Weights are what is to be exact here, so scores are: the scale is ln 2, and keys are −bits.
Case tail_case(Dtype dtype, double hot, std::int64_t keys, int bits) {
  constexpr float kLn2 = 0.693147181F;
  Case test = small_case(fmt::format("tail_of_{}_keys_of_2^-{}_{}_{}", keys, bits,
                                     hot == 0 ? "behind_a_sink" : "behind_a_hot_key", dtype_name(dtype)),
                         {1}, {keys + 1});
  test.query_heads = test.kv_heads = 1;
  test.input_dtype = dtype;
  test.scale = kLn2;
  test.adjust = [hot, bits](const Case& its, CaseData& data) {
    std::fill(data.query.begin(), data.query.end(), 0.0);
    std::fill(data.key.begin(), data.key.end(), 0.0);
    std::fill(data.value.begin(), data.value.end(), 1.0);
    data.query.front() = 1;
    const auto dim_qk = static_cast<std::size_t>(its.head_dim_qk);
    for (std::size_t i = dim_qk; i < data.key.size(); i += dim_qk) data.key[i] = -bits;
    std::fill_n(data.value.begin(), its.head_dim_vo, hot);
  };
  return test;
}

}  // namespace

std::vector<Case> tail_cases(const std::vector<Tail>& tails) {
  std::vector<Case> cases;
  for (const Dtype dtype : kInputs) {
    for (const double hot : {0.0, 1.0}) {
      for (const Tail& tail : tails) cases.push_back(tail_case(dtype, hot, tail.keys, tail.bits));
    }
  }
  return cases;
}

}  // namespace varlen::check
