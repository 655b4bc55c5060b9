#include "batch/footprint.hpp"

#include <algorithm>
#include <numeric>

namespace varlen {
namespace {

/// Products and sums of numbers up to this fit 64 bits; no address space is larger.
constexpr std::int64_t kMaxSpan = std::int64_t{1} << 60;

/// Puts `value` among the first `count` ones, which are sorted by falling `size(value)`.
template <class Value, std::size_t kRoom, class Size>
void insert_by_size(std::array<Value, kRoom>& values, std::size_t& count, const Value& value, const Size& size) {
  std::size_t place = count++;
  for (; place > 0 && size(values[place - 1]) < size(value); --place) values[place] = values[place - 1];
  values[place] = value;
}

/// Is there an index of every axis of both views such that their runs meet? The distance from b's run to a's is
/// base + Σ coefficient · x, each x within its limits; the runs meet where it is from −(a's run − 1) to b's run − 1.
class MeetingSearch {
 public:
  MeetingSearch(const Footprint& a, const Footprint& b) : low_(1 - a.run), high_(b.run - 1) {
    for (int i = 0; i < a.axis_count; ++i) add(a.axes[static_cast<std::size_t>(i)], 1);
    for (int i = 0; i < b.axis_count; ++i) add(b.axes[static_cast<std::size_t>(i)], -1);
    // What the terms from one on can add, and the greatest number that all of it is a multiple of.
    for (std::size_t i = count_; i-- > 0;) {
      const Term& term = terms_[i];
      rest_[i] = {rest_[i + 1].least + term.coefficient * term.low, rest_[i + 1].most + term.coefficient * term.high,
                  std::gcd(rest_[i + 1].divisor, term.coefficient)};
    }
  }

  bool found(std::int64_t base) { return found_from(0, base); }

 private:
  /// coefficient · x for x from `low` to `high`.
  struct Term {
    std::int64_t coefficient;
    std::int64_t low;
    std::int64_t high;
  };
  struct Rest {
    std::int64_t least = 0;
    std::int64_t most = 0;
    std::int64_t divisor = 0;
  };

  static constexpr int kMaxSteps = 4096;

  /// Equal strides of the two views make one term: only the difference of the indices counts.
  void add(const Footprint::Axis& axis, int sign) {
    auto* const end = terms_.begin() + count_;
    auto* term = std::find_if(terms_.begin(), end, [&](const Term& t) { return t.coefficient == axis.stride; });
    Term sum = term == end ? Term{axis.stride, 0, 0} : *term;
    (sign > 0 ? sum.high : sum.low) += sign * (axis.count - 1);
    if (term == end) {
      insert_by_size(terms_, count_, sum, [](const Term& t) { return t.coefficient; });
    } else {
      *term = sum;
    }
  }

  static std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

  /// Some number from low_ to high_ that is `base` plus a multiple of `divisor`?
  bool is_reachable(std::int64_t base, std::int64_t divisor) const {
    if (divisor == 0) return low_ <= base && base <= high_;
    return floor_div(high_ - base, divisor) * divisor >= low_ - base;
  }

  bool found_from(std::size_t i, std::int64_t base) {
    const Rest& rest = rest_[i];
    if (base + rest.most < low_ || base + rest.least > high_ || !is_reachable(base, rest.divisor)) return false;
    if (i == count_) return true;
    const Term& term = terms_[i];
    const Rest& after = rest_[i + 1];
    const std::int64_t first = std::max(term.low, -floor_div(base + after.most - low_, term.coefficient));
    const std::int64_t last = std::min(term.high, floor_div(high_ - base - after.least, term.coefficient));
    for (std::int64_t x = first; x <= last; ++x) {
      if (++steps_ > kMaxSteps || found_from(i + 1, base + x * term.coefficient)) return true;
    }
    return false;
  }

  static constexpr std::size_t kMaxTerms = std::size_t{2} * TensorView::kMaxRank;

  const std::int64_t low_;
  const std::int64_t high_;
  std::array<Term, kMaxTerms> terms_{};
  std::size_t count_ = 0;
  std::array<Rest, kMaxTerms + 1> rest_{};
  int steps_ = 0;
};

}  // namespace

Footprint footprint(const TensorView& view) {
  Footprint result;
  const std::int64_t element = dtype_size(view.dtype);
  std::array<Footprint::Axis, TensorView::kMaxRank> axes{};
  std::size_t count = 0;
  for (std::size_t d = 0; d < static_cast<std::size_t>(view.rank); ++d) {
    if (view.shape[d] == 0) return result;
    if (view.shape[d] <= 1 || view.strides[d] == 0) continue;
    insert_by_size(axes, count, {view.shape[d], view.strides[d] * element},
                   [](const Footprint::Axis& axis) { return -axis.stride; });
  }
  result.begin = reinterpret_cast<std::uintptr_t>(view.data);
  result.run = element;
  for (std::size_t i = 0; i < count; ++i) {
    const Footprint::Axis& axis = axes[i];
    Footprint::Axis* const inner =
        result.axis_count == 0 ? nullptr : &result.axes[static_cast<std::size_t>(result.axis_count - 1)];
    if (axis.stride <= result.run) {
      result.run += (axis.count - 1) * axis.stride;  // runs that touch or overlap are one
    } else if (inner != nullptr && axis.stride == inner->stride * inner->count) {
      inner->count *= axis.count;  // goes on where the inner axis ends
    } else {
      result.axes[static_cast<std::size_t>(result.axis_count++)] = axis;
    }
  }
  result.bytes = result.run;
  for (int i = 0; i < result.axis_count; ++i) {
    const Footprint::Axis& axis = result.axes[static_cast<std::size_t>(i)];
    result.bytes += (axis.count - 1) * axis.stride;
  }
  return result;
}

Footprint footprint(const void* data, std::int64_t bytes) {
  return {reinterpret_cast<std::uintptr_t>(data), bytes, bytes, {}, 0};
}

bool overlap(const Footprint& a, const Footprint& b) {
  if (a.bytes == 0 || b.bytes == 0) return false;
  const auto size = [](const Footprint& view) { return static_cast<std::uintptr_t>(view.bytes); };
  // Differences of addresses, as sums might wrap.
  if (a.begin >= b.begin ? a.begin - b.begin >= size(b) : b.begin - a.begin >= size(a)) return false;
  if (a.bytes > kMaxSpan || b.bytes > kMaxSpan) return true;
  return MeetingSearch(a, b).found(static_cast<std::int64_t>(a.begin - b.begin));
}

}  // namespace varlen
