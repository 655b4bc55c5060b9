// make_plan(): the planner (planner.hpp) on the host.
#include "plan/planner.hpp"

#include <chrono>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "plan/plan_data.hpp"
#include "plan/target.hpp"
#include "plan/team.hpp"

namespace varlen {
namespace {

/// The requests of a valid batch. Nothing is kept: to find it out again is cheaper than memory.
class HostRequests {
 public:
  using Int = std::int64_t;
  struct Lengths {
    std::int64_t query;
    std::int64_t key;
  };

  HostRequests(const RaggedBatch& batch, const TileSelector& selector)
      : requests_(batch.requests), selector_(selector) {}

  std::int32_t count() const { return static_cast<std::int32_t>(requests_.size()); }
  Lengths load(std::int32_t request) const { return {extent(request).query_length, extent(request).key_length}; }
  static Lengths read(std::int32_t /*request*/, const Lengths& lengths) { return lengths; }
  std::uint64_t fault() const { return kNoFault; }

  void keep(std::int32_t /*request*/, const TileChoice<Int>& /*choice*/) {}
  TileChoice<Int> choice(std::int32_t request) const { return selector_.choose(extent(request).query_length); }
  std::int64_t key_length(std::int32_t request) const { return extent(request).key_length; }
  RequestTiles tiles(std::int32_t request) const {
    return selector_.select(extent(request).query_length, extent(request).key_length);
  }

 private:
  const RequestExtent& extent(std::int32_t request) const { return requests_[static_cast<std::size_t>(request)]; }

  const std::vector<RequestExtent>& requests_;
  const TileSelector& selector_;
};

/// A plan's vectors.
class HostOutput {
 public:
  explicit HostOutput(PlanData& plan) : plan_(plan) {}

  Run* runs(std::int32_t count) { return resized(plan_.runs, count); }
  WorkItem* listed(std::int32_t count) { return resized(plan_.listed, count); }
  Merge* merges(std::int32_t count) { return resized(plan_.merges, count); }

  /// Throws if there is none.
  static bool has_room(std::int64_t items, std::int64_t /*merges*/) {
    constexpr std::int64_t kMostListed = std::numeric_limits<std::int32_t>::max() - 1;
    if (items <= kMostListed) return true;
    throw Error(ErrorCode::kOutOfMemory, "batch", Error::kNoIndex, "",
                "batch: its plan lists more than 2^31 - 2 items, as batch_invariant plans of long requests may");
  }

 private:
  template <class T>
  static T* resized(std::vector<T>& values, std::int32_t count) {
    values.resize(static_cast<std::size_t>(count));
    return values.data();
  }

  PlanData& plan_;
};

}  // namespace

Plan make_plan(const AttentionSpec& spec, const Requests& requests, const PlanTarget& target) {
  const auto start = std::chrono::steady_clock::now();
  validate(target);
  auto data = std::make_shared<PlanData>();
  data->batch = canonical(spec, requests);
  data->target = target;
  const auto problem = plan_problem<std::int64_t>(data->batch, target, data->batch.key_tokens);
  check_costs(problem, data->batch);
  HostTeam team;
  HostRequests reader(data->batch, problem.selector);
  HostOutput output(*data);
  const PlanCounts counts = Planner<HostTeam, HostRequests, HostOutput>(team, problem, reader, output).plan();
  data->listed_front = counts.listed_front;
  data->run_items = counts.run_items;
  data->partial_rows = counts.partial_rows;
  data->plan_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  return Plan(std::move(data));
}

}  // namespace varlen
