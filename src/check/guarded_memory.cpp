#include "check/guarded_memory.hpp"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "varlen/error.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define VARLEN_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VARLEN_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef VARLEN_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#else
#define VARLEN_ADDRESS_SANITIZER 0
#define ASAN_POISON_MEMORY_REGION(begin, count) (static_cast<void>(begin), static_cast<void>(count))
#define ASAN_UNPOISON_MEMORY_REGION(begin, count) (static_cast<void>(begin), static_cast<void>(count))
#endif

namespace varlen::check {
namespace {

constexpr std::byte kCanary{0xC3};

std::size_t rounded_up(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

GuardedMemory::GuardedMemory(std::size_t bytes, std::size_t alignment, Side side) : bytes_(bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  usable_bytes_ = rounded_up(bytes, page);
  mapping_bytes_ = usable_bytes_ + 2 * page;
  // Pages come into being when touched, so a tensor of many gigabytes of which a few rows are used costs a few pages.
  void* const mapping = mmap(nullptr, mapping_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    throw Error(ErrorCode::kOutOfMemory, "bytes", Error::kNoIndex, fmt::to_string(mapping_bytes_),
                fmt::format("no address space for a tensor under test of {} bytes", bytes));
  }
  mapping_ = static_cast<std::byte*>(mapping);
  usable_ = mapping_ + page;
  if (usable_bytes_ > 0 && mprotect(usable_, usable_bytes_, PROT_READ | PROT_WRITE) != 0) {
    munmap(mapping_, mapping_bytes_);
    throw Error(ErrorCode::kOutOfMemory, "bytes", Error::kNoIndex, fmt::to_string(bytes),
                fmt::format("no memory for a tensor under test of {} bytes", bytes));
  }
  data_ = side == Side::kFront ? usable_ : usable_ + (usable_bytes_ - rounded_up(bytes, alignment));
  std::fill(usable_, data_, kCanary);
  std::fill(data_ + bytes_, usable_ + usable_bytes_, kCanary);
}

GuardedMemory::~GuardedMemory() { munmap(mapping_, mapping_bytes_); }

bool GuardedMemory::canaries_intact() const noexcept {
  const auto intact = [](std::byte value) { return value == kCanary; };
  return std::all_of(usable_, data_, intact) && std::all_of(data_ + bytes_, usable_ + usable_bytes_, intact);
}

void WatchedMemory::accept(const void* begin, std::size_t count) {
  if (expected_.empty()) return;
  const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(begin) - data());
  std::memcpy(expected_.data() + offset, begin, count);
}

bool WatchedMemory::unchanged() const noexcept {
  return expected_.empty() || std::memcmp(expected_.data(), data(), expected_.size()) == 0;
}

bool forbids_access() noexcept { return VARLEN_ADDRESS_SANITIZER != 0; }

void WatchedMemory::forbid_all() noexcept {
  ASAN_POISON_MEMORY_REGION(data(), bytes());
  forbidden_ = true;
}

void WatchedMemory::allow_all() noexcept {
  if (!forbidden_) return;  // gigabytes of addresses that were never forbidden need no record of it
  ASAN_UNPOISON_MEMORY_REGION(data(), bytes());
  forbidden_ = false;
}

void WatchedMemory::allow(const void* begin, std::size_t count) const noexcept {
  ASAN_UNPOISON_MEMORY_REGION(begin, count);
}

}  // namespace varlen::check
