// Memory for tensors under test: inaccessible pages on both sides, and a record of what every byte should be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace varlen::check {

/// An allocation that touches an inaccessible page on one side. On the other, at most a page of canary bytes lies
/// between it and the next such page.
class GuardedMemory {
 public:
  enum class Side { kFront, kBack };

  /// `side`: which end touches its guard. With kBack the beginning is aligned by leaving up to alignment − 1 canary
  /// bytes after the end.
  GuardedMemory(std::size_t bytes, std::size_t alignment, Side side);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  std::byte* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }
  bool canaries_intact() const noexcept;

 private:
  std::byte* mapping_ = nullptr;  // guard page, usable pages, guard page
  std::size_t mapping_bytes_ = 0;
  std::byte* usable_ = nullptr;
  std::size_t usable_bytes_ = 0;
  std::byte* data_ = nullptr;  // within the usable pages
  std::size_t bytes_ = 0;
};

/// Whether WatchedMemory::forbid_all() has an effect in this build.
bool forbids_access() noexcept;

/// Guarded memory that can tell whether anything changed that should not have. Built with AddressSanitizer, it also
/// ends the process at an access to any byte between forbid_all() and the allow() that covers it, whatever becomes of
/// the value.
class WatchedMemory : public GuardedMemory {
 public:
  using GuardedMemory::GuardedMemory;
  ~WatchedMemory() { allow_all(); }  // the addresses will be used again
  WatchedMemory(const WatchedMemory&) = delete;
  WatchedMemory& operator=(const WatchedMemory&) = delete;

  /// From here on, every byte should stay as it is.
  void watch() { expected_.assign(data(), data() + bytes()); }
  /// These bytes may have any value by now.
  void accept(const void* begin, std::size_t count);
  bool unchanged() const noexcept;

  void forbid_all() noexcept;
  void allow_all() noexcept;
  void allow(const void* begin, std::size_t count) const noexcept;

 private:
  std::vector<std::byte> expected_;
  bool forbidden_ = false;
};

}  // namespace varlen::check
