#include "cli/model/item_shape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>

#include "varlen/error.hpp"

namespace varlen::cli {
namespace {

// Of one warp of forward_wgmma, which masks every step if none of them exist.
constexpr std::int32_t kBandRows = 16;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

template <typename Value, typename... Arguments>
[[noreturn]] void refuse(const char* field, Value value, fmt::format_string<Arguments...> rule,
                         Arguments... arguments) {
  throw Error(ErrorCode::kUnsupported, field, Error::kNoIndex, fmt::to_string(value),
              fmt::format("{} = {}: {}", field, value, fmt::format(rule, std::forward<Arguments>(arguments)...)));
}

/// Steps of a warpgroup from row `first` on, in which its rows do not all see all keys.
std::int64_t masked_steps(const WorkItem& item, const Workload& workload, const KernelDims& dims, std::int64_t rows,
                          std::int64_t first, std::int64_t count, std::int64_t steps) {
  const std::int64_t keys = item.key_end - item.key_begin;
  const auto request = static_cast<std::size_t>(item.request);
  const std::int64_t stand =
      workload.key_lengths[request] - workload.query_lengths[request] + item.query_begin - item.key_begin;
  const std::int64_t last_token = (std::min(first + count, rows) - 1) / item.query_head_count;
  const std::int64_t first_token = first / item.query_head_count;
  std::int64_t begin = 0;
  if (workload.mask.left != Mask::kUnlimited)
    begin = std::max<std::int64_t>(0, stand + last_token - workload.mask.left);
  std::int64_t end = keys;
  if (workload.mask.right != Mask::kUnlimited) {
    end = std::clamp<std::int64_t>(stand + first_token + workload.mask.right + 1, 0, keys);
  }
  return steps - std::max<std::int64_t>(0, end / dims.keys - ceil_div(begin, dims.keys));
}

}  // namespace

KernelDims KernelDims::of(const Workload& workload, KernelOrder order) {
  constexpr KernelDims kCompiled[] = {{64, 64, 128}, {128, 128, 128}, {192, 128, 128}, {256, 256, 64}};
  // Two query tiles' scores and sums fill tensor memory at 128 columns of values.
  const std::size_t count = order == KernelOrder::kHopper ? 4 : 3;
  const std::span<const KernelDims> compiled(kCompiled, count);
  const auto found = std::find_if(compiled.begin(), compiled.end(), [&](const KernelDims& dims) {
    return workload.head_dim_qk <= dims.qk && workload.head_dim_vo <= dims.vo;
  });
  if (found == compiled.end()) {
    const KernelDims& largest = compiled.back();
    if (workload.head_dim_qk > largest.qk) {
      refuse("head_dim_qk", workload.head_dim_qk, "is more than {}, the largest of the modelled kernel", largest.qk);
    }
    refuse("head_dim_vo", workload.head_dim_vo, "is more than {}, the largest of the modelled kernel", largest.vo);
  }
  // As src/kernel/shapes.hpp: what cannot be loaded in boxes runs on forward_mma.
  constexpr std::int32_t kBoxColumns = 64;
  constexpr std::int64_t kBoxRows = 8;
  if (workload.head_dim_qk <= found->qk - kBoxColumns) {
    refuse("head_dim_qk", workload.head_dim_qk, "leaves a box of {} empty, and forward_mma is not modelled",
           kBoxColumns);
  }
  if (workload.head_dim_vo <= found->vo - kBoxColumns) {
    refuse("head_dim_vo", workload.head_dim_vo, "leaves a box of {} empty, and forward_mma is not modelled",
           kBoxColumns);
  }
  if (workload.page_size % kBoxRows != 0) {
    refuse("page_size", workload.page_size, "is no multiple of {}, and forward_mma is not modelled", kBoxRows);
  }
  if (workload.soft_cap > 0) refuse("soft_cap", workload.soft_cap, "is not modelled");
  return *found;
}

std::int32_t group_rows(KernelOrder order) { return order == KernelOrder::kHopper ? 64 : 128; }

ItemShape shape_of(const WorkItem& item, const Workload& workload, const KernelDims& dims, KernelOrder order) {
  const std::int64_t height = group_rows(order);
  ItemShape shape;
  shape.rows = item.query_count * item.query_head_count;
  shape.groups = static_cast<std::int32_t>(ceil_div(shape.rows, height));
  shape.steps = ceil_div(item.key_end - item.key_begin, dims.keys);
  shape.partial = item.parts > 1;
  for (std::int64_t first = 0; first < shape.rows; first += height) {
    const bool dead_band = order == KernelOrder::kHopper && shape.rows - first <= height - kBandRows;
    shape.masked_steps +=
        dead_band ? shape.steps : masked_steps(item, workload, dims, shape.rows, first, height, shape.steps);
  }
  return shape;
}

}  // namespace varlen::cli
