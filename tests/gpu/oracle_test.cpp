// The oracle against varlen's reference: the same rows are right, and damaged ones are wrong.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "check/random_bits.hpp"
#include "computation.hpp"
#include "effort.hpp"
#include "machine.hpp"
#include "memory.hpp"
#include "placed_case.hpp"
#include "random_case.hpp"

namespace varlen::gpu_check {
namespace {

constexpr Effort kSmall{400'000, 60'000};

class Oracle : public testing::Test {
 protected:
  /// The case, computed by the reference.
  PlacedCase computed(const check::Case& test) {
    arena_.clear();
    PlacedCase placed(test, *machine_, arena_, 1);
    placed.write_inputs(oracle::Pattern::kPoison);
    if (placed.problem().query_tokens > 0) placed.clear_output(0);
    attention(placed.batch(), placed.tensors(0), Backend::kReference);
    return placed;
  }
  Judgement judge(const PlacedCase& placed) { return machine_->judge(placed.problem(), nullptr); }

  std::unique_ptr<Machine> machine_ = host_machine();
  Arena arena_{*machine_, std::int64_t{1} << 28};
};

check::Case small_case() {
  check::Case test;
  test.query_lengths = {3, 0, 5, 1};
  test.key_lengths = {7, 4, 2, 1};
  test.query_heads = 4;
  test.kv_heads = 2;
  test.head_dim_qk = test.head_dim_vo = 16;
  test.input_dtype = Dtype::kBFloat16;
  test.output_dtype = Dtype::kFloat32;
  test.mask = Mask::causal();
  test.seed = 4;
  return test;
}

TEST_F(Oracle, AgreesWithTheReference) {
  std::uint64_t seed = 11;
  for (std::int64_t i = 0; i < test::scaled_by_effort(400); ++i) {
    check::Case test = random_case(seed, kSmall);
    test.output_dtype = Dtype::kFloat32;
    PlacedCase placed = computed(test);
    // Rounding to fp32 is all that is between them.
    oracle::Problem strict = placed.problem();
    strict.out_tolerance = strict.few_keys_tolerance = 3e-7;
    const Judgement judgement = machine_->judge(strict, nullptr);
    EXPECT_EQ(judgement.failed, 0) << "seed " << seed << ": " << placed.describe_row(judgement.first_failed);
    EXPECT_EQ(judgement.spoiled, 0);
    EXPECT_LT(judgement.worst_lse, 0.1) << "seed " << seed;
    EXPECT_EQ(judgement.rows, placed.problem().query_tokens * test.query_heads);
    EXPECT_EQ(placed.changed_inputs(), "") << "seed " << seed;
    EXPECT_EQ(placed.problem().query_tokens > 0 ? placed.stray_writes(0) : "", "") << "seed " << seed;
    seed = check::RandomBits(seed).next();
  }
}

TEST_F(Oracle, OneWrongElementFailsItsRow) {
  const PlacedCase placed = computed(small_case());
  const oracle::Rows& out = placed.problem().out[0];
  // Request 2, query row 4, head 3: rows of tokens 3, 0, 5.
  const std::int64_t row = (3 + 4) * 4 + 3;
  const std::int64_t at = oracle::query_row(placed.problem(), out, 2, 4, 3) + 5;
  EXPECT_EQ(judge(placed).failed, 0);
  auto* const element = static_cast<float*>(out.data) + at;
  const float right = *element;
  *element = right + 0.05F;
  Judgement judgement = judge(placed);
  EXPECT_EQ(judgement.failed, 1);
  EXPECT_EQ(judgement.first_failed, row);
  EXPECT_GT(judgement.worst_out, 1);
  EXPECT_EQ(placed.describe_row(row), "request 2, query row 4, head 3");
  EXPECT_NE(first_wrong_row(*machine_, placed, judgement, {GpuKernel::kMma}).find("request 2, query row 4, head 3"),
            std::string::npos);
  *element = std::nanf("");
  EXPECT_EQ(judge(placed).failed, 1);
  *element = INFINITY;
  EXPECT_EQ(judge(placed).failed, 1);
}

TEST_F(Oracle, WrongLogSumExpFails) {
  const PlacedCase placed = computed(small_case());
  const oracle::Rows& lse = placed.problem().lse[0];
  auto* const first = static_cast<float*>(lse.data);
  first[1] += 1e-3F;  // request 0, query row 0, head 1
  EXPECT_EQ(judge(placed).first_failed, 1);
  // The second row of request 2 sees no key: its LSE must be −∞, and nothing else.
  const std::int64_t blind = oracle::query_row(placed.problem(), lse, 2, 1, 0);
  EXPECT_EQ(first[blind], -INFINITY);
  first[1] -= 1e-3F;
  for (const float wrong : {INFINITY, -1e30F, 0.0F, std::nanf("")}) {
    first[blind] = wrong;
    EXPECT_EQ(judge(placed).failed, 1) << wrong;
  }
}

TEST_F(Oracle, BlindRowsMustBeZero) {
  const PlacedCase placed = computed(small_case());
  const oracle::Rows& out = placed.problem().out[0];
  static_cast<float*>(out.data)[oracle::query_row(placed.problem(), out, 2, 0, 0)] = 1e-30F;
  EXPECT_EQ(judge(placed).failed, 1);
}

TEST_F(Oracle, OneVisibleKeyMustBeItsValue) {
  check::Case test = small_case();
  test.output_dtype = Dtype::kBFloat16;
  const PlacedCase placed = computed(test);
  const oracle::Rows& out = placed.problem().out[0];
  // Request 3 has one key: two units in the last place are wrong, although the row's error is within bounds.
  auto* const element = static_cast<std::uint16_t*>(out.data) + oracle::query_row(placed.problem(), out, 3, 0, 0);
  EXPECT_EQ(judge(placed).failed, 0);
  *element = static_cast<std::uint16_t>(*element + 1);
  EXPECT_EQ(judge(placed).failed, 0);
  *element = static_cast<std::uint16_t>(*element + 1);
  EXPECT_EQ(judge(placed).failed, 1);
}

TEST_F(Oracle, AnUnwrittenRowFails) {
  PlacedCase placed = computed(small_case());
  placed.clear_output(0);
  EXPECT_EQ(judge(placed).failed, judge(placed).rows);
}

TEST_F(Oracle, SpoiledInputsAreNotJudged) {
  PlacedCase placed = computed(small_case());
  placed.write_inputs(oracle::Pattern::kOnes, {0, 0, 1, 0});
  const Judgement judgement = judge(placed);
  EXPECT_GT(judgement.spoiled, 0);
  EXPECT_EQ(judgement.failed, 0);
}

TEST_F(Oracle, ChangesOfInputsAndSurroundingsAreNoticed) {
  check::Case test = small_case();
  test.layout.token_gap = 8;
  PlacedCase placed = computed(test);
  auto* const key = static_cast<std::uint16_t*>(placed.problem().key.data);
  const std::int64_t gap = placed.problem().key.token_stride - 1;
  key[gap] ^= 1;
  EXPECT_NE(placed.changed_inputs().find("beside its rows"), std::string::npos);
  placed.write_inputs(oracle::Pattern::kOnes);
  key[0] ^= 1;
  EXPECT_EQ(placed.changed_inputs(), "row element 0 of key changed");

  auto* const out = static_cast<float*>(placed.problem().out[0].data);
  out[-1] = 0;
  EXPECT_NE(placed.stray_writes(0), "");
  placed.clear_output(0);
  out[placed.problem().out[0].token_stride - 1] = 0;
  EXPECT_NE(placed.stray_writes(0), "");
}

TEST_F(Oracle, DifferencesBetweenResultsAreFound) {
  arena_.clear();
  PlacedCase placed(small_case(), *machine_, arena_, 2);
  placed.write_inputs(oracle::Pattern::kOnes);
  for (int output = 0; output < 2; ++output) {
    placed.clear_output(output);
    attention(placed.batch(), placed.tensors(output), Backend::kReference);
  }
  const auto difference = [&] {
    return machine_->first_difference(placed.output_rows(0, false), placed.output_region(1, false));
  };
  EXPECT_EQ(difference(), -1);
  const oracle::Rows& out = placed.problem().out[1];
  static_cast<std::uint32_t*>(out.data)[oracle::query_row(placed.problem(), out, 2, 1, 2) + 3] ^= 1;
  EXPECT_EQ(placed.describe_element(false, difference()), "out[3] of request 2, query row 1, head 2");
  machine_->note_difference(placed.output_rows(0, false), placed.output_region(1, false), nullptr);
  EXPECT_EQ(machine_->difference_found(), difference());
  EXPECT_EQ(machine_->difference_found(), -1);
  placed.write_inputs(oracle::Pattern::kOnes, {0, 0, 1, 0});
  EXPECT_EQ(difference(), -1) << "spoiled requests may differ";
}

}  // namespace
}  // namespace varlen::gpu_check
