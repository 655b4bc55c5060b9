#include "backend/cpu/tile_kernel.hpp"

#include "backend/cpu/simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/tile_kernel.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep; includes this file once per target
#include <hwy/highway.h>

#include "backend/cpu/tile_kernel-inl.h"

HWY_BEFORE_NAMESPACE();
namespace varlen::cpu::HWY_NAMESPACE {

void compute_item(const Call& call, const WorkItem& item, std::byte* memory, std::int64_t tallest_tile) {
  const Scratch scratch = lay_out_scratch(memory, *call.batch, tallest_tile);
  const std::int64_t rows = item.query_count * item.query_head_count;
  for (std::int64_t row = 0; row < rows; row += scratch.rows) {
    Slice(call, item, scratch, row, std::min(scratch.rows, rows - row)).run();
  }
}

void compute_merge(const Call& call, const Merge& merge, std::byte* memory) {
  merge_tile(call, merge, reinterpret_cast<float*>(memory));
}

}  // namespace varlen::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace varlen::cpu {

HWY_EXPORT(compute_item);
HWY_EXPORT(compute_merge);

void run_item(const Call& call, const WorkItem& item, std::byte* scratch, std::int64_t tallest_tile) {
  HWY_DYNAMIC_DISPATCH(compute_item)(call, item, scratch, tallest_tile);
}

void run_merge(const Call& call, const Merge& merge, std::byte* scratch) {
  HWY_DYNAMIC_DISPATCH(compute_merge)(call, merge, scratch);
}

namespace {

/// From best to worst: Highway gives better targets lower bits.
std::vector<std::string> names_of(std::int64_t targets) {
  std::vector<std::string> names;
  for (; targets != 0; targets &= targets - 1) {
    names.emplace_back(hwy::TargetName(targets & -targets));
  }
  return names;
}

}  // namespace

std::string chosen_target() { return names_of(HWY_TARGETS & hwy::SupportedTargets()).front(); }

std::vector<std::string> compiled_targets() { return names_of(HWY_TARGETS); }

}  // namespace varlen::cpu
#endif
