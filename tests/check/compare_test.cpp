// The row-wise comparison: right results pass, and one wrong row among hundreds fails, by name.
#include "check/compare.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <memory>

#include "check/cases.hpp"
#include "check/problem.hpp"
#include "check/tolerance.hpp"
#include "reference/element.hpp"

namespace varlen::check {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// A problem whose outputs hold the reference's result, to be damaged by the tests.
class CompareTest : public testing::Test {
 protected:
  void make(Dtype output, std::vector<std::int64_t> queries = {40, 0, 33},
            std::vector<std::int64_t> keys = {40, 9, 50}) {
    test_ = small_case("compare", std::move(queries), std::move(keys));
    test_.output_dtype = output;
    test_.seed = 4;
    test_.mask = Mask::causal();
    problem_ = std::make_unique<Problem>(test_, make_data(test_), Surroundings::kClean);
    batch_ = canonical(problem_->batch());
    expected_ = reference::attention(batch_, problem_->tensors());
    reference::attention_into(batch_, problem_->tensors());
  }

  Comparison result() const { return compare(batch_, problem_->tensors(), expected_); }

  std::int64_t out_offset(std::size_t request, std::int64_t token, std::int64_t head) const {
    const TensorView& out = problem_->tensors().out;
    return (batch_.requests[request].query_start + token) * out.strides[0] + head * out.strides[1];
  }
  double out(std::int64_t offset) const {
    return reference::load(test_.output_dtype, problem_->tensors().out.data, offset);
  }
  void set_out(std::int64_t offset, double value) const {
    reference::store(test_.output_dtype, problem_->tensors().out.data, offset, value);
  }
  /// What the contract allows a row's output to be off.
  double bound(std::int64_t request, std::int64_t token, std::int64_t head) const {
    const auto row =
        static_cast<std::size_t>(expected_.first_row[static_cast<std::size_t>(request)] + token * 4 + head);
    return allowed_error({expected_.magnitude[row], expected_.score_magnitude[row], expected_.value_magnitude[row]},
                         out_tolerance(test_.output_dtype), false, 0, expected_.visible[row]);
  }
  double& expected_lse(std::size_t request, std::int64_t token, std::int64_t head) {
    return expected_.lse[static_cast<std::size_t>(expected_.first_row[request] + token * 4 + head)];
  }
  void set_lse(std::size_t request, std::int64_t token, std::int64_t head, double value) const {
    const TensorView& lse = problem_->tensors().lse;
    reference::store(Dtype::kFloat32, lse.data, (batch_.requests[request].query_start + token) * 4 + head, value);
  }

  void expect_one_failure(std::int64_t request, std::int64_t token, std::int32_t head) const {
    const Comparison comparison = result();
    EXPECT_EQ(comparison.failed_rows, 1);
    EXPECT_FALSE(comparison.passed());
    EXPECT_NE(comparison.first_failure.find("request " + std::to_string(request) + ", query row " +
                                            std::to_string(token) + ", head " + std::to_string(head)),
              std::string::npos)
        << comparison.first_failure;
  }

  Case test_;
  std::unique_ptr<Problem> problem_;
  RaggedBatch batch_;
  reference::Result expected_;
};

TEST_F(CompareTest, TheReferenceItselfPassesInEveryDtype) {
  for (const Dtype dtype : {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16}) {
    make(dtype);
    const Comparison comparison = result();
    EXPECT_TRUE(comparison.passed()) << comparison.first_failure;
    EXPECT_EQ(comparison.rows, 73 * 4);
    EXPECT_GT(comparison.worst_out, 0) << "rounding shows";
    EXPECT_LT(comparison.worst_out, 0.9);
  }
}

TEST_F(CompareTest, OneWrongRowFails) {
  for (const Dtype dtype : {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16}) {
    make(dtype);
    const std::int64_t offset = out_offset(2, 7, 3);
    set_out(offset + 5, out(offset + 5) + 2.5 * bound(2, 7, 3));
    expect_one_failure(2, 7, 3);
    EXPECT_GT(result().worst_out, 1.4);
    EXPECT_LT(result().worst_out, 3.6);
    EXPECT_EQ(result().worst_out_row.request, 2);
    EXPECT_EQ(result().worst_out_row.token, 7);
    EXPECT_EQ(result().worst_out_row.head, 3);
  }
}

/// Request 0 has as many queries as keys: token i sees i + 1 keys.
TEST_F(CompareTest, OnlyRowsOfFewKeysMayHaveTwoRoundings) {
  const auto fails = [&](std::int64_t token, double error, bool rounded_weights) {
    make(Dtype::kBFloat16);
    batch_.input_dtype = Dtype::kBFloat16;
    const std::int64_t offset = out_offset(0, token, 3);
    set_out(offset, out(offset) + error * expected_.magnitude[static_cast<std::size_t>(token * 4 + 3)]);
    return compare(batch_, problem_->tensors(), expected_, rounded_weights).failed_rows == 1;
  };
  constexpr double kTwoRoundings = 0x1p-7;
  for (const std::int64_t token : {1, 6}) {
    EXPECT_FALSE(fails(token, 0.8 * kTwoRoundings, true)) << token;
    EXPECT_TRUE(fails(token, 1.3 * kTwoRoundings, true)) << token;
    EXPECT_TRUE(fails(token, 0.8 * kTwoRoundings, false)) << token;
  }
  for (const std::int64_t token : {7, 39}) {
    EXPECT_TRUE(fails(token, 0.8 * kTwoRoundings, true)) << token;
    EXPECT_TRUE(fails(token, 0.8 * kTwoRoundings, false)) << token;
  }
}

TEST_F(CompareTest, ErrorsWithinTheBoundPass) {
  make(Dtype::kFloat32);
  const std::int64_t offset = out_offset(0, 39, 1);
  set_out(offset, out(offset) + 0.45 * bound(0, 39, 1));
  EXPECT_TRUE(result().passed());
  EXPECT_GT(result().worst_out, 0.4);
}

TEST_F(CompareTest, ManySmallErrorsOfOneRowAddUp) {
  make(Dtype::kFloat32);
  const double third = bound(0, 39, 1) / 3;
  for (std::int64_t d = 0; d < 16; ++d) {  // together 4/3 of the bound
    set_out(out_offset(0, 39, 1) + d, out(out_offset(0, 39, 1) + d) + third);
  }
  expect_one_failure(0, 39, 1);
}

TEST_F(CompareTest, NanAndInfinityFail) {
  for (const double value : {kNan, kInfinity, -kInfinity}) {
    make(Dtype::kFloat32);
    set_out(out_offset(2, 0, 0) + 15, value);
    expect_one_failure(2, 0, 0);
    EXPECT_EQ(result().worst_out, kInfinity);
  }
}

TEST_F(CompareTest, UntouchedRowFails) {
  make(Dtype::kFloat32);
  for (std::int64_t d = 0; d < 16; ++d) set_out(out_offset(2, 32, 2) + d, kNan);
  expect_one_failure(2, 32, 2);
}

TEST_F(CompareTest, WrongLseFails) {
  make(Dtype::kFloat32);
  const double right = expected_lse(0, 20, 1);
  set_lse(0, 20, 1, right + 0.9e-5);
  EXPECT_TRUE(result().passed());
  for (const double wrong : {right + 1.0e-4, right / std::log(2.0), kInfinity, -kInfinity, kNan}) {
    set_lse(0, 20, 1, wrong);
    expect_one_failure(0, 20, 1);
    EXPECT_NE(result().first_failure.find("lse = "), std::string::npos);
    EXPECT_EQ(result().worst_lse_row.token, 20);
  }
}

TEST_F(CompareTest, LseThatFp32CannotHoldIsInfinite) {
  make(Dtype::kFloat32);
  for (const double sign : {1.0, -1.0}) {
    expected_lse(0, 20, 1) = sign * 2e40;
    set_lse(0, 20, 1, sign * kInfinity);
    EXPECT_TRUE(result().passed());
    for (const double wrong : {-sign * kInfinity, sign * 3e38, kNan}) {
      set_lse(0, 20, 1, wrong);
      expect_one_failure(0, 20, 1);
    }
  }
}

TEST_F(CompareTest, InfinitiesOfBlindRowsMatchExactly) {
  make(Dtype::kFloat32, {9}, {4});
  EXPECT_TRUE(result().passed());
  for (const double wrong : {kInfinity, -1e30, 0.0}) {
    set_lse(0, 2, 1, wrong);
    expect_one_failure(0, 2, 1);
  }
  set_lse(0, 2, 1, -kInfinity);
  set_out(out_offset(0, 2, 1) + 3, 1e-30);
  expect_one_failure(0, 2, 1);
  set_out(out_offset(0, 2, 1) + 3, -0.0);
  EXPECT_TRUE(result().passed());
}

TEST_F(CompareTest, OneKeyMustGiveItsValueToOneUnit) {
  make(Dtype::kFloat32, {3}, {1});  // causal: only the last row sees the key
  const std::int64_t offset = out_offset(0, 2, 1);
  const auto value = static_cast<float>(out(offset));
  set_out(offset, static_cast<double>(std::nextafter(value, 100.0F)));
  EXPECT_TRUE(result().passed());
  set_out(offset, static_cast<double>(std::nextafter(std::nextafter(value, 100.0F), 100.0F)));
  expect_one_failure(0, 2, 1);
}

TEST_F(CompareTest, RowsThatTheirOwnInputsSpoilAreNotJudged) {
  make(Dtype::kFloat32);
  expected_lse(2, 5, 0) = kNan;
  set_out(out_offset(2, 5, 0), kNan);
  EXPECT_TRUE(result().passed());
  EXPECT_EQ(result().spoiled_rows, 1);
  EXPECT_EQ(result().rows, 73 * 4 - 1);
}

TEST_F(CompareTest, OverflowOfTheOutputDtypeIsRight) {
  make(Dtype::kFloat16, {1}, {1});
  expected_.out[0] = 70000;
  set_out(out_offset(0, 0, 0), kInfinity);
  EXPECT_TRUE(result().passed()) << result().first_failure;
  set_out(out_offset(0, 0, 0), -kInfinity);
  EXPECT_FALSE(result().passed());
}

TEST_F(CompareTest, ThePublicComparisonIsTheSame) {
  make(Dtype::kBFloat16);
  EXPECT_TRUE(compare_with_reference(problem_->batch(), problem_->tensors()).passed());
  set_out(out_offset(0, 0, 0), 100);
  const Comparison comparison = compare_with_reference(problem_->batch(), problem_->tensors());
  EXPECT_EQ(comparison.failed_rows, 1);
  EXPECT_EQ(comparison.worst_out, result().worst_out);
}

TEST_F(CompareTest, ThePublicComparisonKnowsWhoComputed) {
  make(Dtype::kBFloat16, {1}, {2});
  set_out(out_offset(0, 0, 0), 100);
  const double of_cpu = compare_with_reference(problem_->batch(), problem_->tensors()).worst_out;
  CompareOptions options;
  options.computed_by = Backend::kCuda;
  const double of_gpu = compare_with_reference(problem_->batch(), problem_->tensors(), options).worst_out;
  EXPECT_LT(of_gpu, of_cpu) << "two weights of 16 bits may both be rounded the same way";
  EXPECT_EQ(of_gpu, compare(batch_, problem_->tensors(), expected_, true).worst_out);
}

TEST_F(CompareTest, ProgressEndsWithAllRows) {
  make(Dtype::kFloat32);
  std::int64_t last = 0;
  std::int64_t all = 0;
  const auto progress = [&](std::int64_t done, std::int64_t total) {
    EXPECT_GT(done, last);
    last = done;
    all = total;
  };
  const Comparison comparison = compare_with_reference(problem_->batch(), problem_->tensors(), {.progress = progress});
  EXPECT_EQ(last, all);
  EXPECT_EQ(all, comparison.rows);
}

}  // namespace
}  // namespace varlen::check
