// How long the random and exhaustive tests run: VARLEN_TEST_EFFORT in percent of a normal run, 100 if it is not set.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace varlen::test {

inline std::int64_t scaled_by_effort(std::int64_t count) {
  const char* percent = std::getenv("VARLEN_TEST_EFFORT");
  return percent == nullptr ? count : std::max<std::int64_t>(1, count * std::atoll(percent) / 100);
}

/// Less than a normal run, as under a sanitizer: what is there once for each of many targets runs for some of them.
inline bool effort_is_reduced() { return scaled_by_effort(100) < 100; }

}  // namespace varlen::test
