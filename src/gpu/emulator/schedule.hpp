// Which warp of a block goes on, and which copy lands next: one of the orders that a GPU may take, chosen by a policy
// and a seed. Knows warps by number and copies by their place in a queue, nothing of what they do.
//
// A warp has turns. In a turn each of its lanes does some operations that others can observe, lowest lane first or
// another, so that lanes stay about as close together as those of a converged warp do; then a warp is chosen again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "varlen/emulator.hpp"

namespace varlen::gpu::emulator {

/// SplitMix64: any seed is a good one, and the numbers are the same on every machine.
class RandomNumbers {
 public:
  explicit RandomNumbers(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept;
  /// 0 ≤ result < bound.
  std::uint32_t below(std::uint32_t bound) noexcept { return static_cast<std::uint32_t>(next() % bound); }
  bool one_in(std::uint32_t times) noexcept { return below(times) == 0; }

 private:
  std::uint64_t state_;
};

/// A turn of a warp.
struct Turn {
  int warp;
  std::uint8_t operations;  // of each lane
  std::uint8_t first_lane;
};

class Scheduler {
 public:
  /// Whether copies land as soon as they are issued, when nobody can go on without them, or at any time.
  enum class Landing : std::uint8_t { kEarly, kLate, kUnordered };

  Scheduler() = default;
  explicit Scheduler(const Schedule& schedule) : schedule_(schedule) {}

  bool is_fixed() const { return schedule_.policy == SchedulePolicy::kFixed; }
  /// `launch` counts launches of one machine.
  void begin_block(int launch, int block, int warps);
  Landing landing() const { return landing_; }

  /// Of the warps whose bits are set, at least one.
  Turn next_turn(std::uint32_t runnable);
  /// kUnordered, before a turn: does a copy land now?
  bool lands_one() { return random_.one_in(3); }
  /// Which of `copies` in flight lands next, oldest first.
  std::size_t next_copy(std::size_t copies) {
    return landing_ == Landing::kUnordered ? random_.below(static_cast<std::uint32_t>(copies)) : 0;
  }

  /// Who draws which of `draws` numbers: each block's rise.
  void share_draws(std::int64_t draws, std::vector<std::deque<std::int64_t>>& blocks) const;

 private:
  enum class Order : std::uint8_t { kRandom, kPriority, kStarve };

  int random_warp(std::uint32_t runnable);
  int most_urgent_warp(std::uint32_t runnable);

  Schedule schedule_;
  RandomNumbers random_{0};
  Order order_ = Order::kRandom;
  Landing landing_ = Landing::kLate;
  std::vector<std::int64_t> priorities_;  // of warps
  std::vector<std::uint64_t>
      change_points_;  // turns after which the running warp becomes the least urgent, latest first
  std::int64_t least_priority_ = 0;
  std::uint64_t turns_ = 0;        // of this block
  std::uint64_t usual_turns_ = 0;  // of the block before
  std::uint32_t starved_ = 0;      // warps
};

}  // namespace varlen::gpu::emulator
