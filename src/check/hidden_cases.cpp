#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "check/cases.hpp"

namespace varlen::check {
namespace {

constexpr Dtype kInputs[] = {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3};

/// The report that these cases began with: all inputs are 1, so the output must be.
void add_decode_in_freed_pages(std::vector<Case>& cases) {
  for (const Dtype dtype : kInputs) {
    Case test = small_case(fmt::format("window_of_ten_on_paged_keys_{}", dtype_name(dtype)), {1}, {40});
    test.page_size = 16;
    test.mask = Mask::window(10, 0);
    test.input_dtype = dtype;
    test.adjust = [](const Case&, CaseData& data) {
      for (auto* values : {&data.query, &data.key, &data.value}) std::fill(values->begin(), values->end(), 1.0);
    };
    cases.push_back(test);
  }
}

}  // namespace

std::vector<Case> hidden_cases() {
  std::vector<Case> cases;
  add_decode_in_freed_pages(cases);
  // A window may begin anywhere in a step of a kernel and in a page, and the rest of a request may be shorter than
  // either. Pages of 48 keys are loaded in boxes of sixteen.
  for (const Dtype dtype : kInputs) {
    for (const std::int64_t page_size : {0, 8, 48}) {
      for (const auto& [left, right] : {std::pair<std::int64_t, std::int64_t>{3, 0}, {130, 0}, {40, 70}}) {
        Case test = small_case(fmt::format("window_{}_{}_pages_of_{}_{}", left, right, page_size, dtype_name(dtype)),
                               {1, 3, 140, 1, 0}, {140, 205, 420, 700, 33});
        test.page_size = page_size;
        test.mask = Mask::window(left, right);
        test.input_dtype = dtype;
        if (left == 130) test.head_dim_qk = test.head_dim_vo = 64;
        if (left == 40) test.soft_cap = 5.0F;
        cases.push_back(test);
      }
    }
  }
  return cases;
}

}  // namespace varlen::check
