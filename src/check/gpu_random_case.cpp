// Random batches as GPU kernels mostly meet them: tiles of the heights that they are made for, several of them, several
// steps of keys in each, rows that are aligned.
#include <algorithm>

#include "check/adapt.hpp"
#include "check/cases.hpp"
#include "check/random_bits.hpp"

namespace varlen::check {
namespace {

constexpr std::int64_t kMaxProducts = 16'000'000;  // multiplications of the oracle

PlanTarget gpu_target(RandomBits& random) {
  PlanTarget target;
  target.name = "gpu";
  target.tile_shapes = {{128, kCostPerBlock}, {64, kCostPerBlock}};
  if (random.one_in(4)) target.tile_shapes.resize(1);
  if (random.one_in(4)) target.tile_shapes.erase(target.tile_shapes.begin());
  if (target.tile_shapes.empty()) target.tile_shapes = {{64, kCostPerBlock}};
  target.key_block = random.pick({64, 128, 128});
  target.workers = static_cast<std::int32_t>(random.log_between(1, 132));
  target.l2_bytes = random.log_between(1000, 50'000'000);
  return target;
}

void choose_heads(Case& test, RandomBits& random) {
  struct HeadDims {
    std::int32_t qk;
    std::int32_t vo;
  };
  const auto dims = random.pick<HeadDims>({{64, 64},
                                           {64, 64},
                                           {128, 128},
                                           {128, 128},
                                           {192, 128},
                                           {256, 256},
                                           {72, 80},
                                           {40, 24},
                                           {136, 128},
                                           {200, 200},
                                           {128, 64},
                                           {256, 128}});
  test.head_dim_qk = dims.qk;
  test.head_dim_vo = dims.vo;
  test.kv_heads = random.pick({1, 1, 2});
  test.query_heads = test.kv_heads * random.pick({1, 1, 2, 3, 4, 5, 8, 12, 16, 33});
}

void choose_lengths(Case& test, RandomBits& random) {
  test.query_lengths.clear();
  test.key_lengths.clear();
  const std::int64_t style = random.below(4);
  const std::int64_t requests = random.between(1, 6);
  for (std::int64_t r = 0; r < requests; ++r) {
    const std::int64_t keys = random.one_in(8) ? random.below(2) : random.log_between(1, style == 1 ? 4000 : 700);
    std::int64_t queries = keys;                           // prompts
    if (style == 1) queries = random.between(0, 3);        // decoding
    if (style == 2) queries = random.below(keys + 1);      // chunks
    if (style == 3) queries = random.log_between(1, 300);  // whatever
    test.query_lengths.push_back(queries);
    test.key_lengths.push_back(keys);
  }
  const auto products = [&] {
    std::int64_t scores = 0;
    for (std::size_t r = 0; r < test.query_lengths.size(); ++r) scores += test.query_lengths[r] * test.key_lengths[r];
    return scores * test.query_heads * (test.head_dim_qk + test.head_dim_vo);
  };
  while (products() > kMaxProducts) {
    for (std::int64_t& length : test.query_lengths) length = length * 3 / 4;
  }
}

void choose_layout(Case& test, RandomBits& random) {
  CaseLayout& layout = test.layout;
  if (layout.packed_qkv && (test.query_lengths != test.key_lengths || test.page_size > 0)) layout.packed_qkv = false;
  test.page_size =
      layout.packed_qkv || !random.one_in(3) ? 0 : random.pick<std::int64_t>({8, 16, 16, 24, 64, 128, 256});
  if (random.one_in(5)) return;
  layout.head_gap = layout.head_gap / 8 * 8;
  layout.token_gap = layout.token_gap / 8 * 8;
}

}  // namespace

Case random_case_for(Backend backend, std::uint64_t seed) {
  Case test = adapted(random_case(seed), backend);
  RandomBits random(~seed);
  if (!rounds_weights(backend) || random.one_in(3)) return test;
  choose_heads(test, random);
  choose_lengths(test, random);
  choose_layout(test, random);
  const auto requests = static_cast<std::int64_t>(test.query_lengths.size());
  test.spoiled_request = requests > 1 && random.one_in(2) ? random.below(requests) : -1;
  test.layout.shared_pages = test.page_size > 0 && test.spoiled_request < 0 && random.one_in(4);
  test.solo_request = test.batch_invariant && !test.layout.shared_pages ? random.below(requests) : -1;
  test.target = gpu_target(random);
  return test;
}

}  // namespace varlen::check
