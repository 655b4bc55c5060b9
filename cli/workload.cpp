#include "cli/workload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>

#include "cli/failure.hpp"

namespace varlen::cli {
namespace {

// Σ of clamp(p, 0, limit) over the `count` integers p from `first` on.
double sum_clamped(std::int64_t first, std::int64_t count, std::int64_t limit) {
  const std::int64_t last = first + count - 1;
  const std::int64_t begin = std::max<std::int64_t>(first, 0);
  const std::int64_t end = std::min(last, limit);
  double sum = 0;
  if (begin <= end) sum += static_cast<double>(begin + end) / 2 * static_cast<double>(end - begin + 1);
  const std::int64_t above = std::min(count, last - limit);
  if (above > 0) sum += static_cast<double>(above) * static_cast<double>(limit);
  return sum;
}

// Keys that at least one row sees: from the first row's first on, as the last row stands at the last key.
std::int64_t visible_keys(std::int64_t query_length, std::int64_t key_length, const Mask& mask) {
  if (query_length == 0) return 0;
  if (mask.left == Mask::kUnlimited) return key_length;
  const std::int64_t begin = key_length - query_length - std::min(mask.left, key_length);
  return key_length - std::clamp<std::int64_t>(begin, 0, key_length);
}

std::int64_t longest(const std::vector<std::int64_t>& lengths) {
  return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
}

std::string reach(char sign, std::int64_t keys) {
  return keys == Mask::kUnlimited ? fmt::format("{}inf", sign) : fmt::format("{}{}", sign, keys);
}

}  // namespace

std::int64_t Workload::query_tokens() const {
  return std::accumulate(query_lengths.begin(), query_lengths.end(), std::int64_t{0});
}

std::int64_t Workload::key_tokens() const {
  return std::accumulate(key_lengths.begin(), key_lengths.end(), std::int64_t{0});
}

Batch Workload::batch(Dtype input_dtype, Dtype output_dtype) const {
  Batch batch;
  batch.query_lengths = std::span<const std::int64_t>(query_lengths);
  batch.key_lengths = std::span<const std::int64_t>(key_lengths);
  batch.page_size = page_size;
  batch.query_heads = query_heads;
  batch.kv_heads = kv_heads;
  batch.head_dim_qk = head_dim_qk;
  batch.head_dim_vo = head_dim_vo;
  batch.query_dtype = input_dtype;
  batch.output_dtype = output_dtype;
  batch.mask = mask;
  batch.soft_cap = soft_cap;
  return batch;
}

Mask make_mask(bool causal, const std::optional<std::pair<std::int64_t, std::int64_t>>& window) {
  if (!window) return causal ? Mask::causal() : Mask::full();
  const auto [left, right] = *window;
  for (const std::int64_t side : {left, right}) {
    if (side < Mask::kUnlimited) fail("window = {},{}: a side is a number of keys, or -1 for unlimited", left, right);
  }
  if (!causal) return Mask::window(left, right);
  if (right > 0) fail("window = {},{} shows later keys, which causal hides", left, right);
  return Mask::causal_window(left);
}

std::string describe(const Mask& mask) {
  if (mask.left == Mask::kUnlimited && mask.right == Mask::kUnlimited) return "full";
  if (mask.left == Mask::kUnlimited && mask.right == 0) return "causal";
  return fmt::format("window {} to {}", reach('-', mask.left), reach('+', mask.right));
}

double visible_pairs(std::int64_t query_length, std::int64_t key_length, const Mask& mask) {
  if (query_length == 0 || key_length == 0) return 0;
  // The row at position p sees the keys below clamp(p + right + 1) that are not below clamp(p - left).
  const std::int64_t first_row = key_length - query_length;
  const auto shifted = [&](std::int64_t by) { return sum_clamped(first_row + by, query_length, key_length); };
  const double below_end = mask.right == Mask::kUnlimited
                               ? static_cast<double>(query_length) * static_cast<double>(key_length)
                               : shifted(std::min(mask.right, query_length) + 1);
  const double below_begin = mask.left == Mask::kUnlimited ? 0 : shifted(-std::min(mask.left, key_length));
  return below_end - below_begin;
}

double flop(const Workload& workload, std::int64_t query_length, std::int64_t key_length) {
  return 2.0 * visible_pairs(query_length, key_length, workload.mask) * workload.query_heads *
         (workload.head_dim_qk + workload.head_dim_vo);
}

double flop(const Workload& workload) {
  double sum = 0;
  for (std::size_t r = 0; r < workload.query_lengths.size(); ++r) {
    sum += flop(workload, workload.query_lengths[r], workload.key_lengths[r]);
  }
  return sum;
}

double padded_flop(const Workload& workload) {
  return static_cast<double>(workload.query_lengths.size()) *
         flop(workload, longest(workload.query_lengths), longest(workload.key_lengths));
}

double bytes_moved(const Workload& workload, Dtype input_dtype, Dtype output_dtype) {
  const auto input = static_cast<double>(dtype_size(input_dtype));
  const auto output = static_cast<double>(dtype_size(output_dtype));
  const double per_query =
      workload.query_heads * (workload.head_dim_qk * input + workload.head_dim_vo * output + sizeof(float));
  const double per_key = workload.kv_heads * (workload.head_dim_qk + workload.head_dim_vo) * input;
  double bytes = 0;
  for (std::size_t r = 0; r < workload.query_lengths.size(); ++r) {
    const std::int64_t queries = workload.query_lengths[r];
    const std::int64_t keys = visible_keys(queries, workload.key_lengths[r], workload.mask);
    bytes += static_cast<double>(queries) * per_query + static_cast<double>(keys) * per_key;
  }
  return bytes;
}

Dtype default_output(Dtype input_dtype) { return dtype_size(input_dtype) == 1 ? Dtype::kBFloat16 : input_dtype; }

}  // namespace varlen::cli
