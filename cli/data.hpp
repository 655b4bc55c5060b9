// Memory for tensors, and random numbers in every element type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "varlen/tensor.hpp"

namespace varlen::cli {

/// Uninitialised bytes, 64-byte aligned. Never null, even with no bytes: a null tensor means "absent".
class Buffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  Buffer() : Buffer(0) {}
  explicit Buffer(std::int64_t bytes)
      : bytes_(bytes),
        data_(static_cast<std::byte*>(::operator new (static_cast<std::size_t>(bytes), std::align_val_t{kAlignment}))) {
  }

  std::byte* data() const noexcept { return data_.get(); }
  std::int64_t bytes() const noexcept { return bytes_; }
  void clear() noexcept;  ///< sets every byte to 0

 private:
  struct Delete {
    void operator()(std::byte* data) const noexcept { ::operator delete (data, std::align_val_t{kAlignment}); }
  };
  std::int64_t bytes_;
  std::unique_ptr<std::byte, Delete> data_;
};

/// Fills `buffer` with normally distributed numbers of mean 0 and deviation 1, encoded as `dtype`; the same for the
/// same seed.
void fill_random(const Buffer& buffer, Dtype dtype, std::uint64_t seed);

}  // namespace varlen::cli
