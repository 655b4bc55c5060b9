#include "reference/reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "batch/page_table.hpp"
#include "batch/scale_strides.hpp"
#include "batch/seen_keys.hpp"
#include "reference/element.hpp"

namespace varlen::reference {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Elements before the head of a token: of query, ragged key or value, out and lse.
std::int64_t row_offset(const TensorView& view, std::int64_t token, std::int64_t head) {
  return token * view.strides[0] + head * view.strides[1];
}

/// Elements before key number `key` of a request, in a key or value tensor.
std::int64_t key_offset(const RaggedBatch& batch, const Tensors& tensors, const TensorView& view, std::size_t request,
                        std::int64_t kv_head, std::int64_t key) {
  if (batch.page_size == 0) return row_offset(view, batch.requests[request].key_start + key, kv_head);
  const std::int64_t page = (*page_entries(tensors, static_cast<std::int64_t>(request)))[key / batch.page_size];
  return page * view.strides[0] + key % batch.page_size * view.strides[1] + kv_head * view.strides[2];
}

/// The fp8 factor of a (request, KV head); 1 without a scale tensor.
double factor(const TensorView& view, std::size_t request, std::int64_t kv_head) {
  if (!view.present()) return 1;
  const ScaleStrides strides = scale_strides(view);
  return load(view.dtype, view.data, static_cast<std::int64_t>(request) * strides.request + kv_head * strides.kv_head);
}

void load_row(const TensorView& view, std::int64_t offset, double scale, double* row, std::int64_t count) {
  for (std::int64_t d = 0; d < count; ++d) row[d] = scale * load(view.dtype, view.data, offset + d);
}

double absolute_dot(const double* a, const double* b, std::int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t d = 0; d < count; ++d) sum += std::fabs(a[d] * b[d]);
  return sum;
}

double dot(const double* a, const double* b, std::int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t d = 0; d < count; ++d) sum += a[d] * b[d];
  return sum;
}

/// All query rows of one KV head's group of one request.
class GroupAttention {
 public:
  GroupAttention(const RaggedBatch& batch, const Tensors& tensors, std::size_t request, std::int64_t kv_head)
      : batch_(batch), tensors_(tensors), extent_(batch.requests[request]), kv_head_(kv_head) {
    const auto keys = static_cast<std::size_t>(extent_.key_length);
    keys_.resize(keys * static_cast<std::size_t>(batch.head_dim_qk));
    values_.resize(keys * static_cast<std::size_t>(batch.head_dim_vo));
    scores_.resize(keys);
    query_.resize(static_cast<std::size_t>(batch.head_dim_qk));
    query_factor_ = factor(tensors.query_scale, request, kv_head);
    const double key_factor = factor(tensors.key_scale, request, kv_head);
    const double value_factor = factor(tensors.value_scale, request, kv_head);
    const SeenKeys seen = seen_keys(batch.mask, extent_);
    for (std::int64_t j = seen.begin; j < seen.end; ++j) {  // hidden keys are never read
      load_row(tensors.key, key_offset(batch, tensors, tensors.key, request, kv_head, j), key_factor,
               keys_.data() + j * batch.head_dim_qk, batch.head_dim_qk);
      load_row(tensors.value, key_offset(batch, tensors, tensors.value, request, kv_head, j), value_factor,
               values_.data() + j * batch.head_dim_vo, batch.head_dim_vo);
    }
  }

  /// `first_row`: of the request. `finished` is called with the number of rows of each query token.
  template <typename Finished>
  void compute(std::int64_t first_row, Result& result, const Finished& finished) {
    for (std::int64_t i = 0; i < extent_.query_length; ++i) {
      for (std::int64_t head = kv_head_ * batch_.group; head < (kv_head_ + 1) * batch_.group; ++head) {
        compute_row(i, head, first_row + i * batch_.query_heads + head, result);
      }
      finished(batch_.group);
    }
  }

 private:
  // What row i sees: nothing if the last key is before the first.
  std::int64_t position(std::int64_t i) const { return extent_.key_length - extent_.query_length + i; }
  std::int64_t first_key(std::int64_t i) const {
    return batch_.mask.left == Mask::kUnlimited ? 0 : std::max<std::int64_t>(0, position(i) - batch_.mask.left);
  }
  std::int64_t last_key(std::int64_t i) const {
    return batch_.mask.right == Mask::kUnlimited ? extent_.key_length - 1
                                                 : std::min(extent_.key_length - 1, position(i) + batch_.mask.right);
  }

  double score(std::int64_t key) const {
    const double product = static_cast<double>(batch_.scale) *
                           dot(query_.data(), keys_.data() + key * batch_.head_dim_qk, batch_.head_dim_qk);
    const auto cap = static_cast<double>(batch_.soft_cap);
    return cap > 0 ? cap * std::tanh(product / cap) : product;
  }

  double score_magnitude(std::int64_t key) const {
    return std::fabs(static_cast<double>(batch_.scale)) *
           absolute_dot(query_.data(), keys_.data() + key * batch_.head_dim_qk, batch_.head_dim_qk);
  }

  void compute_row(std::int64_t i, std::int64_t head, std::int64_t row, Result& result) {
    const std::int64_t first = first_key(i);
    const std::int64_t last = last_key(i);
    load_row(tensors_.query, row_offset(tensors_.query, extent_.query_start + i, head), query_factor_, query_.data(),
             batch_.head_dim_qk);
    const double sink = tensors_.sinks.present()
                            ? load(Dtype::kFloat32, tensors_.sinks.data, head * tensors_.sinks.strides[0])
                            : -kInfinity;

    double max = sink;
    bool spoiled = std::isnan(sink);
    double score_magnitude = 0;
    double max_magnitude = tensors_.sinks.present() && std::isfinite(sink) ? std::fabs(sink) : 0;
    for (std::int64_t j = first; j <= last; ++j) {
      const double s = score(j);
      scores_[static_cast<std::size_t>(j)] = s;
      max = std::max(max, s);
      spoiled |= std::isnan(s);
      max_magnitude = std::max(max_magnitude, std::fabs(s));
      score_magnitude = std::max(score_magnitude, this->score_magnitude(j));
    }

    double* const out = result.out.data() + row * batch_.head_dim_vo;
    std::fill_n(out, batch_.head_dim_vo, 0.0);
    const auto r = static_cast<std::size_t>(row);
    result.max_score[r] = max_magnitude;
    result.score_magnitude[r] = score_magnitude;
    result.value_magnitude[r] = 0;
    result.visible[r] = std::max<std::int64_t>(0, last - first + 1);
    result.magnitude[r] = 0;
    result.lse[r] = -kInfinity;
    if (spoiled || max == kInfinity) {  // e^(∞ − ∞)
      result.lse[r] = std::numeric_limits<double>::quiet_NaN();
      std::fill_n(out, batch_.head_dim_vo, result.lse[r]);
      return;
    }
    if (max == -kInfinity) return;  // neither a key nor a sink: zeros, and the logarithm of an empty sum

    double sum = std::exp(sink - max);
    std::vector<double>& weights = scores_;
    for (std::int64_t j = first; j <= last; ++j) {
      weights[static_cast<std::size_t>(j)] = std::exp(weights[static_cast<std::size_t>(j)] - max);
      sum += weights[static_cast<std::size_t>(j)];
    }
    result.lse[r] = max + std::log(sum);

    absolute_.assign(static_cast<std::size_t>(batch_.head_dim_vo), 0.0);
    unweighted_.assign(static_cast<std::size_t>(batch_.head_dim_vo), 0.0);
    double largest_weight = 0;
    for (std::int64_t j = first; j <= last; ++j) {
      const double p = weights[static_cast<std::size_t>(j)] / sum;
      largest_weight = std::max(largest_weight, p);
      const double* const value = values_.data() + j * batch_.head_dim_vo;
      for (std::int64_t d = 0; d < batch_.head_dim_vo; ++d) {
        out[d] += p * value[d];
        absolute_[static_cast<std::size_t>(d)] += p * std::fabs(value[d]);
        unweighted_[static_cast<std::size_t>(d)] += std::fabs(value[d]);
      }
    }
    result.magnitude[r] = std::sqrt(dot(absolute_.data(), absolute_.data(), batch_.head_dim_vo));
    result.value_magnitude[r] =
        largest_weight * std::sqrt(dot(unweighted_.data(), unweighted_.data(), batch_.head_dim_vo));
  }

  const RaggedBatch& batch_;
  const Tensors& tensors_;
  const RequestExtent extent_;
  const std::int64_t kv_head_;
  double query_factor_ = 1;
  std::vector<double> keys_;        // [key length, head_dim_qk]
  std::vector<double> values_;      // [key length, head_dim_vo]
  std::vector<double> scores_;      // [key length], of one row
  std::vector<double> query_;       // [head_dim_qk], one row
  std::vector<double> absolute_;    // [head_dim_vo], Σ p |v| of one row
  std::vector<double> unweighted_;  // [head_dim_vo], Σ |v| of one row
};

}  // namespace

Result attention(const RaggedBatch& batch, const Tensors& tensors, const Progress& progress) {
  Result result;
  std::int64_t row_count = 0;
  for (const RequestExtent& request : batch.requests) {
    result.first_row.push_back(row_count);
    row_count += request.query_length * batch.query_heads;
  }
  const auto rows = static_cast<std::size_t>(row_count);
  result.out.resize(rows * static_cast<std::size_t>(batch.head_dim_vo));
  result.lse.resize(rows);
  result.magnitude.resize(rows);
  result.max_score.resize(rows);
  result.score_magnitude.resize(rows);
  result.value_magnitude.resize(rows);
  result.visible.resize(rows);
  std::int64_t done = 0;
  const auto finished = [&](std::int64_t count) {
    done += count;
    if (progress) progress(done, row_count);
  };
  for (std::size_t request = 0; request < batch.requests.size(); ++request) {
    if (batch.requests[request].query_length == 0) continue;
    for (std::int64_t kv_head = 0; kv_head < batch.kv_heads; ++kv_head) {
      GroupAttention(batch, tensors, request, kv_head).compute(result.first_row[request], result, finished);
    }
  }
  return result;
}

void attention_into(const RaggedBatch& batch, const Tensors& tensors) {
  const Result result = attention(batch, tensors);
  std::size_t row = 0;
  for (const RequestExtent& request : batch.requests) {
    for (std::int64_t token = request.query_start; token < request.query_start + request.query_length; ++token) {
      for (std::int64_t head = 0; head < batch.query_heads; ++head, ++row) {
        const double* const out = result.out.data() + row * static_cast<std::size_t>(batch.head_dim_vo);
        const std::int64_t offset = row_offset(tensors.out, token, head);
        for (std::int64_t d = 0; d < batch.head_dim_vo; ++d) {
          store(tensors.out.dtype, tensors.out.data, offset + d, out[d]);
        }
        if (!tensors.lse.present()) continue;
        store(Dtype::kFloat32, tensors.lse.data, row_offset(tensors.lse, token, head), result.lse[row]);
      }
    }
  }
}

}  // namespace varlen::reference
