#include "gpu/emulator/events.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "gpu/emulator/operations.hpp"

namespace varlen::gpu::emulator {
namespace {

/// Several of them in a row are one event.
bool is_repeatable(Operation operation) {
  switch (operation) {
    case Operation::kArrive:
    case Operation::kWaitFor:
    case Operation::kSyncThreads:
    case Operation::kArriveThreads:
    case Operation::kSyncBlock:
    case Operation::kWarpgroupWait:
    case Operation::kInitBarrier:
    case Operation::kCommitTensorProducts:
      return false;
    default:
      return true;
  }
}

std::string lanes_name(std::uint32_t lanes) {
  const int count = std::popcount(lanes);
  if (count == 1) return fmt::format("lane {}", std::countr_zero(lanes));
  return count == 32 ? "all lanes" : fmt::format("{} lanes from {} on", count, std::countr_zero(lanes));
}

}  // namespace

std::string barrier_name(std::uint32_t barrier, const BarrierNames* names) {
  if (names != nullptr) {
    if (const auto found = names->find(barrier); found != names->end()) return found->second;
  }
  if (barrier >= named_barrier(0)) return fmt::format("barrier {}", barrier - named_barrier(0));
  return fmt::format("the barrier at shared byte {}", barrier);
}

std::string describe(const Event& event, const BarrierNames* names) {
  std::string text = operation_name(event.operation);
  switch (event.operation) {
    case Operation::kArrive:
      text += " at " + barrier_name(event.subject, names);
      if (event.value > 0) text += fmt::format(", expecting {} bytes", event.value);
      break;
    case Operation::kWaitFor:
      text += fmt::format(" parity {} of {}", event.value, barrier_name(event.subject, names));
      break;
    case Operation::kSyncThreads:
    case Operation::kArriveThreads:
    case Operation::kCopyAsyncArrive:
    case Operation::kCommitTensorProducts:
      text += " at " + barrier_name(event.subject, names);
      break;
    case Operation::kInitBarrier:
      text += fmt::format(" at shared byte {}, {} arrivals", event.subject, event.value);
      if (names != nullptr) text += ": " + barrier_name(event.subject, names);
      break;
    case Operation::kLoadBox:
      text += fmt::format(" of {} bytes for {}", event.value, barrier_name(event.subject, names));
      break;
    case Operation::kWarpgroupMultiply:
    case Operation::kWarpgroupMultiplyAdd:
      text += fmt::format(" in group {}", event.subject);
      break;
    case Operation::kWarpgroupWait:
      text += fmt::format(" until groups before {} are done", event.value);
      break;
    case Operation::kStoreShared:
    case Operation::kLoadShared:
    case Operation::kLoadWord:
    case Operation::kStoreWord:
    case Operation::kCopyAsync:
    case Operation::kStoreBox:
      text += fmt::format(" at shared byte {}{}", event.value, event.times > 1 ? " and others" : "");
      break;
    case Operation::kTensorMultiply:
      text += fmt::format(" to column {}{}", event.value, event.times > 1 ? " and others" : "");
      break;
    case Operation::kDraw:
      text += fmt::format(" gives {}", event.value);
      break;
    default:
      break;
  }
  const auto each = event.times / static_cast<std::uint32_t>(std::popcount(event.lanes));
  if (each > 1) text += fmt::format(", {} times", each);
  return fmt::format("{}{} ({})", event.kind == Event::Kind::kWaits ? "waits in " : "", text, lanes_name(event.lanes));
}

void EventLog::begin_block(int block, int warps, bool all, const BarrierNames* names) {
  block_ = block;
  names_ = names;
  all_ = all;
  ring_ = all ? kMost : kLast;
  steps_ = 0;
  warps_.resize(static_cast<std::size_t>(warps));
  for (Warp& warp : warps_) {
    warp.end = warp.common = 0;
    warp.position.fill(0);
    if (all) {
      warp.events.clear();
    } else {
      warp.events.resize(kLast);
    }
  }
  barriers_.clear();
  landings_.clear();
}

std::uint64_t EventLog::append(Warp& warp, const Event& event) {
  if (warp.events.size() < ring_) {
    warp.events.push_back(event);
  } else {
    at(warp, warp.end) = event;
  }
  ++warp.end;
  return event.step;
}

std::uint64_t EventLog::find_or_append(int thread, Event::Kind kind, Operation operation, std::uint32_t subject,
                                       std::uint32_t value) {
  constexpr std::uint64_t kAhead = 16;  // events that other lanes have had and this one has not
  Warp& warp = warps_[static_cast<std::size_t>(thread) / kLanes];
  const auto lane = static_cast<std::size_t>(thread) % kLanes;
  const std::uint32_t bit = 1U << lane;
  const auto is_same = [&](const Event& event) {
    return event.operation == operation && event.subject == subject && event.kind == kind;
  };
  std::uint64_t& position = warp.position[lane];
  position = std::max(position, warp.common);
  const std::uint64_t oldest = warp.end > ring_ ? warp.end - ring_ : 0;
  if (position > oldest && is_same(at(warp, position - 1)) && at(warp, position - 1).repeats) {
    Event& event = at(warp, position - 1);
    event.lanes |= bit;
    ++event.times;
    return event.step;
  }
  for (std::uint64_t i = std::max(position, oldest); i < std::min(warp.end, position + kAhead); ++i) {
    Event& event = at(warp, i);
    if (!is_same(event) || (event.lanes & bit) != 0) continue;
    event.lanes |= bit;
    ++event.times;
    position = i + 1;
    return event.step;
  }
  append(warp, {++steps_, bit, 1, subject, value, operation, kind, is_repeatable(operation)});
  position = warp.end;
  return steps_;
}

void EventLog::add_warp(int warp, Operation operation) {
  Warp& log = warps_[static_cast<std::size_t>(warp)];
  if (log.end > 0 && at(log, log.end - 1).operation == operation) {
    at(log, log.end - 1).times += kLanes;
  } else {
    append(log, {++steps_, 0xFFFFFFFFU, kLanes, 0, 0, operation, Event::Kind::kDoes, true});
  }
  log.common = log.end;
}

void EventLog::arrive(std::uint32_t barrier, int thread, bool is_copy, std::uint32_t phases) {
  BarrierHistory& history = barriers_[barrier];
  if (!all_ && history.arrived.size() == 2 * kLastArrivals) {
    history.arrived.erase(history.arrived.begin(), history.arrived.begin() + kLastArrivals);
  }
  const bool completes = history.phases != phases;
  history.phases = phases;
  const int warp = thread / static_cast<int>(kLanes);
  if (!completes && !history.arrived.empty()) {  // lanes of a warp, one after another
    const Arrival& last = history.arrived.back();
    if (last.warp == warp && last.is_copy == is_copy && !last.completes && last.step == steps_) return;
  }
  if (history.arrived.size() < kMost) history.arrived.push_back({steps_, warp, is_copy, completes});
}

void EventLog::land(const Landing& landing) {
  if (!all_ || landings_.size() == kMost) return;
  landings_.push_back(landing);
  landings_.back().landed = steps_;
}

std::vector<std::string> EventLog::last_events(int warp, std::size_t count) const {
  std::vector<std::string> lines;
  const Warp& log = warps_[static_cast<std::size_t>(warp)];
  const auto kept = std::min<std::uint64_t>({log.end, ring_, count});
  for (std::uint64_t i = log.end - kept; i < log.end; ++i) {
    lines.push_back(fmt::format("step {:5}, warp {:2}: {}", at(log, i).step, warp, describe(at(log, i), names_)));
  }
  return lines;
}

const BarrierHistory* EventLog::barrier(std::uint32_t barrier) const {
  const auto found = barriers_.find(barrier);
  return found == barriers_.end() ? nullptr : &found->second;
}

Record EventLog::take() {
  Record record;
  record.block = block_;
  for (const Warp& warp : warps_) {
    const std::uint64_t kept = std::min(warp.end, ring_);
    auto& events = record.warps.emplace_back();
    for (std::uint64_t i = warp.end - kept; i < warp.end; ++i) events.push_back(at(warp, i));
  }
  record.barriers = std::exchange(barriers_, {});
  record.landings = std::exchange(landings_, {});
  record.steps = steps_;
  record.names = names_;
  return record;
}

}  // namespace varlen::gpu::emulator
