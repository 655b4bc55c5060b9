#include "kernel/plan_on_device.hpp"

#include "backend/emulator/kernels.hpp"
#include "gpu/emulator/block_operations.hpp"
#include "gpu/emulator/operations.hpp"

namespace varlen::emulator {

void plan_on_device(const kernel::PlanningParameters<std::int32_t>& parameters) {
  kernel::plan_on_device<std::int32_t, true>(parameters);
}
void plan_on_device(const kernel::PlanningParameters<std::int64_t>& parameters) {
  kernel::plan_on_device<std::int64_t, false>(parameters);
}

}  // namespace varlen::emulator
