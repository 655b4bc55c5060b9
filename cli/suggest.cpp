#include "cli/suggest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "cli/text.hpp"

namespace varlen::cli {
namespace {

// Rows of the table of distances between beginnings of both words; the row before the last is for swapped neighbours.
class Distances {
 public:
  explicit Distances(std::vector<std::size_t> first) : row_(std::move(first)) {}

  // Continues with one more character of `from`. `i` counts from 1.
  void step(std::string_view from, std::string_view to, std::size_t i) {
    std::vector<std::size_t> next(row_.size());
    next[0] = i;
    for (std::size_t j = 1; j < next.size(); ++j) {
      const std::size_t replaced = row_[j - 1] + (from[i - 1] == to[j - 1] ? 0 : 1);
      next[j] = std::min({row_[j] + 1, next[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
      if (swapped) next[j] = std::min(next[j], before_[j - 2] + 1);
    }
    before_ = std::exchange(row_, std::move(next));
  }
  const std::vector<std::size_t>& row() const { return row_; }

 private:
  std::vector<std::size_t> before_;
  std::vector<std::size_t> row_;
};

std::vector<std::size_t> last_row(std::string_view from, std::string_view to, std::vector<std::size_t> first) {
  Distances distances(std::move(first));
  for (std::size_t i = 1; i <= from.size(); ++i) distances.step(from, to, i);
  return distances.row();
}

}  // namespace

std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> first(to.size() + 1);
  std::iota(first.begin(), first.end(), std::size_t{0});
  return last_row(from, to, std::move(first)).back();
}

std::size_t distance_to_piece(std::string_view word, std::string_view whole) {
  // The piece may begin and end anywhere: neither end costs anything.
  const std::vector<std::size_t> last = last_row(word, whole, std::vector<std::size_t>(whole.size() + 1, 0));
  return *std::min_element(last.begin(), last.end());
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  constexpr std::size_t kLongestWord = 64;  // a longer one is no typing error
  if (word.size() > kLongestWord) return "";
  const std::size_t near = std::max<std::size_t>(1, word.size() / 3);
  const std::string* best = nullptr;
  std::size_t least = near + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < least) {
      least = distance;
      best = &candidate;
    }
  }
  return best == nullptr ? "" : fmt::format(" (did you mean '{}'?)", *best);
}

CLI::Validator one_of(const std::vector<std::string>& values) {
  const auto check = [values](const std::string& value) -> std::string {
    if (std::find(values.begin(), values.end(), value) != values.end()) return {};
    return fmt::format("{} is not one of {}{}", in_quotes(value), fmt::join(values, ", "), did_you_mean(value, values));
  };
  return CLI::Validator(check, fmt::format("{}", fmt::join(values, "|")), "one_of");
}

}  // namespace varlen::cli
