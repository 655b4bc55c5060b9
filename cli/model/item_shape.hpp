// What an item of the plan is to a kernel: rows, steps over keys, and the steps in which something is masked.
#pragma once

#include <cstdint>

#include "cli/workload.hpp"
#include "varlen/plan.hpp"

namespace varlen::cli {

/// Head dims of the compiled kernel that runs, and the keys of one of its steps.
struct KernelDims {
  std::int32_t qk = 0;
  std::int32_t vo = 0;
  std::int32_t keys = 0;

  /// Throws Error(kUnsupported) for what forward_wgmma does not compute.
  static KernelDims of(const Workload& workload);
};

struct ItemShape {
  std::int64_t rows = 0;          ///< that exist
  std::int32_t groups = 0;        ///< warpgroups or query tiles that compute, each `group_rows` high
  std::int64_t steps = 0;         ///< over keys; 0: the rows see none
  std::int64_t masked_steps = 0;  ///< summed over the groups
  bool partial = false;           ///< a part of a split tile
};

/// `group_rows` rows belong to one warpgroup; 16 of them, a band, to a warp. A band without rows masks every step.
ItemShape shape_of(const WorkItem& item, const Workload& workload, const KernelDims& dims, std::int32_t group_rows);

}  // namespace varlen::cli
