// The tensors of a problem in device memory, laid out byte for byte as they are in host memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "batch/ragged_batch.hpp"
#include "varlen/batch.hpp"
#include "varlen/device.hpp"

namespace varlen::check {

/// Copies every tensor, with what lies between its rows. Views that share memory share its copy; addresses keep their
/// remainder by 256. Around each piece of memory lie canary bytes.
class DeviceTensors {
 public:
  DeviceTensors(const RaggedBatch& batch, const Tensors& host, std::int32_t device);

  const Tensors& tensors() const noexcept { return tensors_; }
  /// After computing: copies the outputs' memory back over the host's, gaps included. Returns what was written outside
  /// of it, or nothing.
  std::string copy_back();

 private:
  struct Piece {
    std::byte* begin;  // in host memory
    std::byte* end;
    bool output;
    DeviceMemory memory;
    std::byte* data;  // what lies at `begin` on the host
  };
  Piece& piece_of(const std::byte* address);
  /// Calls visit(offset in bytes, bytes) for the rows of all requests in a view.
  template <typename Visit>
  void visit_rows(const TensorView& view, const Visit& visit) const;

  const RaggedBatch& batch_;
  Tensors host_;
  Tensors tensors_;
  std::vector<Piece> pieces_;
};

}  // namespace varlen::check
