#include "gpu/emulator/shared_memory.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace varlen::gpu::emulator {

void merge_clock(Clock& clock, const Clock& other) {
  if (clock.size() < other.size()) clock.resize(other.size(), 0);
  for (std::size_t i = 0; i < other.size(); ++i) clock[i] = std::max(clock[i], other[i]);
}

void SharedMemory::reset(std::int64_t bytes, int warps) {
  const auto granules = static_cast<std::size_t>((bytes + kGranuleBytes - 1) / kGranuleBytes);
  bytes_.assign(granules * kGranuleBytes, std::byte{0xFF});
  granules_.assign(granules, {0, 0, 0, 0, State::kUnwritten, false, 0, 0});
  warps_ = static_cast<std::size_t>(warps);
  readers_.assign(granules * warps_, 0);
  writes_ = 0;
}

std::string SharedMemory::outside(std::uint32_t address) const {
  return fmt::format("is at shared byte {}, of which the block has {}", address, bytes_.size());
}

std::string SharedMemory::read_fault(const Granule& granule, std::uint32_t address) const {
  switch (granule.state) {
    case State::kUnwritten:
      return fmt::format("reads shared byte {}, which was never written", address);
    case State::kBarrier:
      return fmt::format("reads shared byte {}, where a barrier is", address);
    case State::kInFlight:
      return fmt::format("reads shared byte {}, to which a copy of thread {} is in flight", address, granule.writer);
    default:
      return fmt::format("reads shared byte {}, which {}", address, written_by(granule));
  }
}

std::string SharedMemory::written_by(const Granule& granule) const {
  if (granule.component < warps_) return fmt::format("thread {} wrote with no barrier since then", granule.writer);
  return fmt::format("a copy of thread {} wrote with no wait for its barrier since then", granule.writer);
}

std::optional<std::string> SharedMemory::check_write(std::uint32_t address, const Actor& actor) const {
  if (address >= size()) return outside(address);
  const std::size_t index = address / kGranuleBytes;
  const Granule& granule = granules_[index];
  if (granule.state == State::kInFlight) {
    return fmt::format("writes shared byte {}, to which a copy of thread {} is in flight", address, granule.writer);
  }
  if (granule.state == State::kBarrier) return fmt::format("writes shared byte {}, where a barrier is", address);
  if (granule.stored) return fmt::format("writes shared byte {}, from which a box is being stored", address);
  if (granule.products > 0) {
    return fmt::format("writes shared byte {}, which a product in flight reads", address);
  }
  if (granule.state == State::kWritten && !is_own_write(granule, actor) && !is_before(granule, actor)) {
    return fmt::format("writes shared byte {}, which {}", address, written_by(granule));
  }
  if (granule.commit > 0 && (commits_ >= actor.clock->size() || (*actor.clock)[commits_] < granule.commit)) {
    return fmt::format("writes shared byte {}, which a product read with no wait for its commit since then", address);
  }
  for (std::size_t w = 0; w < warps_; ++w) {
    if (static_cast<int>(w) == actor.warp || readers_[index * warps_ + w] <= (*actor.clock)[w]) continue;
    return fmt::format("writes shared byte {}, which warp {} read with no barrier since then", address, w);
  }
  return std::nullopt;
}

void SharedMemory::end_write(std::uint32_t address, const Actor& actor) {
  Granule& granule = granules_[address / kGranuleBytes];
  granule.state = State::kWritten;
  granule.writer = static_cast<std::int16_t>(actor.thread);
  granule.component = static_cast<std::uint16_t>(actor.warp);
  granule.write_time = (*actor.clock)[static_cast<std::size_t>(actor.warp)];
  granule.write_number = ++writes_;
}

std::optional<std::string> SharedMemory::write(std::uint32_t address, const Actor& actor) {
  if (auto fault = check_write(address, actor)) return fault;
  end_write(address, actor);
  return std::nullopt;
}

std::optional<std::string> SharedMemory::begin_copy(std::uint32_t address, const Actor& actor) {
  if (auto fault = check_write(address, actor)) return fault;
  Granule& granule = granules_[address / kGranuleBytes];
  granule.state = State::kInFlight;
  granule.writer = static_cast<std::int16_t>(actor.thread);
  return std::nullopt;
}

std::optional<std::string> SharedMemory::make_barrier(std::uint32_t address, const Actor& actor) {
  Granule& granule = granules_[address / kGranuleBytes];
  if (granule.state == State::kBarrier) return std::nullopt;  // the other half of the granule
  if (auto fault = check_write(address, actor)) return fault;
  granule.state = State::kBarrier;
  return std::nullopt;
}

void SharedMemory::arrive(std::uint32_t address, const Actor& actor) { end_write(address, actor); }

void SharedMemory::land(std::uint32_t address, const LandedWith& landing) {
  Granule& granule = granules_[address / kGranuleBytes];
  granule.state = State::kWritten;
  granule.writer = static_cast<std::int16_t>(landing.thread);
  granule.component = static_cast<std::uint16_t>(landing.component);
  granule.write_time = landing.phase;
  granule.write_number = ++writes_;
}

}  // namespace varlen::gpu::emulator
