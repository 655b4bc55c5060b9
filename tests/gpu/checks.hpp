// The subcommands of gpu_check. Each prints a line for each finding, figures, and last `N passed, M failed`.
#pragma once

#include <cstdint>
#include <vector>

#include "machine.hpp"
#include "random_case.hpp"

namespace varlen::gpu_check {

struct Options {
  std::int64_t count = 0;  // of cases or repetitions
  std::uint64_t seed = 1;  // of the first case, which has exactly this seed
  double seconds = 1e9;    // stop after these
  std::vector<GpuKernel> gpu_kernels;
  Effort effort;               // of one random case
  std::int64_t shrink_by = 1;  // divides what is large, requests and tokens, to try it on a small machine
};

struct Outcome {
  std::int64_t passed = 0;
  std::int64_t failed = 0;
};

/// Random ragged batches on every forward kernel, against the oracle.
Outcome check_random(Machine& machine, const Options& options);
/// Whether NaN, Inf and huge numbers in every byte that is not a request's own change a bit of its result.
Outcome check_isolation(Machine& machine, const Options& options);
/// Tensors that touch unmapped memory: behind their ends, then before their beginnings.
Outcome check_guard_pages(Machine& machine, const Options& options);
/// Tensors of more than 2^31 elements, and very many requests.
Outcome check_large(Machine& machine, const Options& options);
/// `count` times the same bits, from two streams at once as well.
Outcome check_repeat(Machine& machine, const Options& options);
/// Calls that must be refused before anything is launched.
Outcome check_bad_input(Machine& machine, const Options& options);

/// Wrong lengths on the device, of every kind, eager and replayed: results are NaN, and the next call says why.
Outcome check_refused(Machine& machine, const Options& options);
/// Random block tables that name pages which do not exist: rows that need them are NaN, and the next call says so.
Outcome check_bad_pages(Machine& machine, const Options& options);

/// Plans of random batches made there, byte for byte as the host makes them; wrong lengths, error for error.
Outcome check_plan(Machine& machine, const Options& options);
/// One graph, captured once, that plans and computes `count` batches: the same bits as with the host's plans.
Outcome check_graph(Machine& machine, const Options& options);
/// How long the planner takes: medians in microseconds.
Outcome time_plan(Machine& machine, const Options& options);

}  // namespace varlen::gpu_check
