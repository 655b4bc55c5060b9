#pragma once

#include <cstdint>

#include "varlen/plan.hpp"

namespace varlen {

inline constexpr std::int32_t kMaxWorkers = 1 << 16;

/// Throws Error naming the first field of the target that breaks its rule.
void validate(const PlanTarget& target);

}  // namespace varlen
