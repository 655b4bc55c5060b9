#include "random_case.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "check/random_bits.hpp"
#include "check/random_target.hpp"

namespace varlen::gpu_check {
namespace {

using check::Case;
using check::CaseLayout;
using check::IndexForm;
using check::RandomBits;

constexpr std::int64_t kEdges[] = {63, 64, 65, 127, 128, 129, 191, 192, 193, 255, 256, 257};

std::int64_t random_length(RandomBits& random, std::int64_t longest) {
  switch (random.below(8)) {
    case 0:
      return random.below(2);
    case 1:
      return std::min(longest, kEdges[random.below(static_cast<std::int64_t>(std::size(kEdges)))]);
    case 2:
      return longest;
    default:
      return random.log_between(1, longest);
  }
}

/// A few long requests that a plan must cut, whether prompts or decodes.
void choose_long_lengths(Case& test, RandomBits& random) {
  const bool prompts = random.one_in(3);
  for (std::int64_t left = random.between(1, prompts ? 2 : 5); left > 0; --left) {
    const std::int64_t keys = prompts ? random.log_between(500, 3000) : random.log_between(500, 20'000);
    test.key_lengths.push_back(keys);
    test.query_lengths.push_back(prompts ? keys : random.one_in(3) ? random.between(0, 40) : 1);
  }
}

/// Prompts, decodes and chunks of a few requests, or very many short ones.
void choose_lengths(Case& test, RandomBits& random) {
  if (random.one_in(4)) return choose_long_lengths(test, random);
  const bool swarm = random.one_in(2);
  const std::int64_t requests = swarm ? random.between(80, 400) : random.between(1, 12);
  const std::int64_t longest = random.log_between(2, swarm ? 70 : 2000);
  const std::int64_t style = random.below(5);
  const bool some_empty = random.one_in(3);
  for (std::int64_t r = 0; r < requests; ++r) {
    std::int64_t keys = random_length(random, longest);
    std::int64_t queries = random_length(random, longest);             // unrelated
    if (style == 1 || style == 2) queries = keys;                      // prompts
    if (style == 3) queries = random.one_in(4) ? random.below(9) : 1;  // decodes
    if (style == 4) queries = std::min(queries, keys);                 // chunks
    if (some_empty && random.one_in(4)) (random.one_in(2) ? queries : keys) = 0;
    test.query_lengths.push_back(queries);
    test.key_lengths.push_back(keys);
  }
}

void choose_heads(Case& test, RandomBits& random) {
  const bool swarm = test.query_lengths.size() > 12;
  test.kv_heads = swarm ? random.pick({4, 8, 8, 16}) : random.pick({1, 1, 2, 2, 3, 4, 8});
  const std::int32_t group =
      random.one_in(3) ? static_cast<std::int32_t>(random.between(1, 32)) : random.pick({1, 1, 2, 4, 4, 8, 16, 32});
  test.query_heads = test.kv_heads * group;
  const auto any_dim = [&] { return static_cast<std::int32_t>(8 * random.between(1, 32)); };
  const auto dim = [&] { return random.one_in(3) ? any_dim() : random.pick({64, 64, 96, 128, 128, 192, 256}); };
  test.head_dim_qk = test.head_dim_vo = dim();
  if (random.one_in(5)) {
    test.head_dim_qk = 192;
    test.head_dim_vo = 128;
  } else if (random.one_in(12)) {  // more than forward_wgmma takes
    test.head_dim_qk = random.one_in(3) ? static_cast<std::int32_t>(8 * random.between(33, 72)) : 576;
    test.head_dim_vo = random.one_in(3) ? static_cast<std::int32_t>(8 * random.between(33, 64)) : 512;
  } else if (random.one_in(5)) {
    test.head_dim_vo = any_dim();
  }
}

/// Makes whatever is largest smaller until the case is cheap enough. Swarms stay swarms.
void shrink(Case& test, const Effort& effort) {
  while (products(test) > effort.products || elements(test) > effort.elements) {
    const bool swarm = test.query_lengths.size() > 12;
    const std::int64_t longest = std::max(*std::max_element(test.query_lengths.begin(), test.query_lengths.end()),
                                          *std::max_element(test.key_lengths.begin(), test.key_lengths.end()));
    const std::int32_t group = test.query_heads / test.kv_heads;
    if (group > 4) {
      test.query_heads = test.kv_heads * (group / 2);
    } else if (!swarm && test.kv_heads > 1) {
      test.kv_heads /= 2;
      test.query_heads = test.kv_heads * group;
    } else if (longest > 8) {
      for (auto* lengths : {&test.query_lengths, &test.key_lengths}) {
        for (std::int64_t& length : *lengths) length = length <= 1 ? length : length * 3 / 4;
      }
    } else if (test.query_heads > 1) {
      test.kv_heads = (test.kv_heads + 1) / 2;
      test.query_heads = test.kv_heads;
    } else {
      test.query_lengths.pop_back();
      test.key_lengths.pop_back();
    }
  }
}

void choose_layout(Case& test, RandomBits& random, const Effort& effort) {
  CaseLayout& layout = test.layout;
  layout.query_form = random.pick({IndexForm::kIndptr, IndexForm::kLengths, IndexForm::kBoth});
  layout.key_form = random.pick({IndexForm::kIndptr, IndexForm::kLengths, IndexForm::kBoth});
  layout.wide_query_indices = random.one_in(2);
  layout.wide_key_indices = random.one_in(2);
  // Tokens that are nobody's take memory as well.
  const std::int64_t token = std::int64_t{test.query_heads} * (test.head_dim_qk + test.head_dim_vo);
  const std::int64_t spare = effort.elements / token;
  const auto requests = static_cast<std::int64_t>(test.query_lengths.size());
  layout.gap_tokens = std::min(random.below(20), spare / (requests + 1));
  layout.tail_tokens = random.one_in(2) ? std::min(random.below(40), spare) : 0;
  // Mostly whole chunks of 16 bytes, which every kernel reads; else rows begin anywhere.
  const std::int64_t unit = random.one_in(6) ? 1 : 8;
  layout.head_gap = random.one_in(4) ? unit * random.below(3) : 0;
  layout.token_gap = random.one_in(3) ? unit * random.below(6) : 0;
  layout.heads_first = random.one_in(5);
  layout.spare_pages = random.below(4);
  if (random.one_in(3)) {
    test.page_size = random.one_in(2) ? random.pick<std::int64_t>({16, 32, 64, 128, 256}) : random.between(16, 256);
    // A pool holds whole pages: keep the last ones from outweighing the keys.
    const std::int64_t width = std::int64_t{test.kv_heads} * (test.head_dim_qk + test.head_dim_vo);
    while (test.page_size > 16 &&
           test.page_size * static_cast<std::int64_t>(test.key_lengths.size()) * width > 4 * effort.elements) {
      test.page_size = std::max<std::int64_t>(16, test.page_size / 2);
    }
  } else if (test.query_lengths == test.key_lengths && random.one_in(2)) {
    layout.packed_qkv = true;
    layout.heads_first = false;
    layout.head_gap = 0;
    layout.key_form = layout.query_form = random.pick({IndexForm::kIndptr, IndexForm::kLengths});
  }
}

void choose_scoring(Case& test, RandomBits& random) {
  test.input_dtype = random.pick({Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3});
  const bool fp8 = test.input_dtype == Dtype::kFloat8E4M3;
  test.output_dtype =
      random.pick({fp8 ? Dtype::kBFloat16 : test.input_dtype, Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16});
  test.fp8_scales = fp8 && !random.one_in(4);
  if (random.one_in(5)) {
    const double factor = (random.one_in(2) ? 1 : -1) * (0.1 + 0.9 * random.unit());
    test.scale = static_cast<float>(factor / std::sqrt(test.head_dim_qk));
  }
  if (random.one_in(5)) test.soft_cap = static_cast<float>(random.pick({0.5, 2.0, 15.0, 50.0}));
  test.sinks = random.one_in(4);
  test.lse = !random.one_in(6);
}

Mask random_mask(RandomBits& random, std::int64_t longest) {
  switch (random.below(6)) {
    case 0:
      return Mask::full();
    case 1:
    case 2:
      return Mask::causal();
    case 3:
      return Mask::causal_window(random.below(longest + 2));
    case 4:
      return Mask::window(random.below(longest + 2), random.below(longest + 2));
    default:  // one side unlimited, or both small
      return random.one_in(2) ? Mask::window(random.below(4), random.below(4))
                              : Mask::window(Mask::kUnlimited, random.below(longest + 2));
  }
}

/// Not the device's own: a kernel runs any plan. Without tile shapes it stands for the device's.
PlanTarget choose_target(RandomBits& random) {
  switch (random.below(6)) {
    case 0:
      return PlanTarget::h100();
    case 1:
      return PlanTarget::b200();
    case 2:
      break;
    default:
      return {};
  }
  return check::random_target(random, 256, 600);
}

std::int64_t sum(const std::vector<std::int64_t>& lengths) {
  return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
}

}  // namespace

std::int64_t products(const Case& test) {
  std::int64_t pairs = 0;
  for (std::size_t r = 0; r < test.query_lengths.size(); ++r) pairs += test.query_lengths[r] * test.key_lengths[r];
  return pairs * test.query_heads * (2 * test.head_dim_qk + test.head_dim_vo);
}

std::int64_t elements(const Case& test) {
  const std::int64_t queries = sum(test.query_lengths) * test.query_heads;
  const std::int64_t keys = sum(test.key_lengths) * test.kv_heads;
  return (queries + keys) * (test.head_dim_qk + test.head_dim_vo);
}

Case random_case(std::uint64_t seed, const Effort& effort) {
  using check::PageForm;
  RandomBits random(seed);
  Case test;
  test.name = "random";
  test.seed = seed;
  choose_lengths(test, random);
  choose_heads(test, random);
  shrink(test, effort);
  choose_scoring(test, random);
  choose_layout(test, random, effort);
  std::int64_t longest = 1;
  for (const std::int64_t length : test.key_lengths) longest = std::max(longest, length);
  test.mask = random_mask(random, longest);
  test.target = choose_target(random);
  test.batch_invariant = random.one_in(5);
  test.layout.page_form = random.pick({PageForm::kTable, PageForm::kRows, PageForm::kIndices});
  return test;
}

}  // namespace varlen::gpu_check
