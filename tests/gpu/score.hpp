// What a subcommand found, and how it says so.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "checks.hpp"

namespace varlen::gpu_check {

/// Seconds since the program started.
double seconds_now();

class Score {
 public:
  explicit Score(const Options& options) : deadline_(seconds_now() + options.seconds) {}

  bool out_of_time() const { return seconds_now() > deadline_; }
  void pass() { ++outcome_.passed; }
  /// Prints the finding at once.
  void fail(const std::string& what);
  /// fail() unless `finding` is empty, else pass(). What was checked stands before the finding.
  void add(const std::string& name, const std::string& finding);
  /// Adds what `check` returns. An exception is a finding as well. False if no more can be found out on this machine.
  bool attempt(const std::string& name, const std::function<std::string()>& check);
  /// Attempts a check for `options.count` seeds from `options.seed` on, while there is time. Returns how many.
  std::int64_t attempt_seeds(const Options& options, const char* command,
                             const std::function<std::string(std::uint64_t seed)>& check);
  /// Prints the last line.
  Outcome finish() const;

 private:
  Outcome outcome_;
  const double deadline_;
};

/// "sm_80" or "sm_90a".
const char* name_of(GpuKernel gpu_kernel);

}  // namespace varlen::gpu_check
