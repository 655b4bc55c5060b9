// One row of attention from its definition in float64, held against what was computed: the numerics contract.
#pragma once

#include <cstdint>

#include "check/tolerance.hpp"
#include "oracle/problem.hpp"

namespace varlen::oracle {

inline constexpr int kLongestRow = 576;   // head dims
inline constexpr int kKeysAtATime = 128;  // whose weights are kept

/// Memory that the threads of a team share.
struct Scratch {
  double query[kLongestRow];
  double out[kLongestRow];
  double absolute[kLongestRow];    // Σ pⱼ |vⱼ|
  double unweighted[kLongestRow];  // Σ |vⱼ|
  double weights[kKeysAtATime];
};

/// How far a row is from right, as fractions of what is allowed: above 1 it is wrong.
struct Verdict {
  double out;
  double lse;
  bool spoiled;         // the row's own inputs make it NaN: nothing is asked of it
  std::int32_t result;  // the worse of Problem::outputs
};

ORACLE_HOST_DEVICE inline double larger(double a, double b) { return a < b ? b : a; }
ORACLE_HOST_DEVICE inline bool is_finite(double value) { return fabs(value) <= 0x1.fffffffffffffp1023; }
ORACLE_HOST_DEVICE inline double infinity() { return static_cast<double>(float_of_bits(0x7F800000U)); }

/// |computed − wanted| as a fraction of what is allowed.
ORACLE_HOST_DEVICE inline double fraction(double error, double allowed) {
  if (error == 0) return 0;
  return error != error ? infinity() : error / allowed;
}

/// The error of one element of the output.
ORACLE_HOST_DEVICE inline double element_error(Dtype dtype, double computed, double wanted, double allowed) {
  if (computed == wanted) return 0;  // infinities as well
  // An infinity is right where the wanted number rounds to one.
  const bool may_overflow = fabs(wanted) + allowed >= largest(dtype);
  if (fabs(computed) == infinity() && may_overflow && (computed < 0) == (wanted < 0)) return 0;
  const double error = fabs(computed - wanted);
  return error != error ? infinity() : error;
}

/// A `Team` is the threads that share one row, in warps of lanes: thread(), threads(), warp(), warps(), lane(),
/// lanes(); warp_sum(x) over a warp's lanes; sum(x) and max(x) over all threads; wait() for all of them. What comes
/// back from sums and maxima is the same for all that took part.
template <class Team>
class RowJudge {
 public:
  ORACLE_HOST_DEVICE RowJudge(const Problem& problem, std::int64_t row, Team& team, Scratch& scratch)
      : problem_(problem),
        team_(team),
        scratch_(scratch),
        position_(position_of(problem, row)),
        extent_(problem.extents[position_.request]),
        kv_head_(position_.head / (problem.query.heads / problem.key.heads)),
        range_(visible_keys(problem, extent_, position_.token)),
        scale_(problem.scale * scale_of(problem.query_scale, position_.request, kv_head_) *
               scale_of(problem.key_scale, position_.request, kv_head_)),
        value_scale_(scale_of(problem.value_scale, position_.request, kv_head_)) {}

  ORACLE_HOST_DEVICE Verdict judge() {
    compute();
    Verdict worst{0, 0, spoiled_ || !is_finite(magnitudes_.out), 0};
    if (worst.spoiled) return worst;
    for (std::int32_t result = 0; result < problem_.outputs; ++result) {
      const double out = compare_out(problem_.out[result]);
      const double lse = compare_lse(problem_.lse[result]);
      if (larger(out, lse) > larger(worst.out, worst.lse)) worst.result = result;
      worst.out = larger(worst.out, out);
      worst.lse = larger(worst.lse, lse);
    }
    return worst;
  }

 private:
  /// A score and its magnitude, |scale| · Σ_d |q_d k_d|.
  struct Score {
    double value;
    double magnitude;
  };
  /// The same for all lanes of a warp, which must all call it.
  ORACLE_HOST_DEVICE Score score(std::int64_t key) const {
    const std::int64_t first = key_row(problem_, problem_.key, position_.request, key, kv_head_);
    double sum = 0;
    double magnitude = 0;
    for (std::int32_t d = team_.lane(); d < problem_.key.width; d += team_.lanes()) {
      const double product = scratch_.query[d] * load(problem_.key.dtype, problem_.key.data, first + d);
      sum += product;
      magnitude += fabs(product);
    }
    const double product = scale_ * team_.warp_sum(sum);
    return {problem_.soft_cap > 0 ? problem_.soft_cap * tanh(product / problem_.soft_cap) : product,
            fabs(scale_) * team_.warp_sum(magnitude)};
  }

  ORACLE_HOST_DEVICE void compute() {
    const std::int64_t query = query_row(problem_, problem_.query, position_.request, position_.token, position_.head);
    for (std::int32_t d = team_.thread(); d < problem_.query.width; d += team_.threads()) {
      scratch_.query[d] = load(problem_.query.dtype, problem_.query.data, query + d);
    }
    for (std::int32_t d = team_.thread(); d < problem_.value.width; d += team_.threads()) {
      scratch_.out[d] = 0;
      scratch_.absolute[d] = 0;
      scratch_.unweighted[d] = 0;
    }
    team_.wait();

    const bool has_sink = problem_.sinks != nullptr;
    const double sink = has_sink ? static_cast<double>(problem_.sinks[position_.head]) : -infinity();
    double max = sink;
    double largest_score = has_sink && is_finite(sink) ? fabs(sink) : 0;
    double nans = sink != sink ? 1 : 0;
    double score_magnitude = 0;
    double max_of_keys = -infinity();
    for (std::int64_t key = range_.first + team_.warp(); key <= range_.last; key += team_.warps()) {
      const Score found = score(key);
      const double s = found.value;
      score_magnitude = larger(score_magnitude, found.magnitude);
      max = larger(max, s);
      max_of_keys = larger(max_of_keys, s);
      largest_score = larger(largest_score, fabs(s));
      if (s != s) nans = 1;
    }
    max = team_.max(max);
    largest_score_ = team_.max(largest_score);
    max_of_keys = team_.max(max_of_keys);
    magnitudes_.score = team_.max(score_magnitude);
    spoiled_ = team_.max(nans) > 0;
    magnitudes_.out = 0;
    magnitudes_.value = 0;
    lse_ = -infinity();
    if (spoiled_ || max == -infinity()) return;  // NaN, or an empty sum: zeros, and its logarithm

    double sum = exp(sink - max);
    for (std::int64_t begin = range_.first; begin <= range_.last; begin += kKeysAtATime) {
      const std::int64_t left = range_.last - begin + 1;
      const int keys = left < kKeysAtATime ? static_cast<int>(left) : kKeysAtATime;
      for (int j = team_.warp(); j < keys; j += team_.warps()) {
        const double s = score(begin + j).value;
        if (team_.lane() == 0) scratch_.weights[j] = exp(s - max);
      }
      team_.wait();
      for (int j = 0; j < keys; ++j) sum += scratch_.weights[j];
      add_values(begin, keys);
      team_.wait();
    }
    lse_ = max + log(sum);
    double squares = 0;
    double unweighted_squares = 0;
    for (std::int32_t d = team_.thread(); d < problem_.value.width; d += team_.threads()) {
      scratch_.out[d] /= sum;
      scratch_.absolute[d] /= sum;
      squares += scratch_.absolute[d] * scratch_.absolute[d];
      unweighted_squares += scratch_.unweighted[d] * scratch_.unweighted[d];
    }
    magnitudes_.out = sqrt(team_.sum(squares));
    magnitudes_.value = exp(max_of_keys - max) / sum * sqrt(team_.sum(unweighted_squares));
  }

  /// Each thread adds to elements of its own.
  ORACLE_HOST_DEVICE void add_values(std::int64_t begin, int keys) {
    for (int j = 0; j < keys; ++j) {
      const std::int64_t first = key_row(problem_, problem_.value, position_.request, begin + j, kv_head_);
      for (std::int32_t d = team_.thread(); d < problem_.value.width; d += team_.threads()) {
        const double value = value_scale_ * load(problem_.value.dtype, problem_.value.data, first + d);
        scratch_.out[d] += scratch_.weights[j] * value;
        scratch_.absolute[d] += scratch_.weights[j] * fabs(value);
        scratch_.unweighted[d] += fabs(value);
      }
    }
  }

  ORACLE_HOST_DEVICE double compare_out(const Rows& rows) const {
    // Below its smallest normal number a format is as coarse as it is there: half a unit an element.
    const double subnormal = 0.5 * unit_in_last_place(rows.dtype, 0) * sqrt(static_cast<double>(problem_.value.width));
    const std::int64_t visible = range_.last - range_.first + 1;
    const double tolerance = visible < check::kFewKeys ? problem_.few_keys_tolerance : problem_.out_tolerance;
    const double allowed =
        magnitudes_.out == 0
            ? 0
            : check::allowed_error(magnitudes_, tolerance, true, problem_.small_weight_error, visible) + subnormal;
    // With one visible key and no sink the output is that key's value, to one unit in the last place.
    const bool one_key = range_.first == range_.last && problem_.sinks == nullptr;
    const std::int64_t first = query_row(problem_, rows, position_.request, position_.token, position_.head);
    double squares = 0;
    double worst_element = 0;
    for (std::int32_t d = team_.thread(); d < rows.width; d += team_.threads()) {
      const double wanted = scratch_.out[d];
      const double error = element_error(rows.dtype, load(rows.dtype, rows.data, first + d), wanted, allowed);
      squares += error * error;
      if (one_key && error != 0) {
        worst_element = larger(worst_element, fraction(error, unit_in_last_place(rows.dtype, wanted)));
      }
    }
    const double of_row = fraction(sqrt(team_.sum(squares)), allowed);
    return larger(of_row, team_.max(worst_element));
  }

  ORACLE_HOST_DEVICE double compare_lse(const Rows& rows) const {
    if (rows.data == nullptr) return 0;
    const std::int64_t first = query_row(problem_, rows, position_.request, position_.token, 0);
    const double computed = load(rows.dtype, rows.data, first + position_.head);
    if (computed == lse_) return 0;  // infinities as well
    return fraction(fabs(computed - lse_), check::lse_tolerance(largest_score_, magnitudes_.score));
  }

  const Problem& problem_;
  Team& team_;
  Scratch& scratch_;
  const Position position_;
  const Extent extent_;
  const std::int32_t kv_head_;
  const KeyRange range_;
  const double scale_;        // of scores
  const double value_scale_;  // of values
  double largest_score_ = 0;
  bool spoiled_ = false;
  check::RowMagnitudes magnitudes_{0, 0, 0};
  double lse_ = 0;
};

}  // namespace varlen::oracle
