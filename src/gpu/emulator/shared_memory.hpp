// Shared memory of the running block, in granules of 16 bytes, the unit of every access: who wrote and read each when.
//
// Threads run in one fixed order here and in any order on a GPU. So beside what was never written, accesses of two
// threads to one granule with no barrier between them are faults, in whichever order they came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace varlen::gpu::emulator {

inline constexpr std::uint32_t kGranuleBytes = 16;

class SharedMemory {
 public:
  void reset(std::int64_t bytes);
  void pass_barrier() { ++epoch_; }

  // Each says what is wrong with the access, as the end of a sentence, or nothing. The address is aligned.
  /// The whole warp reads the granule at `address`.
  std::optional<std::string> read(std::uint32_t address, int warp) {
    if (address >= size()) return outside(address);
    Granule& granule = granules_[address / kGranuleBytes];
    if (granule.state != State::kWritten || granule.write_epoch == epoch_) return read_fault(granule, address);
    const auto reader = static_cast<std::int16_t>(warp);
    granule.reader = granule.read_epoch == epoch_ && granule.reader != reader ? kSeveral : reader;
    granule.read_epoch = epoch_;
    return std::nullopt;
  }
  std::optional<std::string> write(std::uint32_t address, int thread, int warp);
  /// A copy to the granule was issued; arrive() ends it.
  std::optional<std::string> begin_copy(std::uint32_t address, int thread, int warp);
  void arrive(std::uint32_t address);

  /// Of a granule that passed one of the checks.
  std::byte* data(std::uint32_t address) { return bytes_.data() + address; }

 private:
  enum class State : std::uint8_t { kUnwritten, kWritten, kInFlight };
  struct Granule {
    std::uint32_t write_epoch;  // when its last writer finished
    std::uint32_t read_epoch;
    std::int16_t writer;  // thread
    std::int16_t reader;  // warp, or kSeveral
    State state;
  };
  static constexpr std::int16_t kSeveral = -1;

  std::uint32_t size() const { return static_cast<std::uint32_t>(bytes_.size()); }
  std::string outside(std::uint32_t address) const;
  std::string read_fault(const Granule& granule, std::uint32_t address) const;
  std::optional<std::string> check_write(std::uint32_t address, int thread, int warp) const;

  std::vector<std::byte> bytes_;
  std::vector<Granule> granules_;
  std::uint32_t epoch_ = 1;  // barriers passed, and one
};

}  // namespace varlen::gpu::emulator
