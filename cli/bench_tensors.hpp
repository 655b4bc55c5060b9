// Random tensors for a workload.
#pragma once

#include "cli/data.hpp"
#include "cli/workload.hpp"
#include "varlen/batch.hpp"

namespace varlen::cli {

/// Query, key, value, output and LSE of a workload; pages in a shuffled order if its keys are paged.
class BenchTensors {
 public:
  /// Uninitialised queries, keys and values take no memory until somebody touches them.
  enum class Fill { kRandom, kNothing };
  BenchTensors(const Workload& workload, Dtype dtype, Fill fill = Fill::kRandom);
  const Tensors& tensors() const noexcept { return tensors_; }

  static double bytes_needed(const Workload& workload, Dtype dtype);

 private:
  void make_pages(const Workload& workload);

  Buffer query_, key_, value_, out_, lse_, block_table_;
  Tensors tensors_;
};

}  // namespace varlen::cli
