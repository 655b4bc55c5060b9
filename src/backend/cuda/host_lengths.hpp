// Lengths of the host on their way to a planner on a device.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "varlen/device.hpp"

namespace varlen::cuda {

/// Page-locked memory of the host that is mapped into a device, in pieces that are used in turn: the planner reads
/// lengths there while the host writes those of the next calls.
class HostLengths {
 public:
  /// For at most so many requests, on the current device.
  explicit HostLengths(std::int64_t requests);
  ~HostLengths();
  HostLengths(const HostLengths&) = delete;
  HostLengths& operator=(const HostLengths&) = delete;

  /// Copies the arrays to the next piece, once the device is done with it. The result are addresses of the device.
  DeviceRequests put(const Requests& requests);
  /// Once the launch that reads what was put last is in the stream.
  void mark_launched(cudaStream_t stream);

 private:
  void clear() noexcept;

  static constexpr std::size_t kPieces = 4;
  struct Piece {
    cudaEvent_t read = nullptr;  // recorded behind the launch that reads the piece
  };

  std::int64_t piece_bytes_;
  std::byte* on_host_ = nullptr;
  std::byte* on_device_ = nullptr;
  std::array<Piece, kPieces> pieces_;
  std::size_t current_ = 0;
};

}  // namespace varlen::cuda
