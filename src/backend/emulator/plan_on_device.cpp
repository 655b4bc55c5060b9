#include "kernel/plan_on_device.hpp"

#include "backend/emulator/kernels.hpp"
#include "gpu/emulator/block_operations.hpp"
#include "gpu/emulator/operations.hpp"

namespace varlen::emulator {

void plan_on_device(const kernel::PlanningParameters<std::int32_t>& parameters) {
  kernel::plan_on_device<std::int32_t, kernel::Arrays::kShared>(parameters);
}
void plan_on_device(const kernel::PlanningParameters<std::int64_t>& parameters) {
  kernel::plan_on_device<std::int64_t, kernel::Arrays::kGlobal>(parameters);
}

}  // namespace varlen::emulator
