// What the program counts by formula, beside counting one by one.

#include "cli/workload.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace varlen::cli {
namespace {

struct Count {
  double pairs = 0;
  std::int64_t keys = 0;  // that some row sees
};

Count count(std::int64_t queries, std::int64_t keys, const Mask& mask) {
  Count result;
  std::vector<bool> seen(static_cast<std::size_t>(keys));
  for (std::int64_t i = 0; i < queries; ++i) {
    const std::int64_t position = keys - queries + i;
    for (std::int64_t j = 0; j < keys; ++j) {
      if (mask.left != Mask::kUnlimited && j < position - mask.left) continue;
      if (mask.right != Mask::kUnlimited && j > position + mask.right) continue;
      result.pairs += 1;
      seen[static_cast<std::size_t>(j)] = true;
    }
  }
  result.keys = std::count(seen.begin(), seen.end(), true);
  return result;
}

TEST(Workload, CostsAreThoseOfCountingOneByOne) {
  for (std::int64_t queries = 0; queries <= 7; ++queries) {
    for (std::int64_t keys = 0; keys <= 7; ++keys) {
      for (std::int64_t left = -1; left <= 8; ++left) {
        for (std::int64_t right = -1; right <= 8; ++right) {
          const Mask mask{left, right};
          const Count expected = count(queries, keys, mask);
          Workload workload;
          workload.query_lengths = {queries};
          workload.key_lengths = {keys};
          workload.query_heads = 6;
          workload.kv_heads = 2;
          workload.head_dim_qk = 16;
          workload.head_dim_vo = 8;
          workload.mask = mask;
          SCOPED_TRACE(testing::Message() << queries << " x " << keys << " window " << left << "," << right);
          EXPECT_EQ(visible_pairs(queries, keys, mask), expected.pairs);
          EXPECT_EQ(flop(workload), expected.pairs * 6 * 2 * (16 + 8));
          EXPECT_EQ(bytes_moved(workload, Dtype::kFloat16, Dtype::kFloat32),
                    static_cast<double>(queries * 6 * (16 * 2 + 8 * 4 + 4) + expected.keys * 2 * (16 + 8) * 2));
        }
      }
    }
  }
}

TEST(Workload, HugeWindowsAreUnlimited) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  for (const auto& [queries, keys] : {std::pair(5, 9), std::pair(9, 5)}) {
    EXPECT_EQ(visible_pairs(queries, keys, Mask::window(kHuge, kHuge)), queries * keys);
    EXPECT_EQ(visible_pairs(queries, keys, Mask::causal_window(kHuge)), visible_pairs(queries, keys, Mask::causal()));
  }
}

TEST(Workload, PaddingCostsTheLongestForEveryRequest) {
  Workload workload;
  workload.query_lengths = {10, 1, 0};
  workload.key_lengths = {4, 20, 3};
  workload.query_heads = 1;
  workload.kv_heads = 1;
  workload.head_dim_qk = 8;
  workload.head_dim_vo = 8;
  EXPECT_EQ(flop(workload), (10 * 4 + 1 * 20) * 32);
  EXPECT_EQ(padded_flop(workload), 3 * 10 * 20 * 32);
}

}  // namespace
}  // namespace varlen::cli
