#include "computation.hpp"

#include <fmt/format.h>

#include "score.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kWorkspaceAlignment = 64;

Plan plan_for(Machine& machine, const PlacedCase& placed, const PlanTarget& own) {
  const PlanTarget& wanted = placed.test().target;
  return machine.prepared(make_plan(placed.batch(), wanted.tile_shapes.empty() ? own : wanted));
}

oracle::Region bytes_between(std::byte* begin, std::byte* end) { return {begin, Dtype::kFloat16, (end - begin) / 2}; }

}  // namespace

Computation::Computation(Machine& machine, Memory& memory, const PlacedCase& placed, GpuKernel gpu_kernel,
                         int workspaces)
    : machine_(machine), placed_(placed), gpu_kernel_(gpu_kernel), plan_(Plan(nullptr)) {
  const PlanTarget own = machine.target(placed.batch(), gpu_kernel);
  plan_ = plan_for(machine, placed, own);
  busy_ = plan_.item_count() > 2 * std::int64_t{own.workers};
  const std::int64_t bytes = workspace_bytes(plan_, machine.backend());
  for (int i = 0; i < workspaces; ++i) {
    const Piece piece = memory.place(bytes, kWorkspaceAlignment);
    // All ones are NaN: a slot that is read before it was written shows.
    machine.fill(bytes_between(piece.begin, piece.end), oracle::Pattern::kUnwritten);
    workspaces_.push_back(
        {{piece.data, bytes}, bytes_between(piece.begin, piece.data), bytes_between(piece.data + bytes, piece.end)});
  }
}

RunOptions Computation::options(void* stream) const {
  return {.backend = machine_.backend(), .kernel = gpu_kernel_, .stream = stream};
}

void Computation::run(int output, int workspace, void* stream) const {
  varlen::run(plan_, placed_.tensors(output), this->workspace(workspace), options(stream));
}

std::string Computation::stray_writes() const {
  for (const Place& place : workspaces_) {
    for (const oracle::Region& region : {place.before, place.after}) {
      if (machine_.first_change(region, oracle::Pattern::kUnwritten) >= 0) return "memory beside the workspace changed";
    }
  }
  return {};
}

std::string first_wrong_row(Machine& machine, const PlacedCase& placed, const Judgement& judgement,
                            const std::vector<GpuKernel>& gpu_kernels) {
  if (judgement.failed == 0) return {};
  const oracle::Verdict verdict = machine.verdict(placed.problem(), judgement.first_failed);
  return fmt::format("{}: out is {:.3g} and lse {:.3g} times the allowed error away on {} ({} of {} rows wrong)",
                     placed.describe_row(judgement.first_failed), verdict.out, verdict.lse,
                     name_of(gpu_kernels[static_cast<std::size_t>(verdict.result)]), judgement.failed, judgement.rows);
}

}  // namespace varlen::gpu_check
