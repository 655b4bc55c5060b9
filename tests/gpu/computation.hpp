// A placed case computed by varlen: its plan and workspace, and the results held against the oracle.
#pragma once

#include <string>

#include "machine.hpp"
#include "memory.hpp"
#include "placed_case.hpp"

namespace varlen::gpu_check {

/// A case's plan for one forward kernel, in the machine's memory, and workspaces for it.
class Computation {
 public:
  /// The plan is for the case's target or, if that has no tile shapes, for the machine's. `workspaces`: calls that may
  /// run at once.
  Computation(Machine& machine, Memory& memory, const PlacedCase& placed, GpuKernel gpu_kernel, int workspaces = 1);

  const Plan& plan() const noexcept { return plan_; }
  /// More items than two for each worker that the machine has for this batch?
  bool is_busy() const noexcept { return busy_; }
  Workspace workspace(int index = 0) const { return workspaces_[static_cast<std::size_t>(index)].workspace; }
  RunOptions options(void* stream = nullptr) const;

  void run(int output, int workspace = 0, void* stream = nullptr) const;
  /// What changed beside the workspaces; empty if nothing did.
  std::string stray_writes() const;

 private:
  struct Place {
    Workspace workspace;
    oracle::Region before;
    oracle::Region after;
  };
  Machine& machine_;
  const PlacedCase& placed_;
  const GpuKernel gpu_kernel_;
  Plan plan_;
  bool busy_ = false;
  std::vector<Place> workspaces_;
};

/// The first row that is wrong, with how far it is from right; empty if none is. `rows`: null for all.
/// `gpu_kernels`: what computed each of the outputs.
std::string first_wrong_row(Machine& machine, const PlacedCase& placed, const Judgement& judgement,
                            const std::vector<GpuKernel>& gpu_kernels);

}  // namespace varlen::gpu_check
