// Workers draw items in order while they share the device's memory bandwidth.
#pragma once

#include <cstdint>
#include <vector>

namespace varlen::cli {

struct Demand {
  double seconds = 0;  ///< on a multiprocessor, if memory keeps up; > 0
  double bytes = 0;    ///< from and to device memory
};

struct Drawn {
  double makespan = 0;      ///< seconds
  double busy = 0;          ///< seconds of all workers, that items would take if memory kept up
  double memory_bound = 0;  ///< seconds of the makespan in which workers waited for memory
};

/// Every worker takes the next item when its last one is done. What items in flight want of memory each second,
/// bytes / seconds, they get if all of it is at most `bytes_per_second`; otherwise nobody gets more than an equal share
/// while others want more (max-min fairness), and an item that gets less takes as much longer.
Drawn draw(const std::vector<Demand>& items, std::int32_t workers, double bytes_per_second);

}  // namespace varlen::cli
