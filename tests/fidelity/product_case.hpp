// One product of a warpgroup as micro-kernels are told it: where in shared memory the matrices are.
#pragma once

#include <cstdint>

namespace varlen::fidelity {

inline constexpr int kProductSteps = 4;  // of depth 16 each
inline constexpr int kProductThreads = 128;

struct MatrixPlace {
  std::int32_t start;  // in shared memory
  std::int32_t panel_bytes;
  std::int32_t group_bytes;
  std::int32_t step_bytes;  // from one step of the depth to the next, added to the descriptor
};
/// `in`: an image of shared memory, then for each block one of these, then for each block and thread kProductSteps × 4
/// words of `a` in registers. `out`: for each block and thread the sums.
struct ProductCase {
  MatrixPlace a;
  MatrixPlace b;
  std::int32_t add;  // to sums that are small integers, not to nothing
  std::int32_t unused[3];
};

/// What is in the sums at first.
constexpr int first_sum(int thread, int tile, int i) { return (thread * 7 + tile * 5 + i * 3) % 23 - 11; }

}  // namespace varlen::fidelity
