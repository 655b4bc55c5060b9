#include "backend/emulator/kernels.hpp"
#include "gpu/emulator/operations.hpp"
#include "kernel/merge_partials.hpp"

namespace varlen::emulator {

Kernel merge_kernel() { return {kernel::merge_partials, kernel::kMergeThreads, 0, "merge_partials"}; }

}  // namespace varlen::emulator
