// Memory that tensors under test are placed in, piece after piece.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace varlen::gpu_check {

class Machine;

/// Which end of a piece touches memory that nobody may access.
enum class Side : std::uint8_t { kFront, kBack };

/// Bytes from `data` on are a tensor's; from `begin` to `end` nobody else's.
struct Piece {
  std::byte* data;
  std::byte* begin;
  std::byte* end;
};

class Memory {
 public:
  Memory() = default;
  virtual ~Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  virtual Piece place(std::int64_t bytes, std::int64_t alignment) = 0;
  /// Takes all pieces back.
  virtual void clear() = 0;
};

inline constexpr std::int64_t kMargin = 512;  // bytes on both sides of a piece, at least

/// Pieces side by side in one allocation.
class Arena : public Memory {
 public:
  Arena(Machine& machine, std::int64_t bytes);
  ~Arena() override;
  Piece place(std::int64_t bytes, std::int64_t alignment) override;
  void clear() override { used_ = 0; }

 private:
  Machine& machine_;
  std::byte* const begin_;
  const std::int64_t bytes_;
  std::int64_t used_ = 0;
};

/// An allocation for each piece: for those that are larger than any arena should be.
class Allocations : public Memory {
 public:
  explicit Allocations(Machine& machine) : machine_(machine) {}
  ~Allocations() override { Allocations::clear(); }
  Piece place(std::int64_t bytes, std::int64_t alignment) override;
  void clear() override;

 private:
  Machine& machine_;
  std::vector<std::byte*> memories_;
};

/// Where a piece of `bytes` lies in memory from `begin` to `end` that nobody may leave: at one of the ends.
Piece piece_at(Side side, std::byte* begin, std::byte* end, std::int64_t bytes, std::int64_t alignment);

}  // namespace varlen::gpu_check
