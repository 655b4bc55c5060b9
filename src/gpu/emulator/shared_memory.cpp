#include "gpu/emulator/shared_memory.hpp"

#include <fmt/format.h>

namespace varlen::gpu::emulator {

void SharedMemory::reset(std::int64_t bytes) {
  const auto granules = static_cast<std::size_t>((bytes + kGranuleBytes - 1) / kGranuleBytes);
  bytes_.assign(granules * kGranuleBytes, std::byte{0xFF});
  granules_.assign(granules, {0, 0, 0, 0, State::kUnwritten});
  epoch_ = 1;
}

std::string SharedMemory::outside(std::uint32_t address) const {
  return fmt::format("is at shared byte {}, of which the block has {}", address, bytes_.size());
}

std::string SharedMemory::read_fault(const Granule& granule, std::uint32_t address) const {
  switch (granule.state) {
    case State::kUnwritten:
      return fmt::format("reads shared byte {}, which was never written", address);
    case State::kInFlight:
      return fmt::format("reads shared byte {}, to which a copy of thread {} is in flight", address, granule.writer);
    default:
      return fmt::format("reads shared byte {}, which thread {} wrote with no barrier since then", address,
                         granule.writer);
  }
}

std::optional<std::string> SharedMemory::check_write(std::uint32_t address, int thread, int warp) const {
  if (address >= size()) return outside(address);
  const Granule& granule = granules_[address / kGranuleBytes];
  if (granule.state == State::kInFlight) {
    return fmt::format("writes shared byte {}, to which a copy of thread {} is in flight", address, granule.writer);
  }
  if (granule.state == State::kWritten && granule.write_epoch == epoch_ && granule.writer != thread) {
    return fmt::format("writes shared byte {}, which thread {} wrote with no barrier since then", address,
                       granule.writer);
  }
  if (granule.read_epoch == epoch_ && granule.reader != warp) {
    return fmt::format("writes shared byte {}, which {} read with no barrier since then", address,
                       granule.reader == kSeveral ? "several warps" : fmt::format("warp {}", granule.reader));
  }
  return std::nullopt;
}

std::optional<std::string> SharedMemory::write(std::uint32_t address, int thread, int warp) {
  if (auto fault = check_write(address, thread, warp)) return fault;
  Granule& granule = granules_[address / kGranuleBytes];
  granule.state = State::kWritten;
  granule.writer = static_cast<std::int16_t>(thread);
  granule.write_epoch = epoch_;
  return std::nullopt;
}

std::optional<std::string> SharedMemory::begin_copy(std::uint32_t address, int thread, int warp) {
  if (auto fault = check_write(address, thread, warp)) return fault;
  Granule& granule = granules_[address / kGranuleBytes];
  granule.state = State::kInFlight;
  granule.writer = static_cast<std::int16_t>(thread);
  return std::nullopt;
}

void SharedMemory::arrive(std::uint32_t address) {
  Granule& granule = granules_[address / kGranuleBytes];
  granule.state = State::kWritten;
  granule.write_epoch = epoch_;
}

}  // namespace varlen::gpu::emulator
