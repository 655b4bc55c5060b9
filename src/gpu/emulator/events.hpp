// What the warps of the running block did, in order: the last events of each, or all of them for a timeline.
//
// Lanes of a warp come one after another and do the same: an event is what some lanes of a warp did together, and
// repetitions of it. Its step is when the first of them did it; every event of a block has a step of its own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "gpu/emulator/barrier_names.hpp"

namespace varlen::gpu::emulator {

enum class Operation : std::uint8_t;

struct Event {
  enum class Kind : std::uint8_t { kDoes, kWaits };

  std::uint64_t step;
  std::uint32_t lanes;    // bits
  std::uint32_t times;    // together
  std::uint32_t subject;  // barrier, or group of products; 0 for other operations
  std::uint32_t value;    // bytes, parity, address, …: of the first lane
  Operation operation;
  Kind kind;
  bool repeats;  // several in a row are one event
};
/// "arrive at key_full[1], expecting 1024 bytes". `names` may be null.
std::string describe(const Event& event, const BarrierNames* names);

/// The key of named barrier `id` among those of barriers, which are addresses in shared memory.
constexpr std::uint32_t named_barrier(int id) { return 0x80000000U + static_cast<std::uint32_t>(id); }
/// "key_full[1]", where `names` (which may be null) does not know it "the barrier at shared byte 64", "barrier 3"
std::string barrier_name(std::uint32_t barrier, const BarrierNames* names);

/// What came to a barrier: an arrival of a warp, or a copy.
struct Arrival {
  std::uint64_t step;
  int warp;
  bool is_copy;    // that `warp` asked for
  bool completes;  // a phase
};
struct BarrierHistory {
  int arrivals = 0;  // of a phase, 0: named
  std::uint32_t phases = 0;
  std::vector<Arrival> arrived;  // the newest, or all
};

/// Copies that landed together.
struct Landing {
  std::uint64_t issued;
  std::uint64_t landed;  // 0: never
  std::int64_t bytes;
  std::uint32_t barrier;
  int thread;
};

/// Of one block.
struct Record {
  int block = 0;
  std::vector<std::vector<Event>> warps;  // by rising step
  std::unordered_map<std::uint32_t, BarrierHistory> barriers;
  std::vector<Landing> landings;
  std::uint64_t steps = 0;
  const BarrierNames* names = nullptr;
};

class EventLog {
 public:
  /// `all`: not only the last events, but no more than kMost of a warp. `names`, which may be null, outlives the log
  /// and its records.
  void begin_block(int block, int warps, bool all, const BarrierNames* names = nullptr);
  /// Returns the event's step.
  std::uint64_t add(int thread, Event::Kind kind, Operation operation, std::uint32_t subject, std::uint32_t value) {
    Warp& warp = warps_[static_cast<std::size_t>(thread) / kLanes];
    const std::size_t lane = static_cast<std::size_t>(thread) % kLanes;
    const std::uint64_t position = warp.position[lane];
    // Mostly its lane does the same once more, or what another lane has done before.
    if (position > warp.common && warp.end - position < ring_ - 1) {
      Event& last = at(warp, position - 1);
      if (last.repeats && last.operation == operation && last.subject == subject && last.kind == kind) {
        ++last.times;
        return last.step;
      }
      if (position < warp.end) {
        Event& next = at(warp, position);
        if (next.operation == operation && next.subject == subject && next.kind == kind &&
            (next.lanes >> lane & 1U) == 0) {
          next.lanes |= 1U << lane;
          ++next.times;
          warp.position[lane] = position + 1;
          return next.step;
        }
      }
    }
    return find_or_append(thread, kind, operation, subject, value);
  }
  /// By a whole warp.
  void add_warp(int warp, Operation operation);

  void init_barrier(std::uint32_t barrier, int arrivals) { barriers_[barrier].arrivals = arrivals; }
  /// `phases` are complete now.
  void arrive(std::uint32_t barrier, int thread, bool is_copy, std::uint32_t phases);
  void arrive_named(int id, int thread, bool completes) {
    const std::uint32_t barrier = named_barrier(id);
    arrive(barrier, thread, false, barriers_[barrier].phases + (completes ? 1 : 0));
  }
  void land(const Landing& landing);

  /// The last events of a warp, one line each.
  std::vector<std::string> last_events(int warp, std::size_t count) const;
  const BarrierHistory* barrier(std::uint32_t barrier) const;
  std::uint64_t steps() const { return steps_; }
  /// Everything since begin_block().
  Record take();

  static constexpr std::size_t kMost = std::size_t{1} << 14;

 private:
  static constexpr std::size_t kLast = 64;
  static constexpr std::size_t kLastArrivals = 16;
  static constexpr std::size_t kLanes = 32;
  struct Warp {
    std::vector<Event> events;  // a ring
    std::uint64_t end = 0;
    std::uint64_t common = 0;                      // where no lane is behind
    std::array<std::uint64_t, kLanes> position{};  // behind each lane's last event
  };

  Event& at(Warp& warp, std::uint64_t index) const { return warp.events[index & (ring_ - 1)]; }
  const Event& at(const Warp& warp, std::uint64_t index) const { return warp.events[index & (ring_ - 1)]; }
  std::uint64_t find_or_append(int thread, Event::Kind kind, Operation operation, std::uint32_t subject,
                               std::uint32_t value);
  std::uint64_t append(Warp& warp, const Event& event);

  int block_ = 0;
  bool all_ = false;
  const BarrierNames* names_ = nullptr;
  std::uint64_t ring_ = kLast;
  std::uint64_t steps_ = 0;
  std::vector<Warp> warps_;
  std::unordered_map<std::uint32_t, BarrierHistory> barriers_;
  std::vector<Landing> landings_;
};

}  // namespace varlen::gpu::emulator
