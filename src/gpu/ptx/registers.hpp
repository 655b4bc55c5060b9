// Registers that products of a warpgroup take over. Part of gpu/ptx/operations.hpp.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"

namespace varlen::gpu {

template <int kTiles>
class Sums {
 public:
  VARLEN_DEVICE float (&operator[](int tile))[4] { return value_[tile]; }
  VARLEN_DEVICE const float (&operator[](int tile) const)[4] { return value_[tile]; }

 private:
  float value_[kTiles][4];
};

class Fragment {
 public:
  VARLEN_DEVICE std::uint32_t& operator[](int i) { return word_[i]; }
  VARLEN_DEVICE const std::uint32_t& operator[](int i) const { return word_[i]; }

 private:
  std::uint32_t word_[4];
};

}  // namespace varlen::gpu
