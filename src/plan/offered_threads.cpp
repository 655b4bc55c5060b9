#include "plan/offered_threads.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "plan/cpu_quota.hpp"
#include "plan/target.hpp"

namespace varlen {
namespace {

/// CPUs in the calling thread's set; 0 if the system does not tell.
std::int32_t allowed_cpus() {
  constexpr std::size_t kMostSets = 1024;                     // of CPU_SETSIZE = 1024 CPUs each
  for (std::size_t sets = 1; sets <= kMostSets; sets *= 2) {  // the kernel refuses less than it has room for itself
    std::vector<cpu_set_t> cpus(sets);
    if (sched_getaffinity(0, sets * sizeof(cpu_set_t), cpus.data()) == 0) {
      return CPU_COUNT_S(sets * sizeof(cpu_set_t), cpus.data());
    }
  }
  return 0;
}

/// CPUs of the caller's set and what the process's control groups grant of them; 0: unknown, or no limit.
struct Offer {
  std::int32_t cpus = 0;
  std::int32_t quota = 0;

  bool is_limited() const { return quota > 0 && quota < cpus; }
};

Offer offer() {
  static const std::int32_t kQuota = cpu_quota();
  const std::int32_t cpus = allowed_cpus();
  return {cpus > 0 ? cpus : static_cast<std::int32_t>(std::thread::hardware_concurrency()), kQuota};
}

/// The setting of the environment as far as it matters here: how many threads a program's own level of parallelism has.
struct Setting {
  std::int32_t count = 0;              ///< 0: there is none that is valid
  std::optional<std::string> refused;  ///< a value that is no number of threads
};

/// A number from 1 up, alone or as the first of a list, one for each level of nesting. Spaces may surround it.
Setting read_setting(const char* text) {
  if (text == nullptr) {
    return {};
  }
  constexpr std::string_view kSpaces = " \t";
  std::string_view number(text);
  number = number.substr(0, number.find(','));
  number.remove_prefix(std::min(number.find_first_not_of(kSpaces), number.size()));
  number = number.substr(0, number.find_last_not_of(kSpaces) + 1);
  std::int32_t count = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), count);
  if (error != std::errc{} || end != number.data() + number.size() || count < 1) {
    return {0, std::string(text)};
  }
  return {std::min(count, kMaxWorkers), std::nullopt};
}

/// Text of the environment for one line of a terminal: bounded, and what is not ASCII as \xNN.
std::string printable(const std::string& text) {
  constexpr std::size_t kMost = 32;
  std::string result;
  for (const char character : text.substr(0, kMost)) {
    const bool plain = character >= ' ' && character <= '~';
    result += plain ? std::string(1, character) : fmt::format("\\x{:02x}", static_cast<unsigned char>(character));
  }
  return text.size() > kMost ? result + "…" : result;
}

const Setting& setting() {
  static const Setting read = read_setting(std::getenv("OMP_NUM_THREADS"));
  return read;
}

}  // namespace

std::int32_t offered_threads() {
  if (setting().count > 0) {
    return setting().count;
  }
  const Offer offered = offer();
  return std::clamp(offered.is_limited() ? offered.quota : offered.cpus, 1, kMaxWorkers);
}

std::string offered_threads_source() {
  if (setting().count > 0) {
    return "OMP_NUM_THREADS";
  }
  std::string source =
      offer().is_limited() ? "the CPUs that the control group grants" : "the CPUs that the process may use";
  if (setting().refused) {
    source += fmt::format("; OMP_NUM_THREADS = {} is not a number of threads", printable(*setting().refused));
  }
  return source;
}

}  // namespace varlen
