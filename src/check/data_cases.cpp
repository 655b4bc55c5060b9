#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "check/cases.hpp"

namespace varlen::check {
namespace {

constexpr Dtype kInputs[] = {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3,
                             Dtype::kFloat8E5M2};
constexpr Dtype kOutputs[] = {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16};

/// Every query row becomes (query, 0, 0, …) and every key (key, 0, 0, …): every score is scale · query · key.
auto equal_scores(double query, double key) {
  return [query, key](const Case& test, CaseData& data) {
    std::fill(data.query.begin(), data.query.end(), 0.0);
    std::fill(data.key.begin(), data.key.end(), 0.0);
    const auto dim = static_cast<std::size_t>(test.head_dim_qk);
    for (std::size_t i = 0; i < data.query.size(); i += dim) data.query[i] = query;
    for (std::size_t i = 0; i < data.key.size(); i += dim) data.key[i] = key;
  };
}

/// Of each two columns the products nearly cancel: scores are far smaller than what they are summed from.
void cancel_products(const Case& test, CaseData& data) {
  const auto in_pairs = [dim = static_cast<std::size_t>(test.head_dim_qk)](std::vector<double>& rows, auto change) {
    for (std::size_t row = 0; row < rows.size(); row += dim) {
      for (std::size_t i = row; i + 1 < row + dim; i += 2) change(rows[i], rows[i + 1]);
    }
  };
  in_pairs(data.query, [](double& even, double& odd) { odd = even *= 16; });
  in_pairs(data.key, [](double& even, double& odd) {
    const double difference = odd;
    odd = difference - (even *= 16);
  });
}

void add_extreme_scores(std::vector<Case>& cases) {
  // A finite "masked" value swallows such scores. Alone, the key's value is the output; together, the values' mean.
  for (const Dtype dtype : kInputs) {
    const bool e4m3 = dtype == Dtype::kFloat8E4M3;  // at most 448
    Case test = small_case(fmt::format("one_key_score_minus_524288_{}", dtype_name(dtype)), {1, 3, 130}, {1, 1, 1});
    test.input_dtype = dtype;
    test.scale = e4m3 ? 8.0F : 1.0F;
    test.adjust = e4m3 ? equal_scores(-256, 256) : equal_scores(-1024, 512);
    cases.push_back(test);
    test.name = fmt::format("all_scores_minus_524288_{}", dtype_name(dtype));
    test.query_lengths = {1, 65};
    test.key_lengths = {300, 65};
    test.mask = Mask::causal();
    cases.push_back(test);
  }
  for (const Dtype dtype : {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16}) {
    for (const std::int32_t dim : {64, 192}) {
      Case test = small_case(fmt::format("products_cancel_{}_{}", dtype_name(dtype), dim), {70, 1, 33}, {70, 1000, 40});
      test.input_dtype = dtype;
      test.head_dim_qk = dim;
      test.adjust = cancel_products;
      cases.push_back(test);
    }
  }
  for (const double sign : {-1.0, 1.0}) {
    Case test = small_case(fmt::format("one_key_{}_finite_score", sign < 0 ? "lowest" : "highest"), {1, 3}, {1, 1});
    test.scale = 1.0F;
    test.adjust = equal_scores(sign * 0x1.8p63, 0x1p64);  // ± 2.6e38
    cases.push_back(test);
    test.name = fmt::format("all_scores_{}_finite", sign < 0 ? "lowest" : "highest");
    test.query_lengths = {9, 65};
    test.key_lengths = {300, 65};
    cases.push_back(test);
  }
  // One key far above or below the others: the weights are 1 and 0, in whichever key block it lies.
  for (const std::int64_t place : {0, 127, 128, 299}) {
    Case test = small_case(fmt::format("one_score_far_above_at_key_{}", place), {5}, {300});
    test.scale = 1.0F;
    test.adjust = [place](const Case& its, CaseData& data) {
      equal_scores(1024, 0)(its, data);
      const auto width = static_cast<std::size_t>(its.kv_heads) * static_cast<std::size_t>(its.head_dim_qk);
      for (std::size_t head = 0; head < static_cast<std::size_t>(its.kv_heads); ++head) {
        data.key[static_cast<std::size_t>(place) * width + head * static_cast<std::size_t>(its.head_dim_qk)] = 512;
      }
    };
    cases.push_back(test);
  }
}

void add_dtypes(std::vector<Case>& cases) {
  for (const Dtype input : kInputs) {
    for (const Dtype output : kOutputs) {
      Case test =
          small_case(fmt::format("dtypes_{}_to_{}", dtype_name(input), dtype_name(output)), {70, 1, 33}, {70, 200, 40});
      test.input_dtype = input;
      test.output_dtype = output;
      test.mask = Mask::causal();
      cases.push_back(test);
    }
  }
  for (const Dtype input : {Dtype::kFloat8E4M3, Dtype::kFloat8E5M2}) {
    Case test = small_case(fmt::format("{}_scales", dtype_name(input)), {70, 1, 33}, {70, 200, 40});
    test.input_dtype = input;
    test.fp8_scales = true;
    cases.push_back(test);
    test.name += "_paged";
    test.page_size = 16;
    cases.push_back(test);
    test.name += "_beyond_fp32";
    test.scale = 3e38F;
    cases.push_back(test);
  }
}

void add_heads(std::vector<Case>& cases) {
  const std::pair<std::int32_t, std::int32_t> heads[] = {{1, 1},   {3, 3},   {6, 3},  {6, 2},  {5, 1},
                                                         {14, 2},  {8, 1},   {16, 1}, {71, 1}, {128, 1},
                                                         {130, 1}, {300, 1}, {32, 32}};
  for (const auto& [query_heads, kv_heads] : heads) {
    Case test = small_case(fmt::format("heads_{}_on_{}", query_heads, kv_heads), {20, 1, 7}, {20, 150, 7});
    test.query_heads = query_heads;
    test.kv_heads = kv_heads;
    test.mask = Mask::causal();
    cases.push_back(test);
  }
  const std::pair<std::int32_t, std::int32_t> dims[] = {
      {8, 8},     {16, 16},   {24, 24},   {40, 40},   {64, 64},   {72, 72},   {80, 80},   {96, 96},
      {112, 112}, {128, 128}, {160, 160}, {192, 192}, {256, 256}, {320, 320}, {512, 512}, {576, 576},
      {192, 128}, {576, 512}, {8, 576},   {576, 8},   {64, 128},  {40, 24},   {104, 200}};
  for (const auto& [dim_qk, dim_vo] : dims) {
    Case test = small_case(fmt::format("head_dims_{}_{}", dim_qk, dim_vo), {20, 1}, {20, 150});
    test.head_dim_qk = dim_qk;
    test.head_dim_vo = dim_vo;
    test.mask = Mask::causal();
    cases.push_back(test);
    test.name += "_bf16";
    test.input_dtype = test.output_dtype = Dtype::kBFloat16;
    cases.push_back(test);
  }
}

void add_scoring(std::vector<Case>& cases) {
  const auto add = [&](const char* name, auto change) {
    cases.push_back(small_case(name, {70, 1, 33, 5}, {70, 200, 40, 0}));
    cases.back().mask = Mask::causal();
    change(cases.back());
  };
  add("negative_scale", [](Case& test) { test.scale = -0.5F; });
  add("tiny_scale", [](Case& test) { test.scale = 1e-30F; });
  add("huge_scale", [](Case& test) { test.scale = 3e38F; });
  add("soft_cap", [](Case& test) { test.soft_cap = 1.5F; });
  add("soft_cap_large", [](Case& test) { test.soft_cap = 50.0F; });
  add("soft_cap_saturated", [](Case& test) {
    test.soft_cap = 2.0F;
    test.scale = 1e6F;
  });
  add("sinks", [](Case& test) { test.sinks = true; });
  add("sinks_and_soft_cap", [](Case& test) {
    test.sinks = true;
    test.soft_cap = 3.0F;
  });
  add("sinks_far_above", [](Case& test) {
    test.sinks = true;
    test.adjust = [](const Case&, CaseData& data) { std::fill(data.sinks.begin(), data.sinks.end(), 1000.0); };
  });
  add("sinks_far_below", [](Case& test) {
    test.sinks = true;
    test.adjust = [](const Case&, CaseData& data) { std::fill(data.sinks.begin(), data.sinks.end(), -1000.0); };
  });
  add("sinks_of_minus_infinity", [](Case& test) {
    test.sinks = true;
    test.adjust = [](const Case&, CaseData& data) {
      std::fill(data.sinks.begin(), data.sinks.end(), -std::numeric_limits<double>::infinity());
    };
  });
  add("no_lse", [](Case& test) { test.lse = false; });
  add("attention_in_one_call", [](Case& test) { test.one_call = true; });
}

}  // namespace

std::vector<Case> data_cases() {
  std::vector<Case> cases;
  add_extreme_scores(cases);
  add_dtypes(cases);
  add_heads(cases);
  add_scoring(cases);
  return cases;
}

}  // namespace varlen::check
