// How many threads the CPU backend takes unless it is told.
#pragma once

#include <cstdint>
#include <string>

namespace varlen {

/// OMP_NUM_THREADS as it was when the process first asked, or else the CPUs that the calling thread may run on now, but
/// no more than cpu_quota() as it was then. From 1 to kMaxWorkers.
std::int32_t offered_threads();

/// Which of them it is, in words.
std::string offered_threads_source();

}  // namespace varlen
