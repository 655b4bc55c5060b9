// How the emulator runs kernels: in which of the orders that a GPU may take, and what it tells of a run.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "varlen/error.hpp"
#include "varlen/export.hpp"

namespace varlen {

/// In which order the warps of a block go on, and when its asynchronous copies land. All but kFixed vary from block to
/// block and with the seed, which also decides who draws which item; the same policy and seed give the same run.
enum class SchedulePolicy : std::int32_t {
  kFixed = 0,     ///< a warp goes on until it waits; copies land when nobody can go on without them
  kRandom = 1,    ///< warps take turns at random; copies land early, late or unordered, block by block
  kPriority = 2,  ///< the warp of highest priority goes on, priorities are random and change at a few random points
  kStarve = 3,    ///< one warp or warpgroup goes on only when nobody else can; the next seed's is the next one
  kEarly = 4,     ///< as kRandom, and copies land as soon as they are issued
  kLate = 5,      ///< as kRandom, and copies land when nobody can go on without them
  kUnordered = 6  ///< as kRandom, and copies land at any time, in any order
};
inline constexpr std::int32_t kSchedulePolicies = 7;
VARLEN_API const char* schedule_policy_name(SchedulePolicy policy) noexcept;
/// "fixed", "random", "priority", "starve", "early", "late" or "unordered".
VARLEN_API SchedulePolicy schedule_policy_named(const std::string& name);

struct Schedule {
  SchedulePolicy policy = SchedulePolicy::kFixed;
  std::uint64_t seed = 1;

  friend bool operator==(const Schedule&, const Schedule&) = default;
};

struct EmulatorOptions {
  Schedule schedule = {};
  /// If not null: where a page of HTML goes that shows what happened when, also if the run fails.
  std::string* timeline = nullptr;

  friend bool operator==(const EmulatorOptions&, const EmulatorOptions&) = default;
};

/// What the emulator throws for a kernel that does something wrong: kInternal, one line, and what happened before.
class VARLEN_API EmulatorFault : public Error {
 public:
  EmulatorFault(const Error& error, std::vector<std::string> events)
      : Error(error.code(), error.field(), error.index(), error.value(), error.what()), events_(std::move(events)) {}

  /// The last events of the parties to the fault, one line each.
  const std::vector<std::string>& events() const noexcept { return events_; }

 private:
  std::vector<std::string> events_;
};

}  // namespace varlen
