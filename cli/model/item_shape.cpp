#include "cli/model/item_shape.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "varlen/attention.hpp"
#include "varlen/error.hpp"

namespace varlen::cli {
namespace {

// Of one warp of forward_wgmma, which masks every step if none of them exist.
constexpr std::int32_t kBandRows = 16;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

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
  const GpuKernel modelled = order == KernelOrder::kHopper ? GpuKernel::kWgmma : GpuKernel::kTcgen05;
  const Batch batch = workload.batch(Dtype::kBFloat16, Dtype::kBFloat16);
  const SpecSupport support = supports(batch, Backend::kEmulator, 0, modelled);
  if (support.kernel != gpu_kernel_name(modelled)) {
    throw Error(ErrorCode::kUnsupported, support.field, Error::kNoIndex, "",
                fmt::format("{}, and no other is modelled", support.reason));
  }
  if (workload.soft_cap > 0) {
    throw Error(ErrorCode::kUnsupported, "soft_cap", Error::kNoIndex, fmt::to_string(workload.soft_cap),
                fmt::format("soft_cap = {}: is not modelled", workload.soft_cap));
  }
  constexpr KernelDims kCompiled[] = {{64, 64, 128}, {128, 128, 128}, {192, 128, 128}, {256, 256, 64}};
  return *std::find_if(std::begin(kCompiled), std::end(kCompiled), [&](const KernelDims& dims) {
    return workload.head_dim_qk <= dims.qk && workload.head_dim_vo <= dims.vo;
  });
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
