// Text for people: tables, numbers with units, a progress line on a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace varlen::cli {

/// Columns as wide as their widest cell. The first is aligned left, the others right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// One line per row, ending in a newline.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "17.3 us", "4.21 ms", "1.50 s".
std::string show_seconds(double seconds);
/// "1.72 GFLOP", "634 MB": three digits and the decimal prefix of `unit`.
std::string show_scaled(double value, const char* unit);

/// The middle value, or the mean of both; 0 if there is none.
double median(std::vector<double> values);

/// The square root of the mean squared distance to the mean; 0 for fewer than two values.
double standard_deviation(const std::vector<double>& values);

/// "[=====     ] 5/10".
std::string progress_bar(std::int64_t done, std::int64_t total);

/// A line on stderr that is overwritten; nothing at all unless stderr is a terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  void show(const std::string& text);
  /// Shows what `text` returns, but asks for it ten times a second at most.
  void show_at_times(const std::function<std::string()>& text);
  void clear();

 private:
  bool terminal_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace varlen::cli
