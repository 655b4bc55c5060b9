#include <fmt/format.h>

#include "check/cases.hpp"

namespace varlen::check {
namespace {

/// A NaN in a neighbour's keys or values, after the last request, in an unused part of a page, between strided heads.
void add_neighbours(std::vector<Case>& cases) {
  for (const Dtype dtype :
       {Dtype::kFloat32, Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3, Dtype::kFloat8E5M2}) {
    for (const std::int64_t spoiled : {0, 1, 2}) {
      Case test =
          small_case(fmt::format("nan_in_request_{}_{}", spoiled, dtype_name(dtype)), {65, 30, 130}, {65, 33, 131});
      test.input_dtype = dtype;
      test.spoiled_request = spoiled;
      cases.push_back(test);
    }
    Case test = small_case(fmt::format("nan_after_last_request_{}", dtype_name(dtype)), {65, 30}, {65, 33});
    test.input_dtype = dtype;
    test.layout.tail_tokens = 200;
    cases.push_back(test);
    test.name = fmt::format("nan_between_strided_heads_{}", dtype_name(dtype));
    test.layout.head_gap = 5;
    test.layout.token_gap = 3;
    cases.push_back(test);
    test.name = fmt::format("nan_in_unused_part_of_page_{}", dtype_name(dtype));
    test.page_size = 16;
    cases.push_back(test);
  }
}

void add_strides(std::vector<Case>& cases) {
  const auto add = [&](const char* name, auto change) {
    cases.push_back(small_case(name, {65, 0, 7, 130}, {65, 0, 7, 130}));
    cases.back().mask = Mask::causal();
    cases.back().spoiled_request = 2;
    change(cases.back());
  };
  add("packed_qkv", [](Case& test) { test.layout.packed_qkv = true; });
  add("packed_qkv_bf16", [](Case& test) {
    test.layout.packed_qkv = true;
    test.input_dtype = test.output_dtype = Dtype::kBFloat16;
  });
  add("packed_qkv_odd_stride", [](Case& test) {
    test.layout.packed_qkv = true;
    test.layout.token_gap = 1;
    test.head_dim_vo = 24;
  });
  add("odd_strides", [](Case& test) {
    test.layout.head_gap = 1;
    test.layout.token_gap = 1;
    test.input_dtype = test.output_dtype = Dtype::kFloat16;
  });
  add("heads_first", [](Case& test) { test.layout.heads_first = true; });
  add("guards_in_front", [](Case& test) { test.layout.front_guards = true; });
  add("rows_past_the_last_offset", [](Case& test) { test.layout.tail_tokens = 300; });
  add("offsets_and_lengths_with_gaps", [](Case& test) {
    test.layout.query_form = test.layout.key_form = IndexForm::kBoth;
    test.layout.gap_tokens = 40;
  });
  add("lengths_alone", [](Case& test) { test.layout.query_form = test.layout.key_form = IndexForm::kLengths; });
  add("offsets_of_32_bits", [](Case& test) { test.layout.wide_query_indices = test.layout.wide_key_indices = false; });
  add("query_lengths_and_key_offsets_of_32_bits", [](Case& test) {
    test.layout.query_form = IndexForm::kLengths;
    test.layout.wide_key_indices = false;
  });
}

/// What is not rows may have any strides, and what is only read may share elements.
void add_free_strides(std::vector<Case>& cases) {
  const auto add = [&](const char* name, auto change) {
    Case test = small_case(name, {65, 0, 7, 130}, {65, 9, 70, 131});
    test.input_dtype = test.output_dtype = Dtype::kBFloat16;
    test.query_heads = 6;
    test.kv_heads = 2;
    test.mask = Mask::causal();
    test.spoiled_request = 2;
    change(test);
    cases.push_back(test);
  };
  add("lse_heads_first", [](Case& test) { test.layout.lse_heads_first = true; });
  add("lse_heads_first_with_gaps", [](Case& test) {
    test.layout.lse_heads_first = true;
    test.layout.tail_tokens = 70;
    test.layout.token_gap = 3;
  });
  add("expanded_heads", [](Case& test) { test.layout.expanded_heads = true; });
  add("expanded_heads_first", [](Case& test) { test.layout.expanded_heads = test.layout.heads_first = true; });
  add("expanded_heads_of_pages", [](Case& test) {
    test.layout.expanded_heads = true;
    test.page_size = 16;
  });
  add("block_table_of_64_bits", [](Case& test) {
    test.layout.wide_pages = true;
    test.page_size = 16;
  });
  const auto add_page_form = [&](const char* name, PageForm form, bool wide) {
    add(name, [form, wide](Case& test) {
      test.layout.page_form = form;
      test.layout.wide_pages = wide;
      test.page_size = 16;
    });
  };
  add_page_form("rows_of_a_block_table", PageForm::kRows, false);
  add_page_form("rows_of_a_block_table_of_64_bits", PageForm::kRows, true);
  add_page_form("page_indices", PageForm::kIndices, false);
  add_page_form("page_indices_of_64_bits", PageForm::kIndices, true);
  const auto add_scales = [&](const char* name, ScaleForm form) {
    add(name, [form](Case& test) {
      test.input_dtype = Dtype::kFloat8E4M3;
      test.fp8_scales = true;
      test.layout.scale_form = form;
    });
  };
  add_scales("scales_for_each", ScaleForm::kEach);
  add_scales("scales_per_head", ScaleForm::kPerHead);
  add_scales("scales_per_request", ScaleForm::kPerRequest);
  add_scales("one_scale", ScaleForm::kOne);
}

void add_pages(std::vector<Case>& cases) {
  for (const std::int64_t page_size : {1, 2, 3, 16, 64, 100, 128, 256}) {
    const std::int64_t edge = page_size;
    Case test = small_case(fmt::format("pages_of_{}", page_size), {1, 9, 70, 1, 5},
                           {edge, edge + 1, 2 * edge + 70, 0, edge > 1 ? edge - 1 : 3});
    test.page_size = page_size;
    test.mask = Mask::causal();
    test.spoiled_request = 1;
    cases.push_back(test);
    test.name += "_heads_first";
    test.layout.heads_first = true;
    cases.push_back(test);
  }
  Case test = small_case("page_larger_than_all_keys", {1, 9}, {7, 9});
  test.page_size = 4096;
  cases.push_back(test);
  test = small_case("pages_shared_between_requests", {1, 9, 1}, {100, 90, 130});
  test.page_size = 16;
  test.layout.shared_pages = true;
  cases.push_back(test);
  test = small_case("paged_without_keys", {1, 9}, {0, 0});
  test.page_size = 16;
  test.layout.spare_pages = 0;
  cases.push_back(test);
  test = small_case("paged_zero_requests", {}, {});
  test.page_size = 16;
  cases.push_back(test);
}

/// Address arithmetic that does not fit 32 bits. The tensors span gigabytes of addresses and use a few pages of memory.
void add_beyond_32_bits(std::vector<Case>& cases) {
  Case test = small_case("token_stride_x_tokens_beyond_2_31", {30, 12}, {30, 12});
  test.input_dtype = test.output_dtype = Dtype::kBFloat16;
  test.query_heads = test.kv_heads = 1;
  test.layout.token_gap = std::int64_t{1} << 26;
  cases.push_back(test);
  test = small_case("offsets_beyond_2_31", {0, 5, 130}, {0, 140, 130});
  test.query_heads = test.kv_heads = 1;
  test.head_dim_qk = test.head_dim_vo = 8;
  test.input_dtype = test.output_dtype = Dtype::kFloat16;
  test.layout.query_form = test.layout.key_form = IndexForm::kBoth;
  test.layout.first_gap = (std::int64_t{1} << 31) + 7;
  cases.push_back(test);
  test = small_case("pages_beyond_2_31_elements", {1, 5}, {9, 40});
  test.page_size = 1;
  test.input_dtype = Dtype::kFloat8E5M2;
  test.layout.token_gap = std::int64_t{1} << 26;
  cases.push_back(test);
}

}  // namespace

std::vector<Case> layout_cases() {
  std::vector<Case> cases;
  add_neighbours(cases);
  add_strides(cases);
  add_pages(cases);
  add_beyond_32_bits(cases);
  add_free_strides(cases);
  return cases;
}

}  // namespace varlen::check
