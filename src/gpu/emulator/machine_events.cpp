// What the machine tells of a fault beside its one line: who waits for what, and what the parties did last.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/trace.hpp"
#include "varlen/emulator.hpp"

namespace varlen::gpu::emulator {
namespace {

constexpr std::size_t kEventsOfAWarp = 8;
constexpr std::size_t kMostParties = 4;

void add_party(int warp, std::vector<int>& parties) {
  if (std::find(parties.begin(), parties.end(), warp) == parties.end()) parties.push_back(warp);
}

/// The numbers behind a word: faults name their other party as "thread 12" or "warp 3".
void add_named(std::string_view text, std::string_view word, int divisor, std::vector<int>& parties) {
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    int number = -1;
    const char* const digits = text.data() + at + word.size();
    std::from_chars(digits, text.data() + text.size(), number);
    if (number >= 0) add_party(number / divisor, parties);
  }
}

}  // namespace

void Machine::observe_copy(Operation operation) {
  Delivery& delivery = deliveries_.back();
  delivery.issued = events_.add(running_->index, Event::Kind::kDoes, operation, delivery.barrier,
                                static_cast<std::uint32_t>(delivery.box_bytes));
}

void Machine::observe_wait(const Thread& thread, Event::Kind kind) {
  switch (thread.waiting) {
    case Operation::kWaitFor:
      events_.add(thread.index, kind, thread.waiting, thread.waiting_for, barriers_.at(thread.waiting_for).phases % 2);
      break;
    case Operation::kSyncThreads:
      events_.add(thread.index, kind, thread.waiting, thread.waiting_for, 0);
      break;
    case Operation::kWarpgroupWait:
      events_.add(thread.index, kind, thread.waiting, 0, thread.waiting_for);
      break;
    case Operation::kSyncBlock:
      events_.add(thread.index, kind, thread.waiting, 0, 0);
      break;
    default:
      break;
  }
}

/// One line for all warps that wait for the same.
std::vector<std::string> Machine::describe_waits() const {
  std::map<std::pair<Operation, std::uint32_t>, std::vector<int>> waits;
  for (int i = 0; i < launch_.threads; ++i) {
    const Thread& each = thread(i);
    if (each.waiting == Operation::kNone) continue;
    const bool at_barrier = each.waiting == Operation::kWaitFor || each.waiting == Operation::kSyncThreads;
    std::vector<int>& warps = waits[{each.waiting, at_barrier ? each.waiting_for : 0}];
    if (warps.empty() || warps.back() != i / kWarpThreads) warps.push_back(i / kWarpThreads);
  }
  std::vector<std::string> lines;
  for (const auto& [wait, warps] : waits) {
    const auto& [operation, barrier] = wait;
    std::string line = fmt::format("warp{} {} wait{} in {}", warps.size() == 1 ? "" : "s", fmt::join(warps, ", "),
                                   warps.size() == 1 ? "s" : "", operation_name(operation));
    if (operation == Operation::kWaitFor) {
      const Barrier& waited = barriers_.at(barrier);
      line += fmt::format(" for {}: {} phases are complete, the next lacks {} of {} arrivals and {} bytes",
                          barrier_name(barrier, launch_.barrier_names), waited.phases, waited.missing, waited.arrivals,
                          waited.missing_bytes);
    } else if (operation == Operation::kSyncThreads) {
      const NamedBarrier& waited = named_barriers_[barrier - named_barrier(0)];
      line += fmt::format(" for {}, where {} of {} threads are", barrier_name(barrier, launch_.barrier_names),
                          waited.arrived.size(), waited.threads);
    }
    const BarrierHistory* const history = events_.barrier(barrier);
    if (history != nullptr && !history->arrived.empty()) {
      const Arrival& last = history->arrived.back();
      line += fmt::format("; the last to come was {}warp {} in step {}", last.is_copy ? "a copy of " : "", last.warp,
                          last.step);
    }
    lines.push_back(line);
  }
  return lines;
}

/// Warps to tell of: the one that ran, those that the message names, and who came last to a barrier that is waited for.
std::vector<std::string> Machine::describe_events(const std::string& message) const {
  const bool is_deadlock = message.find(" is deadlocked: ") != std::string::npos;
  std::vector<int> parties;
  std::vector<std::string> lines;
  if (is_deadlock) {
    lines = describe_waits();
    const std::size_t first = message.rfind("the first that waits is ");
    add_named(std::string_view(message).substr(first == std::string::npos ? 0 : first), "warp ", 1, parties);
    for (int i = 0; i < launch_.threads; ++i) {
      const Thread& each = thread(i);
      if (each.waiting != Operation::kWaitFor && each.waiting != Operation::kSyncThreads) continue;
      const BarrierHistory* const history = events_.barrier(each.waiting_for);
      if (history == nullptr) continue;
      for (std::size_t left = history->arrived.size(); left > 0; --left) {
        const Arrival& arrival = history->arrived[left - 1];
        add_party(arrival.warp, parties);
        if (arrival.completes) break;
      }
    }
  } else {
    add_named(message, "warp ", 1, parties);
    add_named(message, "thread ", kWarpThreads, parties);
  }
  if (parties.size() > kMostParties) parties.resize(kMostParties);
  for (const int warp : parties) {
    if (warp >= static_cast<int>(warps_.size())) continue;
    const std::vector<std::string> events = events_.last_events(warp, kEventsOfAWarp);
    lines.insert(lines.end(), events.begin(), events.end());
  }
  return lines;
}

/// Throws what a thread has thrown, an Error together with its events.
void Machine::throw_fault(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const EmulatorFault&) {
    throw;
  } catch (const Error& error) {
    throw EmulatorFault(error, fault_events_);
  }
}

/// While the threads still stand where they were.
void Machine::note_fault() {
  try {
    std::rethrow_exception(error_);
  } catch (const std::exception& error) {
    fault_events_ = describe_events(error.what());
    if (launch_.trace == nullptr) return;
    Record record = events_.take();
    for (const Delivery& delivery : deliveries_) {
      record.landings.push_back({delivery.issued, 0, delivery.box_bytes, delivery.barrier, delivery.thread});
    }
    launch_.trace->add_fault(std::move(record), error.what(), fault_events_);
  } catch (...) {
    fault_events_.clear();
  }
}

}  // namespace varlen::gpu::emulator
