// Plans made on a device against those of the host: byte for byte, and fault by fault.
#pragma once

#include <cstdint>
#include <string>

#include "length_arrays.hpp"
#include "varlen/attention.hpp"
#include "varlen/device.hpp"

namespace varlen::plan_test {

/// Where plans are made.
struct PlanningDevice {
  Backend backend;
  std::int32_t index;
  Upload upload;  // what it brought stays until it is called for the next batch
};

/// How the plan made there last differs from the host's; empty if not at all.
std::string difference(const DevicePlan& device, const Plan& host);

/// Draws a batch, some form of its lengths, limits that mostly hold it and, for every fourth seed, a wrong number among
/// them; plans it on both. Returns what differs, plans or errors. `max_items`: as of RandomCase::draw(). `wide`: the
/// limits allow more requests than a block's shared memory holds.
std::string check_device_plan(const PlanningDevice& device, std::uint64_t seed, std::int64_t max_items, bool wide);

}  // namespace varlen::plan_test
