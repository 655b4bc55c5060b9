// Shared memory of the running block, in granules of 16 bytes, the unit of every access: who wrote and read each when.
//
// Threads run in one fixed order here and in any order on a GPU. So beside what was never written, accesses of two
// threads to one granule are faults, in whichever order they came, unless a barrier orders them. What does is told by
// vector clocks of the warps (Fidge 1988, Mattern 1989).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace varlen::gpu::emulator {

inline constexpr std::uint32_t kGranuleBytes = 16;

/// 128-byte swizzle: bits 7 to 9 of an address flip bits 4 to 6.
constexpr std::uint32_t swizzled(std::uint32_t address) { return address ^ (address >> 7 & 7U) << 4; }

/// What a warp, or whoever waits at a barrier, knows of the others: for each warp the newest of its accesses that came
/// before, then for each barrier in shared memory how many of its phases were complete before. A warp's own entry is
/// the time of its accesses now. Entries at the end that are missing are 0.
using Clock = std::vector<std::uint32_t>;
void merge_clock(Clock& clock, const Clock& other);

/// Who accesses.
struct Actor {
  int thread;
  int warp;
  const Clock* clock;  // of the warp
};

/// When a copy has landed: with the phase of a barrier. `component` is the barrier's place in clocks.
struct LandedWith {
  int thread;  // that asked for the copy
  std::size_t component;
  std::uint32_t phase;  // 1, 2, …
};

class SharedMemory {
 public:
  void reset(std::int64_t bytes, int warps);

  // Each says what is wrong with the access, as the end of a sentence, or nothing. The address is aligned.
  /// The whole warp reads the granule at `address`.
  std::optional<std::string> read(std::uint32_t address, const Actor& actor) {
    if (address >= size()) return outside(address);
    const std::size_t index = address / kGranuleBytes;
    const Granule& granule = granules_[index];
    if (granule.state != State::kWritten || !is_before(granule, actor)) return read_fault(granule, address);
    note_read(index, actor);
    return std::nullopt;
  }
  /// One thread reads it, which may have written it itself.
  std::optional<std::string> read_alone(std::uint32_t address, const Actor& actor) {
    const bool is_own = address < size() && is_own_write(granules_[address / kGranuleBytes], actor);
    return is_own ? std::nullopt : read(address, actor);
  }
  std::optional<std::string> write(std::uint32_t address, const Actor& actor);
  /// A copy to the granule was issued; it ends when the thread has waited for it or when it lands with a barrier.
  std::optional<std::string> begin_copy(std::uint32_t address, const Actor& actor);
  void arrive(std::uint32_t address, const Actor& actor);
  void land(std::uint32_t address, const LandedWith& landing);
  /// The same for a copy of a box, after which products need no fence.
  void land_for_products(std::uint32_t address, const LandedWith& landing) {
    land(address, landing);
    granules_[address / kGranuleBytes].write_number = 0;
  }
  /// A box from the granule is being stored until end_store().
  void begin_store(std::uint32_t address) { granules_[address / kGranuleBytes].stored = true; }
  void end_store(std::uint32_t address, const Actor& actor) {
    granules_[address / kGranuleBytes].stored = false;
    note_read(address / kGranuleBytes, actor);
  }
  /// A product of the whole warp reads the granule until end_product().
  std::optional<std::string> begin_product(std::uint32_t address, const Actor& actor) {
    auto fault = read(address, actor);
    if (!fault) ++granules_[address / kGranuleBytes].products;
    return fault;
  }
  void end_product(std::uint32_t address, const Actor& actor) {
    --granules_[address / kGranuleBytes].products;
    note_read(address / kGranuleBytes, actor);
  }
  /// A product that one thread has issued reads the granule until it is done; `commit` tells of that to whoever writes
  /// there afterwards.
  std::optional<std::string> begin_committed_read(std::uint32_t address, const Actor& actor) {
    if (address >= size()) return outside(address);
    Granule& granule = granules_[address / kGranuleBytes];
    if (granule.state != State::kWritten || !is_before(granule, actor)) return read_fault(granule, address);
    ++granule.products;
    return std::nullopt;
  }
  void end_committed_read(std::uint32_t address, std::uint32_t commit) {
    --granules_[address / kGranuleBytes].products;
    granules_[address / kGranuleBytes].commit = commit;
  }
  /// Where clocks tell which commits are known.
  void set_commits(std::size_t component) { commits_ = component; }
  /// From here on the eight bytes at `address` are a barrier, and nothing else.
  std::optional<std::string> make_barrier(std::uint32_t address, const Actor& actor);

  /// Of a granule that passed one of the checks.
  std::byte* data(std::uint32_t address) { return bytes_.data() + address; }
  /// How many writes had ended when the granule's last one did, and whose that was.
  std::uint64_t write_number(std::uint32_t address) const { return granules_[address / kGranuleBytes].write_number; }
  int writer(std::uint32_t address) const { return granules_[address / kGranuleBytes].writer; }
  std::uint64_t writes() const { return writes_; }
  /// Of any address.
  bool is_written(std::uint32_t address) const {
    return address < size() && granules_[address / kGranuleBytes].state == State::kWritten;
  }
  /// The last write was before what the actor does now.
  bool is_written_before(std::uint32_t address, const Actor& actor) const {
    return is_before(granules_[address / kGranuleBytes], actor);
  }

 private:
  enum class State : std::uint8_t { kUnwritten, kWritten, kInFlight, kBarrier };
  struct Granule {
    std::uint64_t write_number;
    std::uint32_t write_time;  // by the clocks' `component`: of the writer's warp, or of the barrier it landed with
    std::uint16_t component;
    std::int16_t writer;  // thread
    State state;
    bool stored;             // a box from here is being stored
    std::uint16_t products;  // that read it, of each warp
    std::uint32_t commit;    // of the last product that read it and was committed, 0: none
  };

  /// The granule's last write came before what the actor does now. Other threads of its own warp count as others.
  static bool is_before(const Granule& granule, const Actor& actor) {
    const std::uint32_t known = granule.component < actor.clock->size() ? (*actor.clock)[granule.component] : 0;
    return granule.component == actor.warp ? known > granule.write_time : known >= granule.write_time;
  }
  bool is_own_write(const Granule& granule, const Actor& actor) const {
    return granule.state == State::kWritten && granule.writer == actor.thread && granule.component < warps_;
  }
  void note_read(std::size_t index, const Actor& actor) {
    const auto warp = static_cast<std::size_t>(actor.warp);
    readers_[index * warps_ + warp] = (*actor.clock)[warp];
  }
  std::uint32_t size() const { return static_cast<std::uint32_t>(bytes_.size()); }
  std::string outside(std::uint32_t address) const;
  std::string written_by(const Granule& granule) const;
  std::string read_fault(const Granule& granule, std::uint32_t address) const;
  std::optional<std::string> check_write(std::uint32_t address, const Actor& actor) const;
  void end_write(std::uint32_t address, const Actor& actor);

  std::vector<std::byte> bytes_;
  std::vector<Granule> granules_;
  std::vector<std::uint32_t> readers_;  // [granules, warps]: when each warp last read it, 0: never
  std::size_t warps_ = 1;
  std::size_t commits_ = 0;
  std::uint64_t writes_ = 0;
};

}  // namespace varlen::gpu::emulator
