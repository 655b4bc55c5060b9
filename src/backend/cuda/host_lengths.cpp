#include "backend/cuda/host_lengths.hpp"

#include <cstring>

#include "backend/cuda/runtime.hpp"

namespace varlen::cuda {
namespace {

constexpr std::int64_t kAlignment = 64;
constexpr int kArrays = 4;

std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::int64_t array_bytes(std::int64_t requests) {
  return aligned((requests + 1) * static_cast<std::int64_t>(sizeof(std::int64_t)));
}

/// Puts arrays into a piece, one behind the other.
class PieceWriter {
 public:
  PieceWriter(std::byte* on_host, const std::byte* on_device) : on_host_(on_host), on_device_(on_device) {}

  DeviceIndices put(const IndexView& view) {
    if (!view.present()) return {};
    const std::byte* const there = copy(view.data(), view.size() * (view.wide() ? 8 : 4));
    if (view.wide()) return {reinterpret_cast<const std::int64_t*>(there)};
    return {reinterpret_cast<const std::int32_t*>(there)};
  }
  const std::int32_t* put(std::int32_t number) {
    return reinterpret_cast<const std::int32_t*>(copy(&number, sizeof(number)));
  }

 private:
  /// Where the copy is on the device.
  const std::byte* copy(const void* from, std::int64_t bytes) {
    if (bytes > 0) std::memcpy(on_host_ + used_, from, static_cast<std::size_t>(bytes));
    const std::byte* const there = on_device_ + used_;
    used_ += aligned(bytes);
    return there;
  }

  std::byte* on_host_;
  const std::byte* on_device_;
  std::int64_t used_ = 0;
};

}  // namespace

HostLengths::HostLengths(std::int64_t requests) : piece_bytes_(kArrays * array_bytes(requests) + kAlignment) {
  void* memory = nullptr;
  void* there = nullptr;
  check(cudaHostAlloc(&memory, kPieces * static_cast<std::size_t>(piece_bytes_), cudaHostAllocMapped),
        "allocating page-locked memory");
  on_host_ = static_cast<std::byte*>(memory);
  try {
    check(cudaHostGetDevicePointer(&there, memory, 0), "mapping page-locked memory");
    for (Piece& piece : pieces_) {
      check(cudaEventCreateWithFlags(&piece.read, cudaEventDisableTiming), "creating an event");
    }
  } catch (...) {
    clear();
    throw;
  }
  on_device_ = static_cast<std::byte*>(there);
}

HostLengths::~HostLengths() { clear(); }

void HostLengths::clear() noexcept {
  for (Piece& piece : pieces_) {
    if (piece.read != nullptr) cudaEventDestroy(piece.read);
  }
  cudaFreeHost(on_host_);
}

DeviceRequests HostLengths::put(const Requests& requests) {
  current_ = (current_ + 1) % kPieces;
  check(cudaEventSynchronize(pieces_[current_].read), "waiting for an event");  // done at once unless it was recorded
  const auto offset = static_cast<std::int64_t>(current_) * piece_bytes_;
  PieceWriter writer(on_host_ + offset, on_device_ + offset);
  DeviceRequests result;
  result.query_indptr = writer.put(requests.query_indptr);
  result.query_lengths = writer.put(requests.query_lengths);
  result.key_indptr = writer.put(requests.key_indptr);
  result.key_lengths = writer.put(requests.key_lengths);
  result.request_count = writer.put(static_cast<std::int32_t>(request_count(requests)));
  return result;
}

void HostLengths::mark_launched(cudaStream_t stream) {
  check(cudaEventRecord(pieces_[current_].read, stream), "recording an event");
}

}  // namespace varlen::cuda
