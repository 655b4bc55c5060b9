// A plan that is made on a device: room for it in one piece of memory, what its launches have in common, and reading it
// back. Runs on the host.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "gpu/operations.hpp"
#include "kernel/planning_parameters.hpp"
#include "kernel/team_memory.hpp"
#include "plan/limits.hpp"
#include "plan/plan_data.hpp"
#include "plan/planner.hpp"
#include "varlen/device.hpp"

namespace varlen::kernel {

/// Offsets in bytes of what lies in the piece of memory.
struct PlanLayout {
  std::int64_t counts;
  std::int64_t status;
  std::int64_t lock;  // of FaultLine
  std::int64_t requests;
  std::int64_t runs;
  std::int64_t listed;
  std::int64_t merges;
  std::int64_t scratch;
  std::int64_t bytes;
};

class Planning {
 public:
  /// `most_shared`: bytes of shared memory that a block may have. `has_clusters`: so may all blocks of a cluster.
  /// Throws Error(kUnsupported) as plan_sizes() does.
  Planning(const RaggedBatch& batch, const PlanTarget& target, const Limits& limits, std::int64_t most_shared,
           bool has_clusters)
      : limits_(resolved(limits)),
        laid_out_keys_(batch.page_size == 0),
        wide_(plan_problem<std::int64_t>(batch, target, limits_.key_length)),
        narrow_(plan_problem<std::int32_t>(batch, target, limits_.key_length)),
        sizes_(plan_sizes(wide_, target, limits_)) {
    is_narrow_ = varlen::is_narrow(wide_, sizes_, limits_);
    choose_arrays(most_shared, has_clusters);
    lay_out();
  }

  const Limits& limits() const { return limits_; }
  const PlanSizes& sizes() const { return sizes_; }
  const PlanLayout& layout() const { return layout_; }
  /// The planner's type of lengths is int32, not int64.
  bool is_narrow() const { return is_narrow_; }
  Arrays arrays() const { return arrays_; }
  /// Of each block.
  int threads() const {
    constexpr std::uint64_t kFewest = 256;
    constexpr std::uint64_t kMost = TeamMemory::kMaxWarps * gpu::kWarpThreads;
    if (arrays_ == Arrays::kCluster) return TeamMemory::kClusterWarps * gpu::kWarpThreads;
    return static_cast<int>(std::clamp(std::bit_ceil(static_cast<std::uint64_t>(limits_.requests)), kFewest, kMost));
  }
  std::int64_t shared_bytes() const { return is_narrow_ ? shared_bytes<std::int32_t>() : shared_bytes<std::int64_t>(); }

  template <class Int>
  PlanningParameters<Int> parameters(std::byte* memory, const DeviceRequests& lengths, FaultReport* report) const {
    PlanningParameters<Int> parameters{};
    parameters.problem = problem<Int>();
    parameters.query = {array_of(lengths.query_indptr), array_of(lengths.query_lengths), limits_.query_tokens,
                        limits_.query_length, true};
    parameters.key = {array_of(lengths.key_indptr), array_of(lengths.key_lengths), limits_.key_tokens,
                      limits_.key_length, laid_out_keys_};
    parameters.request_count = lengths.request_count;
    parameters.most_requests = static_cast<std::int32_t>(limits_.requests);
    parameters.most_listed = sizes_.listed;
    parameters.most_merges = sizes_.merges;
    parameters.requests = reinterpret_cast<RequestExtent*>(memory + layout_.requests);
    parameters.runs = reinterpret_cast<Run*>(memory + layout_.runs);
    parameters.listed = reinterpret_cast<WorkItem*>(memory + layout_.listed);
    parameters.merges = reinterpret_cast<Merge*>(memory + layout_.merges);
    parameters.counts = reinterpret_cast<PlanCounts*>(memory + layout_.counts);
    parameters.status = reinterpret_cast<PlanStatus*>(memory + layout_.status);
    parameters.faults = faults(memory, report);
    parameters.scratch = memory + layout_.scratch;
    return parameters;
  }

  FaultLine faults(std::byte* memory, FaultReport* report) const {
    return {report, reinterpret_cast<std::uint32_t*>(memory + layout_.lock)};
  }

  /// The pointers of a plan in memory of the device. Its counts are there, too.
  PlanView view(const std::byte* memory) const {
    PlanView view{};
    view.requests = reinterpret_cast<const RequestExtent*>(memory + layout_.requests);
    view.runs = reinterpret_cast<const Run*>(memory + layout_.runs);
    view.listed = reinterpret_cast<const WorkItem*>(memory + layout_.listed);
    view.mask = {wide_.mask.left, wide_.mask.right};
    view.key_block = static_cast<std::int32_t>(wide_.key_block.value);
    view.kv_heads = wide_.kv_heads;
    view.group = wide_.group;
    return view;
  }

 private:
  template <class Int>
  const PlanProblem<Int>& problem() const {
    if constexpr (sizeof(Int) == sizeof(std::int32_t)) {
      return narrow_;
    } else {
      return wide_;
    }
  }
  /// One block does it for a few requests, as its threads need not wait for those of others, and without clusters, or
  /// if a team's arrays take more than their memory.
  void choose_arrays(std::int64_t most_shared, bool has_clusters) {
    constexpr std::int64_t kFewRequests = 512;
    arrays_ = Arrays::kCluster;
    if (has_clusters && limits_.requests > kFewRequests && shared_bytes() <= most_shared) return;
    arrays_ = Arrays::kShared;
    if (is_narrow_ && shared_bytes() <= most_shared) return;
    arrays_ = Arrays::kGlobal;
    is_narrow_ = false;
  }

  template <class Int>
  std::int64_t scratch_bytes() const {
    const auto array = [&](std::int64_t bytes) { return TeamMemory::array(arrays_, bytes); };
    // Of requests: both lengths and how they are cut.
    return 3 * array(static_cast<std::int64_t>(sizeof(Int)) * limits_.requests) +
           plan_scratch_bytes<Int>(limits_.requests, wide_.batch_invariant, sizes_.listed_tiles, sizes_.listed, array);
  }
  template <class Int>
  std::int64_t shared_bytes() const {
    return TeamMemory::before_arrays(arrays_, threads() / gpu::kWarpThreads, sort_classes(problem<Int>())) +
           (arrays_ != Arrays::kGlobal ? scratch_bytes<Int>() : 0);
  }

  void lay_out() {
    std::int64_t bytes = 0;
    const auto place = [&](std::int64_t size) {
      const std::int64_t at = bytes;
      bytes += (size + 255) / 256 * 256;
      return at;
    };
    const auto size_of = [](std::int64_t count, std::size_t size) { return count * static_cast<std::int64_t>(size); };
    layout_.counts = place(sizeof(PlanCounts));
    layout_.status = place(sizeof(PlanStatus));
    layout_.lock = place(sizeof(std::uint32_t));
    layout_.requests = place(size_of(limits_.requests, sizeof(RequestExtent)));
    layout_.runs = place(size_of(limits_.requests, sizeof(Run)));
    layout_.listed = place(size_of(sizes_.listed, sizeof(WorkItem)));
    layout_.merges = place(size_of(sizes_.merges, sizeof(Merge)));
    layout_.scratch = place(arrays_ != Arrays::kGlobal ? 0 : scratch_bytes<std::int64_t>());
    layout_.bytes = bytes;
  }

  static LengthArray array_of(const DeviceIndices& indices) { return {indices.data(), indices.wide()}; }

  Limits limits_;
  bool laid_out_keys_;
  PlanProblem<std::int64_t> wide_;
  PlanProblem<std::int32_t> narrow_;
  PlanSizes sizes_;
  bool is_narrow_ = false;
  Arrays arrays_ = Arrays::kGlobal;
  PlanLayout layout_{};
};

/// The plan that was made last, empty if lengths were wrong. `copy` brings bytes to the host: copy(to, offset in the
/// piece of memory, bytes).
template <class Copy>
std::shared_ptr<PlanData> read_plan(const Planning& planning, const RaggedBatch& batch, const PlanTarget& target,
                                    const Copy& copy) {
  const PlanLayout& layout = planning.layout();
  PlanCounts counts;
  PlanStatus status;
  copy(&counts, layout.counts, sizeof(counts));
  copy(&status, layout.status, sizeof(status));
  auto plan = std::make_shared<PlanData>();
  plan->batch = batch;
  plan->batch.most_requests = 0;
  plan->batch.query_tokens = status.query_tokens;
  plan->batch.key_tokens = status.key_tokens;
  plan->target = target;
  const auto read = [&](auto& values, std::int64_t offset, std::int64_t count) {
    values.resize(static_cast<std::size_t>(count));
    if (count > 0) copy(values.data(), offset, count * static_cast<std::int64_t>(sizeof(values[0])));
  };
  read(plan->batch.requests, layout.requests, status.fault.rule == LengthRule::kNone ? status.requests : 0);
  read(plan->runs, layout.runs, counts.runs);
  read(plan->listed, layout.listed, counts.listed_front + counts.listed_back);
  read(plan->merges, layout.merges, counts.merges);
  plan->listed_front = counts.listed_front;
  plan->run_items = counts.run_items;
  plan->partial_rows = counts.partial_rows;
  return plan;
}

}  // namespace varlen::kernel
