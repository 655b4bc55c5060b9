#include "device_plan_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <vector>

#include "plan/plan_data.hpp"
#include "random_case.hpp"

namespace varlen::plan_test {
namespace {

template <class T>
std::string difference_of(const char* name, const std::vector<T>& device, const std::vector<T>& host) {
  if (device.size() != host.size()) return fmt::format("{} {} instead of {}", device.size(), name, host.size());
  for (std::size_t i = 0; i < host.size(); ++i) {
    if (std::memcmp(&device[i], &host[i], sizeof(T)) != 0) return fmt::format("{}[{}] differ", name, i);
  }
  return "";
}

std::string show(const std::optional<Error>& error) {
  if (!error) return "no error";
  return fmt::format("code {}, field {}, index {}, value '{}': {}", static_cast<int>(error->code()), error->field(),
                     error->index(), error->value(), error->what());
}

/// What make_plan() says: a plan or an error.
struct HostPlan {
  std::optional<Plan> plan;
  std::optional<Error> error;
};
HostPlan plan_on_host(const Batch& batch, const PlanTarget& target) {
  try {
    return {make_plan(batch, target), std::nullopt};
  } catch (const Error& error) {
    return {std::nullopt, error};
  }
}

class RandomPlan {
 public:
  RandomPlan(std::uint64_t seed, std::int64_t max_items, bool wide) : random_(seed) {
    random_.draw(random_.log_uniform(1, max_items));
    const auto below = [&](std::int64_t n) { return random_.uniform(0, n - 1); };
    arrays_.emplace(random_.batch.query_lengths, random_.batch.key_lengths, below);
    choose_limits(wide);
    if (random_.one_in(4)) arrays_->spoil(below);
    if (arrays_->counts_requests() && random_.one_in(30)) {
      arrays_->request_count = static_cast<std::int32_t>(random_.one_in(2) ? -1 : limits_.requests + 1);
    }
  }

  std::string check(const PlanningDevice& device) const {
    AttentionSpec spec = random_.batch.view();
    spec.page_size = arrays_->page_size;
    const DevicePlan plan(spec, limits_, random_.target, {.backend = device.backend, .device = device.index});
    plan.update(arrays_->on_device(device.upload));
    const std::optional<Error> found = plan.status();

    Batch batch{spec, {}};
    arrays_->describe(batch);
    if (arrays_->request_count != random_.batch.requests()) {
      return found && found->field() == "requests" ? "" : "a wrong number of requests gives " + show(found);
    }
    const HostPlan host = plan_on_host(batch, random_.target);
    const std::string from_host = check_from_host(plan, batch, host, found.has_value());
    if (!from_host.empty()) return "with lengths of the host, " + from_host;
    if (host.error) return show(found) == show(host.error) ? "" : show(found) + " instead of " + show(host.error);
    if (!within_limits()) {
      return found && std::string(found->what()).find("limits.") != std::string::npos
                 ? ""
                 : "lengths beyond the limits give " + show(found);
    }
    if (found) return show(found) + " instead of a plan";
    if (workspace_bytes(plan) < workspace_bytes(*host.plan, device.backend)) {
      return "the workspace of its limits is too small";
    }
    return difference(plan, *host.plan);
  }

  std::string describe() const { return plan_test::describe(random_.batch, random_.target); }

 private:
  void choose_limits(bool wide) {
    limits_ = arrays_->limits();
    if (random_.one_in(2)) {
      limits_.query_length = longest(random_.batch.query_lengths) + random_.log_uniform(0, 100);
      limits_.key_length = longest(random_.batch.key_lengths) + random_.log_uniform(0, 100);
    }
    if (random_.one_in(2)) {
      limits_.requests += random_.log_uniform(0, 40);
      limits_.query_tokens += random_.log_uniform(0, 4000);
      limits_.key_tokens += random_.log_uniform(0, 4000);
      arrays_->count_requests();
    }
    if (wide) {
      limits_.requests = std::max<std::int64_t>(limits_.requests, 8000);
      arrays_->count_requests();
    }
  }

  /// Made once more, of the same lengths in memory of the host: an error is thrown and leaves the plan as it is.
  std::string check_from_host(const DevicePlan& plan, const Requests& requests, const HostPlan& host,
                              bool was_refused) const {
    try {
      plan.update(requests);
    } catch (const Error& error) {
      if (host.error) return show(error) == show(host.error) ? "" : show(error) + " instead of " + show(host.error);
      const bool names_limits = std::string(error.what()).find("limits.") != std::string::npos;
      return was_refused && names_limits ? "" : show(error) + " although nothing is wrong";
    }
    if (was_refused) return "nothing is refused";
    return difference(plan, *host.plan);
  }

  bool within_limits() const {
    const auto fits = [](const SideArrays& side, std::int64_t most_tokens, std::int64_t most_length) {
      const auto requests = static_cast<std::size_t>(std::ssize(side.lengths));
      std::int64_t tokens = side.has_indptr ? side.indptr.back() : 0;
      for (std::size_t r = 0; r < requests; ++r) {
        const std::int64_t length = side.has_lengths ? side.lengths[r] : side.indptr[r + 1] - side.indptr[r];
        if (!side.has_indptr) tokens += length;
        if (most_length > 0 && length > most_length) return false;
      }
      return tokens <= most_tokens;
    };
    return fits(arrays_->query, limits_.query_tokens, limits_.query_length) &&
           fits(arrays_->key, limits_.key_tokens, limits_.key_length);
  }

  static std::int64_t longest(const std::vector<std::int64_t>& lengths) {
    return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  }

  RandomCase random_;
  std::optional<LengthArrays> arrays_;
  Limits limits_;
};

}  // namespace

std::string difference(const DevicePlan& device_plan, const Plan& host_plan) {
  const Plan copy = device_plan.to_host();
  const PlanData& device = copy.data();
  const PlanData& host = host_plan.data();
  for (const std::string& found :
       {difference_of("requests", device.batch.requests, host.batch.requests),
        difference_of("runs", device.runs, host.runs), difference_of("listed items", device.listed, host.listed),
        difference_of("merges", device.merges, host.merges)}) {
    if (!found.empty()) return found;
  }
  if (device.listed_front != host.listed_front || device.run_items != host.run_items ||
      device.partial_rows != host.partial_rows) {
    return fmt::format("listed_front {}, run_items {}, partial_rows {} instead of {}, {}, {}", device.listed_front,
                       device.run_items, device.partial_rows, host.listed_front, host.run_items, host.partial_rows);
  }
  if (device.batch.query_tokens != host.batch.query_tokens || device.batch.key_tokens != host.batch.key_tokens) {
    return "tokens differ";
  }
  return "";
}

std::string check_device_plan(const PlanningDevice& device, std::uint64_t seed, std::int64_t max_items, bool wide) {
  const RandomPlan random(seed, max_items, wide);
  const std::string found = random.check(device);
  return found.empty() ? found : found + " for " + random.describe();
}

}  // namespace varlen::plan_test
