// Predicted, not measured: the time of a batch's attention on a GPU, and what bounds it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/model/gpu_rates.hpp"
#include "cli/workload.hpp"
#include "varlen/plan.hpp"

namespace varlen::cli {

/// Something that could be faster, and by how much all of the call would be if it were twice as fast.
struct Gain {
  std::string of;
  double share = 0;  ///< of the predicted time
};

struct Prediction {
  double seconds = 0;
  double launch = 0;        ///< of them: launches
  double start = 0;         ///< from a block's start to its first product
  double items = 0;         ///< first item's begin to last item's end
  double merge = 0;         ///< adding the parts of split tiles
  double mean_busy = 0;     ///< seconds of items, over workers
  double memory_bound = 0;  ///< seconds in which workers wait for device memory
  double bytes = 0;         ///< from and to device memory
  std::int64_t item_count = 0;
  std::int32_t workers = 0;
  std::int32_t launches = 0;
  std::vector<Gain> gains;  ///< largest first

  const std::string& bound() const { return gains.front().of; }
};

/// The machine that a modelled kernel's plan is made for.
PlanTarget modelled_target(const Workload& workload, const GpuRates& rates);

/// bf16. Throws Error for a batch that is wrong or that the modelled kernel does not compute.
Prediction predict(const Workload& workload, const GpuRates& rates);

}  // namespace varlen::cli
