#include "gpu/emulator/schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>
#include <utility>

namespace varlen {
namespace {

constexpr const char* kPolicyNames[] = {"fixed", "random", "priority", "starve", "early", "late", "unordered"};
static_assert(std::size(kPolicyNames) == kSchedulePolicies);

}  // namespace

const char* schedule_policy_name(SchedulePolicy policy) noexcept {
  const auto index = static_cast<std::size_t>(policy);
  return index < std::size(kPolicyNames) ? kPolicyNames[index] : "unknown";
}

SchedulePolicy schedule_policy_named(const std::string& name) {
  for (std::size_t p = 0; p < std::size(kPolicyNames); ++p) {
    if (name == kPolicyNames[p]) return static_cast<SchedulePolicy>(p);
  }
  throw Error(ErrorCode::kInvalidArgument, "schedule", Error::kNoIndex, name,
              fmt::format("schedule = {} is not one of fixed, random, priority, starve, early, late, unordered", name));
}

namespace gpu::emulator {
namespace {

constexpr int kWarpgroupWarps = 4;
constexpr std::uint32_t kLanes = 32;
// Probabilistic concurrency testing (Burckhardt et al., ASPLOS 2010): d − 1 changes of priority find a bug of depth d
// with a probability of at least 1 / (n k^(d − 1)), in n warps that take k turns.
constexpr int kPriorityChanges = 3;
constexpr std::uint64_t kTurnsOfFirstBlock = 2000;

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  return RandomNumbers(a ^ (b + 1) * 0x9E3779B97F4A7C15U).next();
}

}  // namespace

std::uint64_t RandomNumbers::next() noexcept {
  state_ += 0x9E3779B97F4A7C15U;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

void Scheduler::begin_block(int launch, int block, int warps) {
  if (is_fixed()) return;
  const auto place = static_cast<std::uint64_t>(launch) << 32 | static_cast<std::uint32_t>(block);
  random_ = RandomNumbers(mixed(mixed(schedule_.seed, static_cast<std::uint64_t>(schedule_.policy)), place));
  constexpr Landing kLandings[] = {Landing::kEarly, Landing::kLate, Landing::kUnordered};
  landing_ = kLandings[random_.below(3)];
  order_ = Order::kRandom;
  usual_turns_ = turns_ == 0 ? kTurnsOfFirstBlock : turns_;
  turns_ = 0;
  switch (schedule_.policy) {
    case SchedulePolicy::kPriority:
      order_ = Order::kPriority;
      priorities_.resize(static_cast<std::size_t>(warps));
      std::iota(priorities_.begin(), priorities_.end(), 1);
      for (std::size_t w = priorities_.size(); w > 1; --w) {
        std::swap(priorities_[w - 1], priorities_[random_.below(static_cast<std::uint32_t>(w))]);
      }
      least_priority_ = 0;
      change_points_.clear();
      for (int i = 0; i < kPriorityChanges; ++i) change_points_.push_back(random_.next() % usual_turns_);
      std::sort(change_points_.begin(), change_points_.end(), std::greater<>());
      break;
    case SchedulePolicy::kStarve: {
      order_ = Order::kStarve;
      const int groups = warps % kWarpgroupWarps == 0 && warps > kWarpgroupWarps ? warps / kWarpgroupWarps : 0;
      const auto turn = static_cast<int>((schedule_.seed + static_cast<std::uint64_t>(block)) %
                                         static_cast<std::uint64_t>(warps + groups));
      starved_ = turn < warps ? 1U << turn : 0xFU << kWarpgroupWarps * (turn - warps);
      break;
    }
    case SchedulePolicy::kEarly:
      landing_ = Landing::kEarly;
      break;
    case SchedulePolicy::kLate:
      landing_ = Landing::kLate;
      break;
    case SchedulePolicy::kUnordered:
      landing_ = Landing::kUnordered;
      break;
    default:
      break;
  }
}

int Scheduler::random_warp(std::uint32_t runnable) {
  for (std::uint32_t skip = random_.below(static_cast<std::uint32_t>(std::popcount(runnable))); skip > 0; --skip) {
    runnable &= runnable - 1;
  }
  return std::countr_zero(runnable);
}

int Scheduler::most_urgent_warp(std::uint32_t runnable) {
  const auto choose = [&] {
    int best = std::countr_zero(runnable);
    for (std::uint32_t rest = runnable; rest != 0; rest &= rest - 1) {
      const int warp = std::countr_zero(rest);
      if (priorities_[static_cast<std::size_t>(warp)] > priorities_[static_cast<std::size_t>(best)]) best = warp;
    }
    return best;
  };
  const int warp = choose();
  if (change_points_.empty() || turns_ < change_points_.back()) return warp;
  change_points_.pop_back();
  priorities_[static_cast<std::size_t>(warp)] = --least_priority_;
  return choose();
}

Turn Scheduler::next_turn(std::uint32_t runnable) {
  ++turns_;
  const auto first_lane = static_cast<std::uint8_t>(random_.one_in(2) ? 0 : random_.below(kLanes));
  switch (order_) {
    case Order::kPriority:  // one operation: it may let a warp of higher priority go on
      return {most_urgent_warp(runnable), 1, first_lane};
    case Order::kStarve: {
      const std::uint32_t others = runnable & ~starved_;
      const int warp = random_warp(others != 0 ? others : runnable);
      return {warp, static_cast<std::uint8_t>(others != 0 ? 1 << random_.below(5) : 1), first_lane};
    }
    default:
      return {random_warp(runnable), static_cast<std::uint8_t>(1 << random_.below(5)), first_lane};
  }
}

void Scheduler::share_draws(std::int64_t draws, std::vector<std::deque<std::int64_t>>& blocks) const {
  RandomNumbers random(mixed(mixed(schedule_.seed, static_cast<std::uint64_t>(schedule_.policy)), 0xD4A3));
  const auto count = static_cast<std::uint32_t>(blocks.size());
  // The smallest of some random numbers: the more there are, the more of the draws are those of a few fast blocks.
  const std::uint32_t fastest = random.below(count);
  const std::uint32_t contrast = random.below(4);
  for (std::int64_t drawn = 0; drawn < draws; ++drawn) {
    std::uint32_t block = random.below(count);
    for (std::uint32_t i = 0; i < contrast; ++i) block = std::min(block, random.below(count));
    blocks[(fastest + block) % count].push_back(drawn);
  }
}

}  // namespace gpu::emulator
}  // namespace varlen
