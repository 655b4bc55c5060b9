// What must hold for any data, whatever the numbers are.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "small_problem.hpp"

namespace varlen::reference {
namespace {

using test::SmallProblem;

constexpr std::size_t kDim = SmallProblem::kDim;

void fill(SmallProblem& problem, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (auto* values : {&problem.query, &problem.key, &problem.value}) {
    for (float& value : *values) value = normal(random);
  }
}

bool near(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [&](double x, double y) {
           return x == y || std::fabs(x - y) <= tolerance;
         });
}

SmallProblem arbitrary_problem() {
  const auto requests = *rc::gen::inRange<std::size_t>(1, 4);
  std::vector<std::pair<std::int64_t, std::int64_t>> lengths;
  for (std::size_t r = 0; r < requests; ++r) {
    lengths.emplace_back(*rc::gen::inRange<std::int64_t>(0, 9), *rc::gen::inRange<std::int64_t>(0, 12));
  }
  const std::int32_t kv_heads = *rc::gen::inRange(1, 4);
  SmallProblem problem(lengths, kv_heads * *rc::gen::inRange(1, 4), kv_heads);
  fill(problem, *rc::gen::arbitrary<unsigned>());
  problem.batch.mask = {*rc::gen::inRange<std::int64_t>(-1, 6), *rc::gen::inRange<std::int64_t>(-1, 6)};
  return problem;
}

TEST(ReferenceIdentity, RequestsDoNotKnowEachOther) {
  EXPECT_TRUE(rc::check("a request alone is the same", [] {
    SmallProblem problem = arbitrary_problem();
    const Result together = problem.attend();
    for (std::size_t r = 0; r < problem.batch.requests.size(); ++r) {
      SmallProblem alone = problem;
      alone.batch.requests = {problem.batch.requests[r]};
      const Result result = alone.attend();
      const auto first = together.lse.begin() + together.first_row[r];
      RC_ASSERT(std::equal(result.lse.begin(), result.lse.end(), first));
      const auto out = together.out.begin() + together.first_row[r] * static_cast<std::int64_t>(kDim);
      RC_ASSERT(std::equal(result.out.begin(), result.out.end(), out));
    }
  }));
}

TEST(ReferenceIdentity, GroupsAreRepeatedKvHeads) {
  EXPECT_TRUE(rc::check("repeated heads", [] {
    SmallProblem problem = arbitrary_problem();
    SmallProblem repeated = problem;
    repeated.batch.kv_heads = problem.batch.query_heads;
    repeated.batch.group = 1;
    for (auto [from, to] : {std::pair{&problem.key, &repeated.key}, std::pair{&problem.value, &repeated.value}}) {
      to->clear();
      for (auto row = from->begin(); row != from->end(); row += kDim) {
        for (std::int32_t h = 0; h < problem.batch.group; ++h) to->insert(to->end(), row, row + kDim);
      }
    }
    RC_ASSERT(problem.attend().out == repeated.attend().out);
  }));
}

TEST(ReferenceIdentity, ConstantScoresGiveMeansAndAddingToAllScoresShiftsLse) {
  EXPECT_TRUE(rc::check("shift", [] {
    SmallProblem problem = arbitrary_problem();
    for (std::size_t i = 0; i < problem.query.size(); i += kDim) problem.query[i] = 1;
    for (std::size_t i = 0; i < problem.key.size(); i += kDim) problem.key[i] = 0;
    const Result before = problem.attend();
    for (std::size_t i = 0; i < problem.key.size(); i += kDim) problem.key[i] = 3;
    const Result after = problem.attend();
    RC_ASSERT(near(before.out, after.out, 1e-12));
    for (std::size_t row = 0; row < before.lse.size(); ++row) {
      RC_ASSERT(after.lse[row] == before.lse[row] || std::fabs(after.lse[row] - before.lse[row] - 3) < 1e-12);
    }
  }));
}

TEST(ReferenceIdentity, PartsOfTheKeysMergeByTheirLse) {
  EXPECT_TRUE(rc::check("merge", [] {
    const std::int64_t keys = *rc::gen::inRange<std::int64_t>(2, 20);
    const std::int64_t cut = *rc::gen::inRange<std::int64_t>(1, keys);
    SmallProblem whole({{3, keys}}, 1, 1);
    fill(whole, *rc::gen::arbitrary<unsigned>());
    SmallProblem left = whole;
    left.batch.requests[0].key_length = cut;
    SmallProblem right = whole;
    right.batch.requests[0].key_start = cut;
    right.batch.requests[0].key_length = keys - cut;
    const Result all = whole.attend();
    const Result a = left.attend();
    const Result b = right.attend();
    for (std::size_t row = 0; row < 3; ++row) {
      const double lse = std::log(std::exp(a.lse[row]) + std::exp(b.lse[row]));
      RC_ASSERT(std::fabs(lse - all.lse[row]) < 1e-12);
      for (std::size_t d = 0; d < kDim; ++d) {
        const double merged =
            std::exp(a.lse[row] - lse) * a.out[row * kDim + d] + std::exp(b.lse[row] - lse) * b.out[row * kDim + d];
        RC_ASSERT(std::fabs(merged - all.out[row * kDim + d]) < 1e-12);
      }
    }
  }));
}

TEST(ReferenceIdentity, OrderOfKeysDoesNotMatterWithoutAMask) {
  EXPECT_TRUE(rc::check("permutation", [] {
    const std::int64_t keys = *rc::gen::inRange<std::int64_t>(1, 20);
    SmallProblem problem({{2, keys}}, 1, 1);
    fill(problem, *rc::gen::arbitrary<unsigned>());
    SmallProblem reversed = problem;
    for (auto [from, to] : {std::pair{&problem.key, &reversed.key}, std::pair{&problem.value, &reversed.value}}) {
      for (std::size_t j = 0; j < static_cast<std::size_t>(keys); ++j) {
        std::copy_n(from->end() - static_cast<std::int64_t>((j + 1) * kDim), kDim,
                    to->begin() + static_cast<std::int64_t>(j * kDim));
      }
    }
    const Result a = problem.attend();
    const Result b = reversed.attend();
    RC_ASSERT(near(a.out, b.out, 1e-12));
    RC_ASSERT(near(a.lse, b.lse, 1e-12));
    RC_ASSERT(near(a.magnitude, b.magnitude, 1e-12));
  }));
}

}  // namespace
}  // namespace varlen::reference
