// Where products find the elements of a matrix in shared memory. (PTX ISA: matrix descriptor of wgmma; shared memory
// descriptor of tcgen05: both have these three fields at the same bits, and the same canonical layouts.)
#pragma once

#include <cstdint>

#include "gpu/emulator/shared_memory.hpp"

namespace varlen::gpu::emulator {

struct MatrixPlaces {
  std::uint32_t start;
  std::uint32_t panel_bytes;
  std::uint32_t group_bytes;

  static MatrixPlaces decode(std::uint64_t descriptor) {
    const auto field = [descriptor](int shift) {
      return static_cast<std::uint32_t>(descriptor >> shift & 0x3FFFU) << 4;
    };
    return {field(0), field(16), field(32)};
  }

  /// Of the 32 bytes that a product takes of each row along which its depth runs: visit(row, granule of the two,
  /// address).
  template <class Visit>
  void visit_along_rows(int rows, const Visit& visit) const {
    for (int row = 0; row < rows; ++row) {
      const std::uint32_t row_start =
          start + static_cast<std::uint32_t>(row / 8) * group_bytes + static_cast<std::uint32_t>(row % 8) * kRowBytes;
      for (int half = 0; half < 2; ++half) {
        visit(row, half, swizzled(row_start + static_cast<std::uint32_t>(half) * kGranuleBytes));
      }
    }
  }

  /// Of `depth` rows across which the depth runs, the first `row_bytes`, a multiple of 16: visit(row, granule of the
  /// row, address).
  template <class Visit>
  void visit_across_rows(int depth, int row_bytes, const Visit& visit) const {
    constexpr int kGranules = static_cast<int>(kRowBytes / kGranuleBytes);
    for (int row = 0; row < depth; ++row) {
      const std::uint32_t row_start =
          start + static_cast<std::uint32_t>(row / 8) * group_bytes + static_cast<std::uint32_t>(row % 8) * kRowBytes;
      for (int granule = 0; granule * static_cast<int>(kGranuleBytes) < row_bytes; ++granule) {
        visit(row, granule,
              swizzled(row_start + static_cast<std::uint32_t>(granule / kGranules) * panel_bytes +
                       static_cast<std::uint32_t>(granule % kGranules) * kGranuleBytes));
      }
    }
  }

 private:
  static constexpr std::uint32_t kRowBytes = 128;  // of a panel
};

}  // namespace varlen::gpu::emulator
