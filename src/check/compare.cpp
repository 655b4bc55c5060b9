#include "check/compare.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "check/adapt.hpp"
#include "check/tolerance.hpp"
#include "reference/element.hpp"

namespace varlen::check {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double ratio(double error, double allowed) {
  if (error == 0) return 0;
  return std::isnan(error) ? kInfinity : error / allowed;  // nothing allowed: infinity
}

class RowComparer {
 public:
  RowComparer(const RaggedBatch& batch, const Tensors& tensors, const reference::Result& expected, bool rounded_weights)
      : batch_(batch),
        tensors_(tensors),
        expected_(expected),
        format_(reference::float_format(batch.output_dtype)),
        rounded_weights_(rounded_weights) {}

  Comparison compare() {
    for (std::size_t r = 0; r < batch_.requests.size(); ++r) {
      for (std::int64_t i = 0; i < batch_.requests[r].query_length; ++i) {
        for (std::int32_t head = 0; head < batch_.query_heads; ++head) {
          compare_row({static_cast<std::int64_t>(r), i, head});
        }
      }
    }
    return result_;
  }

 private:
  void compare_row(const RowPosition& position) {
    const auto request = static_cast<std::size_t>(position.request);
    const auto row =
        static_cast<std::size_t>(expected_.first_row[request] + position.token * batch_.query_heads + position.head);
    const double* const out = expected_.out.data() + row * static_cast<std::size_t>(batch_.head_dim_vo);
    if (std::isnan(expected_.lse[row]) || !std::isfinite(expected_.magnitude[row])) {
      ++result_.spoiled_rows;
      return;
    }
    ++result_.rows;
    const std::int64_t token = batch_.requests[request].query_start + position.token;
    const double out_ratio = compare_out(token, position.head, row, out);
    const double lse_ratio = compare_lse(token, position.head, row);
    if (out_ratio > result_.worst_out) {
      result_.worst_out = out_ratio;
      result_.worst_out_row = position;
    }
    if (lse_ratio > result_.worst_lse) {
      result_.worst_lse = lse_ratio;
      result_.worst_lse_row = position;
    }
    if (out_ratio <= 1 && lse_ratio <= 1) return;
    ++result_.failed_rows;
    if (result_.first_failure.empty()) describe(position, row, out, out_ratio, lse_ratio);
  }

  double computed_out(std::int64_t token, std::int32_t head, std::int64_t d) const {
    const TensorView& view = tensors_.out;
    return reference::load(view.dtype, view.data, token * view.strides[0] + head * view.strides[1] + d);
  }

  double computed_lse(std::int64_t token, std::int32_t head) const {
    const TensorView& view = tensors_.lse;
    return reference::load(view.dtype, view.data, token * view.strides[0] + head * view.strides[1]);
  }

  double tolerance(std::size_t row) const {
    if (!rounded_weights_) return out_tolerance(batch_.output_dtype);
    return out_tolerance(batch_.output_dtype, weights_dtype(batch_.input_dtype), expected_.visible[row]);
  }

  double compare_out(std::int64_t token, std::int32_t head, std::size_t row, const double* out) const {
    // Below its smallest normal number a format is as coarse as it is there: half a unit per element is rounding to
    // nearest.
    const double subnormal = 0.5 * reference::unit_in_last_place(format_, 0) * std::sqrt(batch_.head_dim_vo);
    const RowMagnitudes magnitudes{expected_.magnitude[row], expected_.score_magnitude[row],
                                   expected_.value_magnitude[row]};
    const double small_weights = rounded_weights_ ? small_weight_error(weights_dtype(batch_.input_dtype)) : 0;
    const double allowed = magnitudes.out == 0 ? 0
                                               : allowed_error(magnitudes, tolerance(row), rounded_weights_,
                                                               small_weights, expected_.visible[row]) +
                                                     subnormal;
    // With one visible key and no sink the output is that key's value, to one unit in the last place per element.
    const bool one_key = expected_.visible[row] == 1 && !tensors_.sinks.present();
    double squares = 0;
    double worst_element = 0;
    for (std::int64_t d = 0; d < batch_.head_dim_vo; ++d) {
      const double wanted = out[d];
      const double error = error_of(computed_out(token, head, d), wanted, allowed, format_);
      squares += error * error;
      if (one_key && error != 0) {
        worst_element = std::max(worst_element, ratio(error, reference::unit_in_last_place(format_, wanted)));
      }
    }
    return std::max(ratio(std::sqrt(squares), allowed), worst_element);
  }

  /// Of a number that is stored in `format`.
  static double error_of(double computed, double wanted, double allowed, const reference::FloatFormat& format) {
    if (computed == wanted) return 0;  // infinities as well
    // An infinity is right where the wanted number rounds to one.
    const bool may_overflow = std::fabs(wanted) + allowed >= reference::largest(format);
    if (std::isinf(computed) && may_overflow && std::signbit(computed) == std::signbit(wanted)) return 0;
    const double error = std::fabs(computed - wanted);
    return std::isnan(error) ? kInfinity : error;
  }

  double compare_lse(std::int64_t token, std::int32_t head, std::size_t row) const {
    if (!tensors_.lse.present()) return 0;
    const double wanted = expected_.lse[row];
    const double computed = computed_lse(token, head);
    const double allowed = lse_tolerance(expected_.max_score[row], expected_.score_magnitude[row]);
    return ratio(error_of(computed, wanted, allowed, reference::float_format(Dtype::kFloat32)), allowed);
  }

  void describe(const RowPosition& position, std::size_t row, const double* out, double out_ratio, double lse_ratio) {
    const std::int64_t token = batch_.requests[static_cast<std::size_t>(position.request)].query_start + position.token;
    const std::string where =
        fmt::format("request {}, query row {}, head {}", position.request, position.token, position.head);
    if (out_ratio <= 1) {
      result_.first_failure = fmt::format("{}: lse = {:.9g} instead of {:.9g}, {:.3g} times the allowed error", where,
                                          computed_lse(token, position.head), expected_.lse[row], lse_ratio);
      return;
    }
    std::int64_t worst = 0;
    double worst_error = -1;
    for (std::int64_t d = 0; d < batch_.head_dim_vo; ++d) {
      const double error = error_of(computed_out(token, position.head, d), out[d], 0, format_);
      if (error > worst_error) {
        worst_error = error;
        worst = d;
      }
    }
    result_.first_failure =
        fmt::format("{}: out is {:.3g} times the allowed error away; worst element [{}] = {:.9g} instead of {:.9g}",
                    where, out_ratio, worst, computed_out(token, position.head, worst), out[worst]);
  }

  const RaggedBatch& batch_;
  const Tensors& tensors_;
  const reference::Result& expected_;
  const reference::FloatFormat format_;
  const bool rounded_weights_;
  Comparison result_;
};

}  // namespace

Comparison compare(const RaggedBatch& batch, const Tensors& tensors, const reference::Result& expected,
                   bool rounded_weights) {
  return RowComparer(batch, tensors, expected, rounded_weights).compare();
}

}  // namespace varlen::check

namespace varlen {

Comparison compare_with_reference(const AttentionSpec& spec, const Requests& requests, const Tensors& tensors,
                                  const CompareOptions& options) {
  const RaggedBatch ragged = canonical(spec, requests);
  validate_tensors(ragged, tensors);
  const reference::Result expected = reference::attention(ragged, tensors, options.progress);
  return check::compare(ragged, tensors, expected, check::rounds_weights(options.computed_by));
}

}  // namespace varlen
