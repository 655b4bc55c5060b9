// How long a multiprocessor works on one item of the plan if memory keeps up: the kernel's own order of operations.
#pragma once

#include "cli/model/gpu_rates.hpp"
#include "cli/model/item_shape.hpp"

namespace varlen::cli {

/// Seconds. One step over keys that is neither the item's first nor masked.
double step_time(const GpuRates& rates, const KernelDims& dims, std::int32_t groups);
double item_time(const GpuRates& rates, const KernelDims& dims, const ItemShape& shape);
/// From a block's start to its first item's first product.
double start_time(const GpuRates& rates, const KernelDims& dims);
/// What an item takes at least because it must be drawn and looked up before it can be loaded.
double draw_time(const GpuRates& rates);
/// A split tile's rows: `parts` are added up by a launch of their own.
double merge_time(const GpuRates& rates, std::int32_t parts);

}  // namespace varlen::cli
