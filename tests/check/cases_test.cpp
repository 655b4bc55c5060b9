// The cases themselves: repeatable, named apart, and covering what they promise to.
#include "check/cases.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "check/problem.hpp"
#include "check/random_bits.hpp"
#include "check/run_case.hpp"
#include "varlen/check.hpp"

namespace varlen::check {
namespace {

TEST(Cases, EdgeCasesHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const EdgeCase& edge : edge_cases()) {
    EXPECT_TRUE(names.insert(edge.test.name).second) << edge.test.name;
    EXPECT_FALSE(edge.targets.empty()) << edge.test.name;
  }
  for (const char* name : {"zero_requests",
                           "zero_length_queries_first_full",
                           "zero_length_keys_middle_causal",
                           "zero_length_both_last_full",
                           "more_queries_than_keys_causal",
                           "window_hides_all_keys",
                           "nan_in_request_0_bf16",
                           "nan_after_last_request_fp16",
                           "nan_in_unused_part_of_page_fp32",
                           "nan_between_strided_heads_fp32",
                           "one_key_score_minus_524288_fp16",
                           "tile_edges_causal",
                           "token_stride_x_tokens_beyond_2_31",
                           "offsets_beyond_2_31",
                           "more_than_992_requests",
                           "more_than_65536_requests",
                           "1025_requests_x_128_heads",
                           "many_short_requests_small_workspace",
                           "max_length_1_window_0_0",
                           "batch_invariant_request_2_causal",
                           "packed_qkv",
                           "rows_past_the_last_offset",
                           "lse_heads_first",
                           "expanded_heads",
                           "expanded_heads_of_pages",
                           "block_table_of_64_bits",
                           "scales_per_head",
                           "scales_per_request",
                           "one_scale"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST(Cases, ASeedIsACase) {
  const Case a = random_case(77);
  const Case b = random_case(77);
  EXPECT_EQ(a.query_lengths, b.query_lengths);
  EXPECT_EQ(a.key_lengths, b.key_lengths);
  EXPECT_EQ(a.head_dim_qk, b.head_dim_qk);
  EXPECT_EQ(a.target.workers, b.target.workers);
  EXPECT_EQ(make_data(a).query, make_data(b).query);
  EXPECT_EQ(make_data(a).value, make_data(b).value);
}

TEST(Cases, RandomCasesReachEveryFeature) {
  std::map<std::string, int> seen;
  std::uint64_t seed = 1;
  constexpr int kCases = 2000;
  for (int i = 0; i < kCases; ++i) {
    const Case test = random_case(seed);
    seed = RandomBits(seed).next();
    ++seen[std::string("input ") + dtype_name(test.input_dtype)];
    ++seen[std::string("output ") + dtype_name(test.output_dtype)];
    ++seen["target " + test.target.name];
    ++seen[test.page_size > 0 ? "paged" : "ragged"];
    seen["packed"] += test.layout.packed_qkv;
    seen["heads first"] += test.layout.heads_first;
    seen["gaps"] += test.layout.head_gap > 0 && test.layout.token_gap > 0;
    seen["shared pages"] += test.layout.shared_pages;
    seen["sinks"] += test.sinks;
    seen["soft cap"] += test.soft_cap > 0;
    seen["fp8 scales"] += test.fp8_scales;
    seen["no lse"] += !test.lse;
    seen["lse heads first"] += test.lse && test.layout.lse_heads_first;
    seen["expanded heads"] += test.layout.expanded_heads && test.kv_heads > 1;
    seen["wide pages"] += test.page_size > 0 && test.layout.wide_pages;
    seen["one scale"] += test.fp8_scales && test.layout.scale_form == ScaleForm::kOne;
    seen["scales per head"] += test.fp8_scales && test.layout.scale_form == ScaleForm::kPerHead;
    seen["scales per request"] += test.fp8_scales && test.layout.scale_form == ScaleForm::kPerRequest;
    seen["invariant"] += test.solo_request >= 0;
    seen["spoiled"] += test.spoiled_request >= 0;
    seen["vo differs"] += test.head_dim_qk != test.head_dim_vo;
    seen["wide head"] += std::max(test.head_dim_qk, test.head_dim_vo) > 256;
    seen["large group"] += test.query_heads / test.kv_heads > 32;
    seen["many requests"] += test.query_lengths.size() > 50;
    seen["full"] += test.mask.left < 0 && test.mask.right < 0;
    seen["causal"] += test.mask.left < 0 && test.mask.right == 0;
    seen["window"] += test.mask.left >= 0 && test.mask.right > 0;
    for (std::size_t r = 0; r < test.query_lengths.size(); ++r) {
      seen["empty query"] += test.query_lengths[r] == 0;
      seen["empty keys"] += test.key_lengths[r] == 0 && test.query_lengths[r] > 0;
      seen["query longer"] += test.query_lengths[r] > test.key_lengths[r];
      seen["long keys"] += test.key_lengths[r] > 256;
    }
  }
  for (const auto& [feature, count] : seen) EXPECT_GE(count, 10) << feature << " in " << kCases << " cases";
}

TEST(Cases, DataHaveTheWantedSpread) {
  RandomBits random(5);
  double sum = 0;
  double squares = 0;
  constexpr int kCount = 200'000;
  for (int i = 0; i < kCount; ++i) {
    const double value = random.normal();
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.02);
}

TEST(RunChecks, TheReferencePassesItsOwnChecks) {
  CheckOptions options;
  options.backend = Backend::kReference;
  options.cases = CheckCases::kRandom;
  options.count = 40;
  options.seed = 9;
  std::vector<std::uint64_t> seeds;
  options.progress = [&](const CheckProgress& progress) {
    if (!progress.name.empty()) seeds.push_back(progress.seed);
  };
  const CheckSummary summary = run_checks(options);
  EXPECT_EQ(summary.passed, 40);
  EXPECT_EQ(summary.failed, 0);
  ASSERT_EQ(seeds.size(), 40U);
  EXPECT_EQ(seeds[0], 9U) << "the first case is the seed's own";
  EXPECT_EQ(std::set<std::uint64_t>(seeds.begin(), seeds.end()).size(), 40U);
}

TEST(RunChecks, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(check_cases_named("some"), Error);
  EXPECT_EQ(check_cases_named("all"), CheckCases::kAll);
  EXPECT_EQ(check_cases_named("long"), CheckCases::kLong);
  CheckOptions options;
  options.count = -1;
  EXPECT_THROW(run_checks(options), Error);
  EXPECT_THROW(schedule_policies_named("some"), Error);
  EXPECT_EQ(schedule_policies_named("starve"), std::vector<SchedulePolicy>{SchedulePolicy::kStarve});
  EXPECT_EQ(schedule_policies_named("all").size(), static_cast<std::size_t>(kSchedulePolicies));
}

TEST(RunChecks, OnlyTheEmulatorHasSchedules) {
  const auto refused = [](const std::function<void(CheckOptions&)>& change) {
    CheckOptions options;
    options.backend = Backend::kCpu;
    options.cases = CheckCases::kRandom;
    options.count = 1;
    change(options);
    EXPECT_THROW(run_checks(options), Error);
  };
  refused([](CheckOptions& options) { options.policies = {SchedulePolicy::kRandom}; });
  refused([](CheckOptions& options) { options.schedule_seed = 2; });
  refused([](CheckOptions& options) { options.schedules = 2; });
  refused([](CheckOptions& options) { options.timeline = true; });
  refused([](CheckOptions& options) {
    options.backend = Backend::kEmulator;
    options.policies.clear();
  });
  refused([](CheckOptions& options) {
    options.backend = Backend::kEmulator;
    options.schedules = -1;
  });
}

TEST(RunChecks, RunsEachCaseUnderItsSchedules) {
  CheckOptions options;
  options.backend = Backend::kEmulator;
  options.cases = CheckCases::kRandom;
  options.count = 1;
  options.seed = 5;
  options.policies = {SchedulePolicy::kFixed, SchedulePolicy::kEarly};
  options.schedule_seed = 7;
  options.schedules = 3;
  std::vector<Schedule> schedules;
  options.progress = [&](const CheckProgress& progress) {
    EXPECT_EQ(progress.total, 3);
    if (!progress.name.empty()) schedules.push_back(progress.schedule);
  };
  EXPECT_EQ(run_checks(options).passed, 3);
  EXPECT_EQ(schedules, (std::vector<Schedule>{
                           {SchedulePolicy::kFixed, 7}, {SchedulePolicy::kEarly, 8}, {SchedulePolicy::kFixed, 9}}));
}

TEST(RunCase, KeepsTheEventsOfAFault) {
  const Case test = small_case("fault", {3}, {3});
  const Compute compute = [](const Case&, const Batch&, const Tensors&) -> std::string {
    throw EmulatorFault(Error(ErrorCode::kInternal, "kernel", Error::kNoIndex, "", "a fault"), {"step 1", "step 2"});
  };
  const CaseResult result = run_case(test, expect(test), compute);
  EXPECT_EQ(result.failure, "a fault");
  EXPECT_EQ(result.events, (std::vector<std::string>{"step 1", "step 2"}));
}

}  // namespace
}  // namespace varlen::check
