// What an item of the plan is to a kernel: rows, steps over keys, and the steps in which something is masked.
#pragma once

#include <cstdint>

#include "cli/model/gpu_rates.hpp"
#include "cli/workload.hpp"
#include "varlen/plan.hpp"

namespace varlen::cli {

/// Head dims of the compiled kernel that runs, and the keys of one of its steps.
struct KernelDims {
  std::int32_t qk = 0;
  std::int32_t vo = 0;
  std::int32_t keys = 0;

  /// Throws Error(kUnsupported) for what the kernel does not compute.
  static KernelDims of(const Workload& workload, KernelOrder order);
};

struct ItemShape {
  std::int64_t rows = 0;          ///< that exist
  std::int32_t groups = 0;        ///< warpgroups or query tiles that compute, each `group_rows` high
  std::int64_t steps = 0;         ///< over keys; 0: the rows see none
  std::int64_t masked_steps = 0;  ///< summed over the groups
  bool partial = false;           ///< a part of a split tile
};

/// Rows of one warpgroup (Hopper) or one query tile (Blackwell).
std::int32_t group_rows(KernelOrder order);

ItemShape shape_of(const WorkItem& item, const Workload& workload, const KernelDims& dims, KernelOrder order);

}  // namespace varlen::cli
