#include "check/case.hpp"

#include <cmath>

#include "check/random_bits.hpp"
#include "reference/element.hpp"

namespace varlen::check {
namespace {

std::vector<double> rounded_normals(std::int64_t count, Dtype dtype, double mean, double deviation,
                                    RandomBits& random) {
  const reference::FloatFormat format = reference::float_format(dtype);
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) {
    value = reference::decode(format, reference::encode(format, mean + deviation * random.normal()));
  }
  return values;
}

/// Factors of magnitudes from 1/2 to 2, some of them negative, few of them 0.
std::vector<double> scales(std::int64_t count, RandomBits& random) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& value : values) {
    value = static_cast<double>(static_cast<float>(std::exp2(2 * random.unit() - 1)));
    if (random.one_in(8)) value = -value;
    if (random.one_in(40)) value = 0;
  }
  return values;
}

/// Every KV head's rows become those of the first.
void expand_heads(std::int32_t kv_heads, std::int32_t dim, std::vector<double>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto column = i % static_cast<std::size_t>(dim);
    const auto token = i / (static_cast<std::size_t>(kv_heads) * static_cast<std::size_t>(dim));
    rows[i] = rows[token * static_cast<std::size_t>(kv_heads) * static_cast<std::size_t>(dim) + column];
  }
}

/// Scales become equal where their form has one for several.
void broadcast(ScaleForm form, std::int32_t kv_heads, std::vector<double>& scales) {
  for (std::size_t i = 0; i < scales.size(); ++i) {
    const auto head = i % static_cast<std::size_t>(kv_heads);
    if (form == ScaleForm::kPerHead) scales[i] = scales[head];
    if (form == ScaleForm::kPerRequest) scales[i] = scales[i - head];
    if (form == ScaleForm::kOne) scales[i] = scales[0];
  }
}

}  // namespace

std::vector<std::int64_t> running_sum(const std::vector<std::int64_t>& lengths) {
  std::vector<std::int64_t> sums{0};
  sums.reserve(lengths.size() + 1);
  for (const std::int64_t length : lengths) sums.push_back(sums.back() + length);
  return sums;
}

CaseData make_data(const Case& test) {
  RandomBits random(test.seed);
  const std::int64_t queries = running_sum(test.query_lengths).back();
  const std::int64_t keys = running_sum(test.key_lengths).back();
  const auto requests = static_cast<std::int64_t>(test.query_lengths.size());
  CaseData data;
  data.query =
      rounded_normals(queries * test.query_heads * test.head_dim_qk, test.input_dtype, 0, test.magnitude, random);
  data.key = rounded_normals(keys * test.kv_heads * test.head_dim_qk, test.input_dtype, 0, test.magnitude, random);
  data.value = rounded_normals(keys * test.kv_heads * test.head_dim_vo, test.input_dtype, 0, test.magnitude, random);
  if (test.sinks) data.sinks = rounded_normals(test.query_heads, Dtype::kFloat32, 1, 2, random);
  if (test.fp8_scales) {
    data.query_scale = scales(requests * test.kv_heads, random);
    data.key_scale = scales(requests * test.kv_heads, random);
    data.value_scale = scales(requests * test.kv_heads, random);
    for (auto* values : {&data.query_scale, &data.key_scale, &data.value_scale}) {
      broadcast(test.layout.scale_form, test.kv_heads, *values);
    }
  }
  if (test.layout.expanded_heads) {
    expand_heads(test.kv_heads, test.head_dim_qk, data.key);
    expand_heads(test.kv_heads, test.head_dim_vo, data.value);
  }
  if (test.adjust) test.adjust(test, data);
  return data;
}

}  // namespace varlen::check
