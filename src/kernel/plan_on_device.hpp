// A plan made on the device from lengths in its memory, by one block or one cluster of blocks: the planner of the host
// with these as its team.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/block_team.hpp"
#include "kernel/planning_parameters.hpp"
#include "kernel/report_fault.hpp"
#include "kernel/request_reader.hpp"
#include "plan/planner.hpp"

namespace varlen::kernel {

/// A plan's arrays in memory of the device.
template <class Int>
class DeviceOutput {
 public:
  VARLEN_DEVICE explicit DeviceOutput(const PlanningParameters<Int>& parameters) : parameters_(parameters) {}

  VARLEN_DEVICE Run* runs(std::int32_t /*count*/) const { return parameters_.runs; }
  VARLEN_DEVICE WorkItem* listed(std::int32_t /*count*/) const { return parameters_.listed; }
  VARLEN_DEVICE Merge* merges(std::int32_t /*count*/) const { return parameters_.merges; }
  VARLEN_DEVICE bool has_room(std::int64_t items, std::int64_t merges) {
    lacks_room_ |= items > parameters_.most_listed || merges > parameters_.most_merges;
    return !lacks_room_;
  }
  VARLEN_DEVICE bool lacks_room() const { return lacks_room_; }

 private:
  const PlanningParameters<Int>& parameters_;
  bool lacks_room_ = false;
};

/// Every thread of the team. `kArrays`: where what it works with is.
template <class Int, Arrays kArrays>
VARLEN_DEVICE void plan_on_device(const PlanningParameters<Int>& parameters) {
  using Team = BlockTeam<kArrays>;
  using Requests = RequestReader<Int, Team>;
  Team team(sort_classes(parameters.problem), parameters.scratch);
  Requests requests(parameters, team);
  requests.prepare();
  DeviceOutput<Int> output(parameters);
  Planner<Team, Requests, DeviceOutput<Int>> planner(team, parameters.problem, requests, output);
  const PlanCounts counts = planner.plan();
  team.end();
  if (!team.leads()) return;
  team.store(parameters.counts, counts);
  LengthFault fault{};
  if (planner.fault() != kNoFault) {
    fault = requests.describe(planner.fault());
  } else if (output.lacks_room()) {
    fault.rule = LengthRule::kNoRoom;
  }
  team.store(&parameters.status->fault, fault);
  if (fault.rule != LengthRule::kNone) {
    report_fault(parameters.faults, fault);
  } else {
    gpu::store_global(&parameters.counts->is_made, std::int64_t{1});
  }
  gpu::store_global(&parameters.status->requests, std::int64_t{requests.count()});
}

}  // namespace varlen::kernel
