#include "placed_case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "check/tolerance.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::uint64_t kLayoutSeed = 0x6C61796F75740000U;  // apart from the values' random numbers
constexpr std::uint64_t kSinksSeed = 0x73696E6B73000000U;

}  // namespace

IndexView PlacedCase::Indices::view(bool is_wide) const {
  if (is_wide) return std::span<const std::int64_t>(wide);
  return std::span<const std::int32_t>(narrow);
}

void PlacedCase::Indices::set(const std::vector<std::int64_t>& values) {
  wide = values;
  narrow.clear();
  for (const std::int64_t value : values) narrow.push_back(static_cast<std::int32_t>(value));
}

PlacedCase::PlacedCase(const check::Case& test, Machine& machine, Memory& memory, int outputs)
    : test_(test), machine_(machine), memory_(memory), random_(test.seed ^ kLayoutSeed) {
  batch_ = check::batch_without_lengths(test);
  problem_.query.heads = test.query_heads;
  problem_.key.heads = test.kv_heads;
  problem_.page_size = test.page_size;
  problem_.scale = test.scale ? static_cast<double>(*test.scale) : 1 / std::sqrt(test.head_dim_qk);
  problem_.soft_cap = static_cast<double>(test.soft_cap);
  problem_.left = test.mask.left;
  problem_.right = test.mask.right;
  const Dtype weights = check::weights_dtype(test.input_dtype);
  problem_.out_tolerance = check::out_tolerance(test.output_dtype, weights, check::kFewKeys);
  problem_.few_keys_tolerance = check::out_tolerance(test.output_dtype, weights, 1);
  problem_.small_weight_error = check::small_weight_error(weights);

  // Where rows are not aligned, neither is the first of a tensor.
  const bool aligned = test.layout.token_gap % 8 == 0 && test.layout.head_gap % 8 == 0;
  unaligned_by_ = aligned ? 0 : random_.below(8);
  place_requests();
  if (test.layout.packed_qkv) {
    place_packed();
  } else {
    oracle::Region region{};
    query_tokens_ = query_end_ + tail();
    problem_.query = place_tokens(test.input_dtype, query_tokens_, test.query_heads, test.head_dim_qk, region);
    add_input("query", region, problem_.query, false);
    place_keys();
  }
  place_scales();
  place_sinks();
  place_outputs(outputs);
}

// Where requests lie

std::vector<std::int64_t> PlacedCase::starts_of(check::IndexForm form, const std::vector<std::int64_t>& lengths,
                                                std::vector<std::int64_t>& offsets) {
  std::vector<std::int64_t> starts;
  std::int64_t tokens = 0;
  offsets = {0};
  for (const std::int64_t length : lengths) {
    starts.push_back(tokens);
    tokens += length;
    if (form == check::IndexForm::kBoth) tokens += random_.below(test_.layout.gap_tokens + 1);
    offsets.push_back(tokens);
  }
  return starts;
}

void PlacedCase::place_requests() {
  using check::IndexForm;
  const check::CaseLayout& layout = test_.layout;
  const IndexForm key_form = test_.page_size > 0 ? IndexForm::kLengths : layout.key_form;
  std::vector<std::int64_t> query_offsets;
  std::vector<std::int64_t> key_offsets;
  const std::vector<std::int64_t> query_starts = starts_of(layout.query_form, test_.query_lengths, query_offsets);
  std::vector<std::int64_t> key_starts = starts_of(key_form, test_.key_lengths, key_offsets);
  if (test_.page_size > 0) std::fill(key_starts.begin(), key_starts.end(), 0);
  query_end_ = query_offsets.back();
  key_end_ = key_offsets.back();

  query_indptr_.set(query_offsets);
  query_lengths_.set(test_.query_lengths);
  key_indptr_.set(key_offsets);
  key_lengths_.set(test_.key_lengths);
  const bool wide_query = layout.wide_query_indices;
  const bool wide_key = layout.wide_key_indices;
  if (layout.query_form != IndexForm::kLengths) batch_.query_indptr = query_indptr_.view(wide_query);
  if (layout.query_form != IndexForm::kIndptr) batch_.query_lengths = query_lengths_.view(wide_query);
  if (key_form != IndexForm::kLengths) batch_.key_indptr = key_indptr_.view(wide_key);
  if (key_form != IndexForm::kIndptr) batch_.key_lengths = key_lengths_.view(wide_key);

  for (std::size_t r = 0; r < query_starts.size(); ++r) {
    extents_.push_back({query_starts[r], test_.query_lengths[r], key_starts[r], test_.key_lengths[r],
                        problem_.query_tokens, problem_.key_tokens});
    problem_.query_tokens += test_.query_lengths[r];
    problem_.key_tokens += test_.key_lengths[r];
  }
  problem_.requests = static_cast<std::int64_t>(extents_.size());
  const auto bytes = static_cast<std::int64_t>(extents_.size() * sizeof(oracle::Extent));
  std::byte* const extents = memory_.place(bytes, alignof(oracle::Extent)).data;
  machine_.upload(extents, extents_.data(), bytes);
  problem_.extents = reinterpret_cast<const oracle::Extent*>(extents);
  spoiled_ = reinterpret_cast<std::uint8_t*>(memory_.place(problem_.requests, 1).data);
}

// Where tensors lie

oracle::Region PlacedCase::place_region(Dtype dtype, std::int64_t elements, void*& data) {
  const std::int64_t size = dtype_size(dtype);
  const Piece piece = memory_.place((elements + unaligned_by_) * size, size);
  data = piece.data + unaligned_by_ * size;
  return {piece.begin, dtype, (piece.end - piece.begin) / size};
}

oracle::Rows PlacedCase::place_tokens(Dtype dtype, std::int64_t tokens, std::int32_t heads, std::int32_t width,
                                      oracle::Region& region) {
  oracle::Rows rows{nullptr, dtype, heads, width, 0, 0, 0};
  rows.head_stride = width + test_.layout.head_gap;
  rows.token_stride = heads * rows.head_stride + test_.layout.token_gap;
  if (test_.layout.heads_first) {
    rows.token_stride = width + test_.layout.token_gap;
    rows.head_stride = std::max<std::int64_t>(tokens, 1) * rows.token_stride + test_.layout.head_gap;
  }
  if (tokens == 0) return rows;
  const std::int64_t elements = (tokens - 1) * rows.token_stride + (heads - 1) * rows.head_stride + width;
  region = place_region(dtype, elements, rows.data);
  return rows;
}

oracle::Rows PlacedCase::place_pool(std::int32_t width, oracle::Region& region) {
  oracle::Rows rows{nullptr, test_.input_dtype, test_.kv_heads, width, 0, 0, 0};
  rows.head_stride = width + test_.layout.head_gap;
  rows.token_stride = test_.kv_heads * rows.head_stride + test_.layout.token_gap;
  rows.page_stride = test_.page_size * rows.token_stride;
  if (test_.layout.heads_first) {
    rows.token_stride = width + test_.layout.token_gap;
    rows.head_stride = test_.page_size * rows.token_stride + test_.layout.head_gap;
    rows.page_stride = test_.kv_heads * rows.head_stride;
  }
  if (pool_pages_ == 0) return rows;
  const std::int64_t elements = (pool_pages_ - 1) * rows.page_stride + (test_.page_size - 1) * rows.token_stride +
                                (test_.kv_heads - 1) * rows.head_stride + width;
  region = place_region(test_.input_dtype, elements, rows.data);
  return rows;
}

void PlacedCase::add_input(const char* name, const oracle::Region& region, const oracle::Rows& rows, bool of_keys) {
  std::size_t parts = 0;
  for (const Input& input : inputs_) parts += input.parts.size();
  const std::uint64_t seed = oracle::scrambled(test_.seed + parts);
  if (inputs_.empty() || inputs_.back().region.data != region.data) inputs_.push_back({region, {}});
  inputs_.back().parts.push_back({name, rows, of_keys, seed});
}

void PlacedCase::place_packed() {
  query_tokens_ = key_tokens_ = std::max(query_end_, key_end_) + tail();
  const std::int32_t widths[] = {test_.head_dim_qk, test_.head_dim_qk, test_.head_dim_vo};
  const std::int32_t heads[] = {test_.query_heads, test_.kv_heads, test_.kv_heads};
  std::int64_t stride = test_.layout.token_gap;
  for (int i = 0; i < 3; ++i) stride += std::int64_t{heads[i]} * widths[i];
  const std::int64_t elements = query_tokens_ == 0 ? 0 : query_tokens_ * stride - test_.layout.token_gap;
  void* data = nullptr;
  const oracle::Region region = place_region(test_.input_dtype, elements, data);
  oracle::Rows* const rows[] = {&problem_.query, &problem_.key, &problem_.value};
  const char* const names[] = {"query", "key", "value"};
  auto* next = static_cast<std::byte*>(data);
  for (int i = 0; i < 3; ++i) {
    *rows[i] = {next, test_.input_dtype, heads[i], widths[i], 0, stride, widths[i]};
    next += std::int64_t{heads[i]} * widths[i] * dtype_size(test_.input_dtype);
    add_input(names[i], region, *rows[i], i > 0);
  }
  tensors_.key = token_view(problem_.key, key_tokens_);
  tensors_.value = token_view(problem_.value, key_tokens_);
}

void PlacedCase::place_keys() {
  const bool paged = test_.page_size > 0;
  if (paged) place_block_table();
  key_tokens_ = paged ? 0 : key_end_ + tail();
  const auto place = [&](const char* name, std::int32_t width) {
    oracle::Region region{};
    const oracle::Rows rows =
        paged ? place_pool(width, region) : place_tokens(test_.input_dtype, key_tokens_, test_.kv_heads, width, region);
    add_input(name, region, rows, true);
    return rows;
  };
  problem_.key = place("key", test_.head_dim_qk);
  problem_.value = place("value", test_.head_dim_vo);
  tensors_.key = paged ? pool_view(problem_.key) : token_view(problem_.key, key_tokens_);
  tensors_.value = paged ? pool_view(problem_.value) : token_view(problem_.value, key_tokens_);
}

void PlacedCase::place_block_table() {
  const auto pages_of = [&](std::int64_t keys) { return (keys + test_.page_size - 1) / test_.page_size; };
  std::int64_t used = 0;
  for (const std::int64_t length : test_.key_lengths) {
    used += pages_of(length);
    problem_.max_pages = std::max(problem_.max_pages, pages_of(length));
  }
  problem_.max_pages += random_.below(3);
  pool_pages_ = used + test_.layout.spare_pages;
  std::vector<std::int32_t> free_pages(static_cast<std::size_t>(pool_pages_));
  for (std::size_t p = 0; p < free_pages.size(); ++p) {  // shuffled from the inside out
    const auto other = static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(p) + 1));
    free_pages[p] = free_pages[other];
    free_pages[other] = static_cast<std::int32_t>(p);
  }
  table_.assign(static_cast<std::size_t>(problem_.requests * problem_.max_pages), -1);
  for (std::int64_t r = 0; r < problem_.requests; ++r) {
    for (std::int64_t p = 0; p < pages_of(test_.key_lengths[static_cast<std::size_t>(r)]); ++p) {
      table_[static_cast<std::size_t>(r * problem_.max_pages + p)] = free_pages.back();
      free_pages.pop_back();
    }
  }
  oracle_table_ = memory_.place(static_cast<std::int64_t>(table_.size()) * 4, 4).data;
  problem_.block_table = static_cast<const std::int32_t*>(oracle_table_);
  place_page_numbers();
}

/// What the call is told, in the case's form. The numbers themselves are written by write_page_numbers().
void PlacedCase::place_page_numbers() {
  const std::int64_t requests = problem_.requests;
  const auto integers = [&](std::int64_t count) { return memory_.place(count * 4, 4).data; };
  const auto uploaded = [&](const std::vector<std::int32_t>& values) {
    std::byte* const there = integers(std::ssize(values));
    machine_.upload(there, values.data(), std::ssize(values) * 4);
    return machine_.here(TensorView::dense(there, Dtype::kInt32, {std::ssize(values)}));
  };
  const check::PageForm form = test_.layout.page_form;
  if (form == check::PageForm::kIndices) {
    std::vector<std::int32_t> indptr{static_cast<std::int32_t>(random_.below(3))};
    for (const std::int64_t keys : test_.key_lengths) {
      first_numbers_.push_back(indptr.back());
      const std::int64_t own = (keys + test_.page_size - 1) / test_.page_size;
      const std::int64_t spare = random_.below(std::min<std::int64_t>(3, problem_.max_pages - own + 1));
      indptr.push_back(indptr.back() + static_cast<std::int32_t>(own + spare));
    }
    number_count_ = indptr.back();
    for (std::size_t r = 0; r < first_numbers_.size(); ++r) counts_.push_back(indptr[r + 1] - indptr[r]);
    numbers_memory_ = integers(number_count_);
    tensors_.page_indptr = uploaded(indptr);
    tensors_.page_indices = machine_.here(TensorView::dense(numbers_memory_, Dtype::kInt32, {number_count_}));
    return;
  }
  const bool chosen = form == check::PageForm::kRows;
  const std::int64_t rows = chosen ? requests + random_.below(4) : requests;
  const std::int64_t turn = chosen ? random_.below(rows + 1) : 0;
  std::vector<std::int32_t> row_of;
  for (std::int64_t r = 0; r < requests; ++r) {
    row_of.push_back(static_cast<std::int32_t>((r + turn) % rows));
    first_numbers_.push_back(row_of.back() * problem_.max_pages);
    counts_.push_back(problem_.max_pages);
  }
  number_count_ = rows * problem_.max_pages;
  numbers_memory_ = integers(number_count_);
  tensors_.block_table = machine_.here(TensorView::dense(numbers_memory_, Dtype::kInt32, {rows, problem_.max_pages}));
  if (chosen) tensors_.block_table_rows = uploaded(row_of);
}

void PlacedCase::place_scales() {
  if (!test_.fp8_scales) return;
  oracle::Scales* const scales[] = {&problem_.query_scale, &problem_.key_scale, &problem_.value_scale};
  TensorView* const views[] = {&tensors_.query_scale, &tensors_.key_scale, &tensors_.value_scale};
  const std::int64_t stride = test_.kv_heads + random_.below(3);
  for (int i = 0; i < 3; ++i) {
    if (random_.one_in(4)) continue;
    Spaced part{};
    part.stride = stride;
    part.values.assign(static_cast<std::size_t>(std::max<std::int64_t>(problem_.requests, 1) * stride), 0.0F);
    for (std::int64_t r = 0; r < problem_.requests; ++r) {
      for (std::int64_t head = 0; head < test_.kv_heads; ++head) {
        const double size = 0.25 + random_.unit();  // of about 1
        part.values[static_cast<std::size_t>(r * stride + head)] = static_cast<float>(random_.one_in(4) ? -size : size);
      }
    }
    const auto count = static_cast<std::int64_t>(part.values.size());
    const Piece piece = memory_.place(count * 4, 4);
    part.region = {piece.begin, Dtype::kFloat32, (piece.end - piece.begin) / 4};
    part.data = piece.data;
    *scales[i] = {reinterpret_cast<const float*>(piece.data), stride, 1};
    *views[i] = machine_.here(
        TensorView::strided(piece.data, Dtype::kFloat32, {problem_.requests, test_.kv_heads}, {stride, 1}));
    scales_.push_back(std::move(part));
  }
}

/// Those of spoiled requests are poison, too.
void PlacedCase::write_scales(oracle::Pattern surroundings, const std::vector<std::uint8_t>& spoiled) {
  for (const Spaced& part : scales_) {
    std::vector<float> values = part.values;
    for (std::int64_t i = 0; i < std::ssize(values); ++i) {
      const auto request = static_cast<std::size_t>(i / part.stride);
      const bool poisoned = request < spoiled.size() && spoiled[request] != 0;
      const bool beside = i % part.stride >= test_.kv_heads;
      if (!poisoned && !beside) continue;
      const oracle::Pattern pattern = poisoned ? oracle::Pattern::kPoison : surroundings;
      values[static_cast<std::size_t>(i)] = oracle::float_of_bits(oracle::pattern_bits(Dtype::kFloat32, pattern, i));
    }
    machine_.fill(part.region, surroundings);
    machine_.upload(part.data, values.data(), std::ssize(values) * 4);
  }
}

void PlacedCase::place_sinks() {
  if (!test_.sinks) return;
  for (std::int32_t head = 0; head < test_.query_heads; ++head) {
    sinks_.push_back(oracle::normal_number(test_.seed ^ kSinksSeed, static_cast<std::uint64_t>(head)));
  }
  const Piece piece = memory_.place(test_.query_heads * 4, 4);
  sinks_region_ = {piece.begin, Dtype::kFloat32, (piece.end - piece.begin) / 4};
  problem_.sinks = reinterpret_cast<const float*>(piece.data);
  tensors_.sinks = machine_.here(TensorView::dense(piece.data, Dtype::kFloat32, {test_.query_heads}));
}

void PlacedCase::place_outputs(int outputs) {
  tensors_.query = token_view(problem_.query, query_tokens_);
  problem_.outputs = outputs;
  for (int i = 0; i < outputs; ++i) {
    oracle::Region region{};
    problem_.out[i] = place_tokens(test_.output_dtype, query_tokens_, test_.query_heads, test_.head_dim_vo, region);
    outs_.push_back(region);
    problem_.lse[i] = {nullptr, Dtype::kFloat32, 1, test_.query_heads, 0, 0, 0};
    if (!test_.lse) continue;
    region = {};
    problem_.lse[i] = place_tokens(Dtype::kFloat32, query_tokens_, 1, test_.query_heads, region);
    lses_.push_back(region);
  }
}

TensorView PlacedCase::token_view(const oracle::Rows& rows, std::int64_t tokens) const {
  if (rows.data == nullptr) return {};
  return machine_.here(TensorView::strided(rows.data, rows.dtype, {tokens, rows.heads, rows.width},
                                           {rows.token_stride, rows.head_stride, 1}));
}

TensorView PlacedCase::pool_view(const oracle::Rows& rows) const {
  if (rows.data == nullptr) return {};
  return machine_.here(TensorView::strided(rows.data, rows.dtype,
                                           {pool_pages_, test_.page_size, rows.heads, rows.width},
                                           {rows.page_stride, rows.token_stride, rows.head_stride, 1}));
}

Tensors PlacedCase::tensors(int output) const {
  Tensors tensors = tensors_;
  tensors.out = token_view(problem_.out[output], query_tokens_);
  const oracle::Rows& lse = problem_.lse[output];
  if (lse.data != nullptr) {
    tensors.lse =
        machine_.here(TensorView::strided(lse.data, lse.dtype, {query_tokens_, lse.width}, {lse.token_stride, 1}));
  }
  return tensors;
}

// What they hold

oracle::RowSet PlacedCase::set_of(const Part& part, const oracle::Region& region) const {
  return {problem_,
          part.rows,
          part.of_keys,
          region,
          part.seed,
          any_spoiled_ ? spoiled_ : nullptr,
          surroundings_ == oracle::Pattern::kPoison};
}

void PlacedCase::write_inputs(oracle::Pattern surroundings, const std::vector<std::uint8_t>& spoiled) {
  surroundings_ = surroundings;
  any_spoiled_ = !spoiled.empty();
  if (any_spoiled_) machine_.upload(spoiled_, spoiled.data(), problem_.requests);
  if (!table_.empty()) write_page_numbers();  // first: they say where rows are
  for (const Input& input : inputs_) {
    machine_.fill(input.region, surroundings);
    for (const Part& part : input.parts) machine_.write_rows(set_of(part, input.region));
  }
  write_scales(surroundings, spoiled);
  if (!sinks_.empty()) {
    machine_.fill(sinks_region_, surroundings);
    machine_.upload(tensors_.sinks.data, sinks_.data(), static_cast<std::int64_t>(sinks_.size()) * 4);
  }
}

/// The oracle's, which are all, and those that the call is told. Where surroundings are poison, these lack pages that
/// no query of their request sees.
void PlacedCase::write_page_numbers() {
  machine_.upload(oracle_table_, table_.data(), std::ssize(table_) * 4);
  const bool poisoned = surroundings_ == oracle::Pattern::kPoison;
  const std::int32_t no_page = poisoned ? std::numeric_limits<std::int32_t>::max() : -1;
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(number_count_), no_page);
  const auto shown = check::shown_keys(test_);
  for (std::size_t r = 0; r < first_numbers_.size(); ++r) {
    const auto first = table_.begin() + static_cast<std::ptrdiff_t>(r) * problem_.max_pages;
    const auto to = numbers.begin() + first_numbers_[r];
    std::replace_copy(first, first + counts_[r], to, -1, no_page);
    if (poisoned) std::fill_n(to, shown[r].begin / test_.page_size, -1);
  }
  machine_.upload(numbers_memory_, numbers.data(), number_count_ * 4);
}

void PlacedCase::clear_output(int output) {
  machine_.fill(output_region(output, false), oracle::Pattern::kUnwritten);
  if (test_.lse) machine_.fill(output_region(output, true), oracle::Pattern::kUnwritten);
}

std::string PlacedCase::changed_inputs() {
  for (const Input& input : inputs_) {
    for (const Part& part : input.parts) {
      const oracle::RowSet set = set_of(part, input.region);
      if (const std::int64_t at = machine_.first_overwritten(set); at >= 0) {
        return fmt::format("row element {} of {} changed", at, part.name);
      }
      machine_.erase_rows(set, surroundings_);
    }
    if (const std::int64_t at = machine_.first_change(input.region, surroundings_); at >= 0) {
      return fmt::format("element {} of {}'s memory, beside its rows, changed", at, input.parts.front().name);
    }
  }
  return {};
}

oracle::RowSet PlacedCase::output_rows(int output, bool lse) const {
  return {problem_, lse ? problem_.lse[output] : problem_.out[output],
          false,    output_region(output, lse),
          0,        any_spoiled_ ? spoiled_ : nullptr,
          false};
}

const oracle::Region& PlacedCase::output_region(int output, bool lse) const {
  return (lse ? lses_ : outs_)[static_cast<std::size_t>(output)];
}

std::string PlacedCase::stray_writes(int output) {
  for (const bool lse : {false, true}) {
    if (lse && !test_.lse) continue;
    machine_.erase_rows(output_rows(output, lse), oracle::Pattern::kUnwritten);  // of spoiled requests as well
    const std::int64_t at = machine_.first_change(output_region(output, lse), oracle::Pattern::kUnwritten);
    if (at >= 0) return fmt::format("element {} of {}'s memory, beside its rows, changed", at, lse ? "lse" : "out");
  }
  return {};
}

std::string PlacedCase::describe_row(std::int64_t row) const {
  oracle::Problem here = problem_;
  here.extents = extents_.data();
  const oracle::Position position = oracle::position_of(here, row);
  return fmt::format("request {}, query row {}, head {}", position.request, position.token, position.head);
}

std::string PlacedCase::describe_element(bool lse, std::int64_t element) const {
  if (lse) return fmt::format("lse of {}", describe_row(element));
  return fmt::format("out[{}] of {}", element % test_.head_dim_vo, describe_row(element / test_.head_dim_vo));
}

}  // namespace varlen::gpu_check
