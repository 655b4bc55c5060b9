// The bytes that a strided view touches, and whether two views share one.
#pragma once

#include <array>
#include <cstdint>

#include "varlen/tensor.hpp"

namespace varlen {

/// Runs of `run` bytes each, at begin + Σ index · stride for every index of the axes. No bytes: touches nothing.
struct Footprint {
  struct Axis {
    std::int64_t count;   // > 1
    std::int64_t stride;  // bytes, more than the run
  };

  std::uintptr_t begin = 0;
  std::int64_t bytes = 0;  // from the first to the last touched one
  std::int64_t run = 0;
  std::array<Axis, TensorView::kMaxRank> axes{};
  int axis_count = 0;
};

/// Of a view whose strides are not negative and whose elements span less than 2^63 bytes.
Footprint footprint(const TensorView& view);
/// Of plain memory.
Footprint footprint(const void* data, std::int64_t bytes);

/// Does a byte belong to both? Exact, in time that does not depend on how many elements there are, for views that lie
/// apart or interleave with equal strides. For others a search of a few thousand steps decides; where it ends without
/// an answer, as it may for long views whose strides have no common divisor, they count as overlapping.
bool overlap(const Footprint& a, const Footprint& b);

}  // namespace varlen
