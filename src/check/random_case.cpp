#include <algorithm>
#include <cmath>

#include "check/cases.hpp"
#include "check/random_bits.hpp"
#include "check/random_target.hpp"

namespace varlen::check {
namespace {

// What one case may cost, so that thousands take minutes: multiplications of the oracle, and elements of the tensors.
constexpr std::int64_t kMaxProducts = 3'000'000;
constexpr std::int64_t kMaxElements = 60'000;

constexpr std::uint64_t kFreeStridesSeed = 0x7374726964657300U;

PlanTarget choose_target(RandomBits& random) {
  switch (random.below(6)) {
    case 0:
      return PlanTarget::cpu(static_cast<std::int32_t>(random.between(1, 4)));
    case 1:
      return PlanTarget::h100();
    case 2:
      return PlanTarget::b200();
    default:
      break;
  }
  return random_target(random, 150, 300);
}

Mask random_mask(RandomBits& random, std::int64_t longest) {
  switch (random.below(5)) {
    case 0:
      return Mask::full();
    case 1:
      return Mask::causal();
    case 2:
      return Mask::causal_window(random.below(longest + 2));
    case 3:
      return Mask::window(random.below(longest + 2), random.below(longest + 2));
    default:  // one side unlimited, or both small
      return random.one_in(2) ? Mask::window(random.below(4), random.below(4))
                              : Mask::window(Mask::kUnlimited, random.below(longest + 2));
  }
}

std::int64_t random_length(RandomBits& random, std::int64_t longest) {
  switch (random.below(8)) {
    case 0:
      return 0;
    case 1:
      return 1;
    case 2:
      if (longest < 63) return longest;
      return random.pick<std::int64_t>({63, 64, 65, 127, 128, 129, 255, 256, 257});
    case 3:
      return longest;
    default:
      return random.log_between(1, longest);
  }
}

void choose_lengths(Case& test, RandomBits& random) {
  const bool many = random.one_in(20);
  const std::int64_t requests = many ? random.between(0, 300) : random.between(1, 9);
  const std::int64_t longest = random.log_between(2, many ? 20 : 1200);
  const std::int64_t style = random.below(5);
  for (std::int64_t r = 0; r < requests; ++r) {
    const std::int64_t keys = random_length(random, longest);
    std::int64_t queries = random_length(random, longest);  // style 0: unrelated
    if (style == 1 || style == 2) queries = keys;           // prompts
    if (style == 3) queries = 1;                            // decoding
    if (style == 4) queries = std::min(queries, keys);      // chunks
    test.query_lengths.push_back(queries);
    test.key_lengths.push_back(keys);
  }
}

void choose_heads(Case& test, RandomBits& random) {
  if (test.query_lengths.size() > 20) {  // many requests, and so little of each
    test.query_heads = random.pick({1, 2, 3});
    test.head_dim_qk = test.head_dim_vo = random.pick({8, 16});
    return;
  }
  test.kv_heads = random.pick({1, 1, 1, 2, 2, 3, 4, 8});
  test.query_heads = test.kv_heads * random.pick({1, 1, 1, 2, 2, 3, 4, 5, 7, 8, 16, 40, 128});
  const auto dim = [&] {
    return random.one_in(3) ? static_cast<std::int32_t>(8 * random.between(1, kMaxHeadDim / 8))
                            : random.pick({8, 16, 32, 40, 64, 64, 80, 96, 128, 128, 192});
  };
  test.head_dim_qk = dim();
  test.head_dim_vo = random.one_in(3) ? dim() : test.head_dim_qk;
}

std::int64_t products(const Case& test) {
  std::int64_t scores = 0;
  for (std::size_t r = 0; r < test.query_lengths.size(); ++r) scores += test.query_lengths[r] * test.key_lengths[r];
  return scores * test.query_heads * (test.head_dim_qk + test.head_dim_vo);
}

std::int64_t elements(const Case& test) {
  const std::int64_t queries = running_sum(test.query_lengths).back() * test.query_heads;
  const std::int64_t keys = running_sum(test.key_lengths).back() * test.kv_heads;
  return (queries + keys) * (test.head_dim_qk + test.head_dim_vo);
}

/// Shrinks whatever is largest until the case is cheap enough.
void shrink(Case& test) {
  while (products(test) > kMaxProducts || elements(test) > kMaxElements) {
    const std::int32_t group = test.query_heads / test.kv_heads;
    const std::int64_t longest = std::max(*std::max_element(test.query_lengths.begin(), test.query_lengths.end()),
                                          *std::max_element(test.key_lengths.begin(), test.key_lengths.end()));
    if (group > 8 && longest > 8) {
      for (auto* lengths : {&test.query_lengths, &test.key_lengths}) {
        for (std::int64_t& length : *lengths) length = (length + 1) / 2;
      }
      test.kv_heads = 1;
      test.query_heads = group;
    } else if (test.kv_heads > 1) {
      test.kv_heads = (test.kv_heads + 1) / 2;
      test.query_heads = test.kv_heads * group;
    } else if (test.query_lengths.size() > 4 && longest < 200 && group <= 8) {
      test.query_lengths.pop_back();
      test.key_lengths.pop_back();
    } else if (group > 4) {
      test.query_heads = group / 2;
    } else if (test.head_dim_qk + test.head_dim_vo > 256 && longest < 200) {
      test.head_dim_qk = std::max(8, test.head_dim_qk / 16 * 8);
      test.head_dim_vo = std::max(8, test.head_dim_vo / 16 * 8);
    } else {
      for (auto* lengths : {&test.query_lengths, &test.key_lengths}) {
        for (std::int64_t& length : *lengths) length = length <= 1 ? length : length * 3 / 4;
      }
    }
  }
}

void choose_layout(Case& test, RandomBits& random) {
  CaseLayout& layout = test.layout;
  layout.query_form = random.pick({IndexForm::kIndptr, IndexForm::kLengths, IndexForm::kBoth});
  layout.key_form = random.pick({IndexForm::kIndptr, IndexForm::kLengths, IndexForm::kBoth});
  layout.wide_query_indices = random.one_in(2);
  layout.wide_key_indices = random.one_in(2);
  layout.gap_tokens = random.below(20);
  layout.tail_tokens = random.one_in(2) ? random.below(40) : 0;
  layout.head_gap = random.one_in(4) ? random.below(20) : 0;
  layout.token_gap = random.one_in(4) ? random.below(40) : 0;
  layout.heads_first = random.one_in(4);
  layout.front_guards = random.one_in(4);
  layout.spare_pages = random.below(4);
  if (random.one_in(3)) {
    test.page_size = random.one_in(2) ? random.pick<std::int64_t>({1, 16, 64, 128, 256}) : random.between(1, 256);
    // A pool holds whole pages: keep the last ones from outweighing the keys.
    while (test.page_size > 16 && test.page_size * static_cast<std::int64_t>(test.key_lengths.size()) * test.kv_heads *
                                          (test.head_dim_qk + test.head_dim_vo) >
                                      4 * kMaxElements) {
      test.page_size /= 2;
    }
  } else if (test.query_lengths == test.key_lengths && random.one_in(2)) {
    layout.packed_qkv = true;
    layout.key_form = layout.query_form = random.pick({IndexForm::kIndptr, IndexForm::kLengths});
  }
}

void choose_scoring(Case& test, RandomBits& random) {
  test.input_dtype = random.pick({Dtype::kFloat32, Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16, Dtype::kBFloat16,
                                  Dtype::kFloat8E4M3, Dtype::kFloat8E5M2});
  test.output_dtype = random.pick({Dtype::kFloat32, Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16});
  if (random.one_in(5)) {
    // Up to the default, either sign. Scores in fp32 err in proportion to scale · Σ |q k|, and weights inherit that: at
    // several times the default no fp32 arithmetic stays within the contract's bound for fp32 output.
    const double factor = (random.one_in(2) ? 1 : -1) * (0.1 + 0.9 * random.unit());
    test.scale = static_cast<float>(factor / std::sqrt(test.head_dim_qk));
  }
  if (random.one_in(5)) test.soft_cap = static_cast<float>(random.pick({0.5, 2.0, 15.0, 50.0}));
  test.sinks = random.one_in(4);
  test.lse = !random.one_in(6);
  const bool fp8 = test.input_dtype == Dtype::kFloat8E4M3 || test.input_dtype == Dtype::kFloat8E5M2;
  test.fp8_scales = fp8 && random.one_in(2);
}

/// Layouts that came later, with random numbers of their own: what a seed's case else is stays the same.
void choose_free_strides(Case& test, RandomBits random) {
  CaseLayout& layout = test.layout;
  layout.lse_heads_first = random.one_in(3);
  layout.wide_pages = random.one_in(2);
  layout.expanded_heads = random.one_in(8);
  layout.scale_form = random.pick({ScaleForm::kEach, ScaleForm::kPerHead, ScaleForm::kPerRequest, ScaleForm::kOne});
  layout.page_form = random.pick({PageForm::kTable, PageForm::kTable, PageForm::kRows, PageForm::kIndices});
}

}  // namespace

Case random_case(std::uint64_t seed) {
  RandomBits random(seed);
  Case test;
  test.name = "random";
  test.seed = seed;
  choose_lengths(test, random);
  choose_heads(test, random);
  shrink(test);
  choose_scoring(test, random);
  choose_layout(test, random);
  choose_free_strides(test, RandomBits(seed ^ kFreeStridesSeed));
  std::int64_t longest = 1;
  for (const std::int64_t length : test.key_lengths) longest = std::max(longest, length);
  test.mask = random_mask(random, longest);
  test.target = choose_target(random);
  test.one_call = random.one_in(10);
  const auto requests = static_cast<std::int64_t>(test.query_lengths.size());
  if (requests > 0) {
    if (requests > 1 && random.one_in(2)) test.spoiled_request = random.below(requests);
    test.layout.shared_pages = test.page_size > 0 && test.spoiled_request < 0 && random.one_in(4);
    test.batch_invariant = random.one_in(4);
    if (test.batch_invariant && !test.layout.shared_pages) test.solo_request = random.below(requests);
  }
  return test;
}

}  // namespace varlen::check
