// The lengths of a batch in one of the forms that arrays may have, for the host and for a device.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "varlen/batch.hpp"
#include "varlen/device.hpp"

namespace varlen::plan_test {

/// One side's offsets, lengths or both, of either width.
struct SideArrays {
  std::vector<std::int64_t> indptr;
  std::vector<std::int64_t> lengths;
  bool has_indptr = true;
  bool has_lengths = false;
  bool wide = true;
  std::vector<std::int32_t> indptr32;
  std::vector<std::int32_t> lengths32;

  void narrow() {
    indptr32.assign(indptr.begin(), indptr.end());
    lengths32.assign(lengths.begin(), lengths.end());
  }
  IndexView view(bool of_indptr) const {
    if (!(of_indptr ? has_indptr : has_lengths)) return {};
    if (wide) return std::span<const std::int64_t>(of_indptr ? indptr : lengths);
    return std::span<const std::int32_t>(of_indptr ? indptr32 : lengths32);
  }
};

/// Brings bytes to memory of the device and says where they are there.
using Upload = std::function<const void*(const void* data, std::int64_t bytes)>;

class LengthArrays {
 public:
  /// `below(n)`: a random number from 0 to n − 1.
  LengthArrays(const std::vector<std::int64_t>& query_lengths, const std::vector<std::int64_t>& key_lengths,
               const std::function<std::int64_t(std::int64_t)>& below);

  SideArrays query;
  SideArrays key;
  std::int64_t page_size = 0;

  /// Changes a number so that mostly something is wrong then.
  void spoil(const std::function<std::int64_t(std::int64_t)>& below);
  /// From here on a number in device memory tells how many requests there are.
  void count_requests() { counted_ = true; }
  bool counts_requests() const { return counted_; }

  void describe(Batch& batch) const;
  DeviceRequests on_device(const Upload& upload) const;
  /// As low as they may be for these lengths.
  Limits limits() const;

  std::int32_t request_count = 0;

 private:
  bool counted_ = false;
};

}  // namespace varlen::plan_test
