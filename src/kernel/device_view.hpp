// How much there is of a plan: the launch says so, or, of a plan that was made on the device, memory does.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/parameters.hpp"

namespace varlen::kernel {

VARLEN_DEVICE PlanView device_view(const ForwardParameters& parameters) {
  PlanView plan = parameters.plan;
  if (parameters.counts != nullptr) {
    plan.run_count = parameters.counts->runs;
    plan.listed_front = parameters.counts->listed_front;
    plan.run_items = parameters.counts->run_items;
    plan.listed_back = parameters.counts->listed_back;
  }
  return plan;
}

/// The plan is one that was made on the device, and what there is there is none.
VARLEN_DEVICE bool lacks_plan(const ForwardParameters& parameters) {
  return parameters.counts != nullptr && parameters.counts->is_made == 0;
}

VARLEN_DEVICE std::int64_t merge_count(const ForwardParameters& parameters) {
  return parameters.counts != nullptr ? parameters.counts->merges : parameters.merge_count;
}

}  // namespace varlen::kernel
