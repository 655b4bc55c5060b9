#pragma once

#include "varlen/plan.hpp"

namespace varlen {

/// Throws Error naming the first field of the target that breaks its rule.
void validate(const PlanTarget& target);

}  // namespace varlen
