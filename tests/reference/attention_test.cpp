// Values worked out by hand.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "reference/element.hpp"
#include "small_problem.hpp"

namespace varlen::reference {
namespace {

using test::SmallProblem;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kDim = SmallProblem::kDim;

/// One head, query rows (1, 0, …): the score of key j is scores[j]; its value is (10^j, −10^j, 0, …).
SmallProblem with_scores(std::int64_t queries, const std::vector<float>& scores) {
  SmallProblem problem({{queries, static_cast<std::int64_t>(scores.size())}}, 1, 1);
  for (std::size_t i = 0; i < static_cast<std::size_t>(queries); ++i) problem.query[i * kDim] = 1;
  for (std::size_t j = 0; j < scores.size(); ++j) {
    problem.key[j * kDim] = scores[j];
    problem.value[j * kDim] = std::pow(10.0F, static_cast<float>(j));
    problem.value[j * kDim + 1] = -problem.value[j * kDim];
  }
  return problem;
}

TEST(Reference, WeighsKeysByTheExponentialOfTheirScores) {
  const auto log3 = static_cast<float>(std::log(3.0));
  const Result result = with_scores(1, {0.0F, log3}).attend();
  EXPECT_NEAR(result.out[0], 0.25 * 1 + 0.75 * 10, 1e-6);
  EXPECT_NEAR(result.out[1], -7.75, 1e-6);
  EXPECT_EQ(result.out[2], 0);
  EXPECT_NEAR(result.lse[0], std::log(4.0), 1e-7) << "natural logarithm";
  EXPECT_NEAR(result.magnitude[0], 7.75 * std::sqrt(2.0), 1e-6);
  EXPECT_EQ(result.max_score[0], static_cast<double>(log3));
  EXPECT_EQ(result.visible[0], 2);
}

TEST(Reference, MagnitudeAddsAbsoluteValues) {
  SmallProblem problem = with_scores(1, {0.0F, 0.0F});
  problem.value[0] = 4;
  problem.value[kDim] = -4;
  const Result result = problem.attend();
  EXPECT_EQ(result.out[0], 0);
  EXPECT_NEAR(result.magnitude[0], std::hypot(4.0, 5.5), 1e-12);
}

TEST(Reference, ScaleAndSoftCap) {
  SmallProblem problem = with_scores(1, {4.0F, -2.0F});
  problem.batch.scale = -0.5F;
  Result result = problem.attend();
  EXPECT_NEAR(result.lse[0], std::log(std::exp(-2.0) + std::exp(1.0)), 1e-12);
  problem.batch.soft_cap = 1.5F;
  result = problem.attend();
  const double a = 1.5 * std::tanh(-2.0 / 1.5);
  const double b = 1.5 * std::tanh(1.0 / 1.5);
  EXPECT_NEAR(result.lse[0], std::log(std::exp(a) + std::exp(b)), 1e-12);
  EXPECT_NEAR(result.max_score[0], -a, 1e-12);
}

TEST(Reference, CausalIsAlignedAtTheBottomRight) {
  SmallProblem problem = with_scores(2, {0.0F, 0.0F, 0.0F});
  problem.batch.mask = Mask::causal();
  const Result result = problem.attend();
  EXPECT_NEAR(result.out[0], (1 + 10) / 2.0, 1e-12);
  EXPECT_NEAR(result.out[kDim], (1 + 10 + 100) / 3.0, 1e-12);
}

TEST(Reference, MoreQueriesThanKeysSeeNothingAtFirst) {
  SmallProblem problem = with_scores(4, {0.0F, 0.0F});
  problem.batch.mask = Mask::causal();
  const Result result = problem.attend();
  for (const std::size_t row : {0U, 1U}) {
    EXPECT_EQ(result.lse[row], -kInfinity);
    EXPECT_EQ(result.visible[row], 0);
    for (std::size_t d = 0; d < kDim; ++d) EXPECT_EQ(result.out[row * kDim + d], 0);
  }
  EXPECT_EQ(result.out[2 * kDim], 1);
  EXPECT_EQ(result.out[3 * kDim], 5.5);
}

TEST(Reference, WindowsReachLeftAndRight) {
  SmallProblem problem = with_scores(4, {0.0F, 0.0F, 0.0F, 0.0F});
  problem.batch.mask = Mask::window(1, 0);
  Result result = problem.attend();
  EXPECT_EQ(result.out[0], 1);
  EXPECT_EQ(result.out[kDim], 5.5);
  EXPECT_EQ(result.out[3 * kDim], 550);
  problem.batch.mask = Mask::window(0, 1);
  result = problem.attend();
  EXPECT_EQ(result.out[0], 5.5);
  EXPECT_EQ(result.out[3 * kDim], 1000);
  problem.batch.mask = Mask::window(0, Mask::kUnlimited);
  result = problem.attend();
  EXPECT_NEAR(result.out[kDim], 370, 1e-9);
  problem.batch.mask = Mask::window(0, 0);
  result = problem.attend();
  EXPECT_EQ(result.out[2 * kDim], 100);
  EXPECT_EQ(result.visible[2], 1);
}

TEST(Reference, SinksJoinTheDenominatorOnly) {
  SmallProblem problem = with_scores(1, {0.0F, 0.0F});
  problem.sinks = {static_cast<float>(std::log(2.0))};
  const Result result = problem.attend();
  EXPECT_NEAR(result.out[0], 11 / 4.0, 1e-6);
  EXPECT_NEAR(result.lse[0], std::log(4.0), 1e-7);
}

TEST(Reference, RowsWithoutKeysAndWithASink) {
  SmallProblem problem({{2, 0}}, 2, 1);
  problem.sinks = {1.25F, -std::numeric_limits<float>::infinity()};
  const Result result = problem.attend();
  EXPECT_EQ(result.lse[0], 1.25);
  EXPECT_EQ(result.lse[1], -kInfinity) << "a sink of −inf is no sink";
  EXPECT_EQ(result.out[0], 0);
  EXPECT_EQ(result.out[kDim], 0);
  EXPECT_EQ(result.max_score[0], 1.25);
}

TEST(Reference, OneKeyOfAnyFiniteScoreGivesItsValue) {
  for (const float score : {-524288.0F, 0.0F, 3e38F, -3e38F}) {
    const Result result = with_scores(1, {score}).attend();
    EXPECT_EQ(result.out[0], 1);
    EXPECT_EQ(result.lse[0], static_cast<double>(score));
  }
}

TEST(Reference, NanSpoilsItsOwnRequestOnly) {
  SmallProblem problem({{1, 2}, {1, 2}}, 1, 1);
  std::fill(problem.value.begin(), problem.value.end(), 1.0F);
  problem.key[0] = std::numeric_limits<float>::quiet_NaN();
  const Result result = problem.attend();
  EXPECT_TRUE(std::isnan(result.lse[0]));
  EXPECT_TRUE(std::isnan(result.out[0]));
  EXPECT_EQ(result.out[kDim], 1);
}

TEST(Reference, ReadsPages) {
  // 5 keys in pages of 2: pages 3, 0, 2. The pool is heads-first; everything else in it is NaN.
  SmallProblem problem({{1, 5}}, 2, 2);
  problem.batch.page_size = 2;
  Tensors tensors = problem.tensors();
  std::vector<float> pool(4 * 2 * 2 * kDim, std::numeric_limits<float>::quiet_NaN());
  const std::int64_t pages[] = {3, 0, 2};
  for (std::size_t j = 0; j < 5; ++j) {
    for (std::size_t head = 0; head < 2; ++head) {
      const auto page = static_cast<std::size_t>(pages[j / 2]);
      float* const row = pool.data() + ((page * 2 + head) * 2 + j % 2) * kDim;
      for (std::size_t d = 0; d < kDim; ++d) row[d] = static_cast<float>(j + 10 * head);
    }
  }
  std::int32_t table[] = {3, 0, 2, -1};
  tensors.key = TensorView::strided(pool.data(), Dtype::kFloat32, {4, 2, 2, 8}, {32, 8, 16, 1});
  tensors.value = tensors.key;
  tensors.block_table = TensorView::dense(table, Dtype::kInt32, {1, 4});
  const Result result = attention(problem.batch, tensors);  // queries are 0: plain means
  EXPECT_NEAR(result.out[0], 2, 1e-12);
  EXPECT_NEAR(result.out[kDim], 12, 1e-12);
}

TEST(Reference, Fp8ScalesArePerRequestAndKvHead) {
  SmallProblem problem({{1, 1}, {1, 1}}, 2, 2);
  problem.batch.input_dtype = Dtype::kFloat8E5M2;
  std::vector<std::uint8_t> ones(2 * 2 * kDim, 0x3C);  // 1.0
  Tensors tensors;
  tensors.query = tensors.key = tensors.value = TensorView::dense(ones.data(), Dtype::kFloat8E5M2, {2, 2, 8});
  float query_scale[] = {1, 2, 3, 4};
  float key_scale[] = {1, 1, 10, 10};
  float value_scale[] = {5, 6, 7, 8};
  tensors.query_scale = TensorView::dense(query_scale, Dtype::kFloat32, {2, 2});
  tensors.key_scale = TensorView::dense(key_scale, Dtype::kFloat32, {2, 2});
  tensors.value_scale = TensorView::dense(value_scale, Dtype::kFloat32, {2, 2});
  const Result result = attention(problem.batch, tensors);
  for (std::size_t row = 0; row < 4; ++row) {
    EXPECT_EQ(result.lse[row], static_cast<double>(query_scale[row] * key_scale[row] * 8));
    EXPECT_EQ(result.out[row * kDim], static_cast<double>(value_scale[row]));
  }
}

TEST(Reference, WritesRoundedRowsAndNothingElse) {
  SmallProblem problem = with_scores(1, {0.0F, static_cast<float>(std::log(3.0))});
  problem.batch.requests[0].query_start = 1;  // of a tensor of three tokens
  problem.batch.query_tokens = 3;
  problem.query.assign(3 * kDim, 0);
  problem.query[kDim] = 1;
  problem.batch.output_dtype = Dtype::kBFloat16;
  Tensors tensors = problem.tensors();
  std::vector<std::uint16_t> out(3 * kDim, 0xFFFF);
  std::vector<float> lse(3, -7);
  tensors.out = TensorView::dense(out.data(), Dtype::kBFloat16, {3, 1, 8});
  tensors.lse = TensorView::dense(lse.data(), Dtype::kFloat32, {3, 1});
  attention_into(problem.batch, tensors);
  EXPECT_EQ(load(Dtype::kBFloat16, out.data(), kDim), 7.75);
  EXPECT_EQ(lse[1], static_cast<float>(std::log(4.0)));
  for (const std::size_t token : {0U, 2U}) {
    EXPECT_EQ(lse[token], -7);
    for (std::size_t d = 0; d < kDim; ++d) EXPECT_EQ(out[token * kDim + d], 0xFFFF);
  }
}

}  // namespace
}  // namespace varlen::reference
