#include "cli/model/prediction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <utility>

#include "cli/model/drawing.hpp"
#include "cli/model/item_shape.hpp"
#include "cli/model/item_time.hpp"
#include "cli/model/key_coverage.hpp"

namespace varlen::cli {
namespace {

constexpr double kElementBytes = 2;
constexpr double kLseBytes = 4;
constexpr std::int64_t kMostItems = std::int64_t{1} << 22;

/// An item, whatever the rates.
struct Item {
  ItemShape shape;
  double bytes = 0;
};

/// What the plan asks of the machine.
struct Asked {
  KernelDims dims;
  std::vector<Item> items;
  double bytes = 0;
  double parts_bytes = 0;   // of the workspace, which the L2 cache holds
  double merged_bytes = 0;  // of rows that are merged from parts
  std::int32_t most_parts = 0;
  std::int32_t workers = 0;
};

/// Walks the plan's items. Keys come from device memory for the first item that reads them; for all later ones the L2
/// cache has them, as the plan's order intends.
Asked ask(const Workload& workload, const Plan& plan, const GpuRates& rates) {
  Asked asked;
  asked.dims = KernelDims::of(workload, rates.order);
  asked.workers = plan.target().workers;
  const std::int64_t count = plan.item_count();
  if (count > kMostItems) {
    throw Error(ErrorCode::kUnsupported, "items", Error::kNoIndex, fmt::to_string(count),
                fmt::format("items = {} are more than the {} that the model looks at", count, kMostItems));
  }
  asked.items.reserve(static_cast<std::size_t>(count));
  std::unordered_map<std::int64_t, KeyCoverage> read;
  const double key_bytes = (workload.head_dim_qk + workload.head_dim_vo) * kElementBytes;
  for (std::int64_t i = 0; i < count; ++i) {
    const WorkItem item = plan.item(i);
    Item& asks = asked.items.emplace_back();
    asks.shape = shape_of(item, workload, asked.dims, rates.order);
    const auto rows = static_cast<double>(asks.shape.rows);
    KeyCoverage& keys = read[std::int64_t{item.request} * workload.kv_heads + item.kv_head];
    asks.bytes = static_cast<double>(keys.add(item.key_begin, item.key_end)) * key_bytes;
    if (item.part == 0) asks.bytes += rows * workload.head_dim_qk * kElementBytes;
    const double out = rows * (workload.head_dim_vo * kElementBytes + kLseBytes);
    if (item.parts == 1) {
      asks.bytes += out;
    } else {
      asked.parts_bytes += rows * (workload.head_dim_vo + 2) * sizeof(float);
      if (item.part == 0) asked.merged_bytes += out;
    }
    asked.bytes += asks.bytes;
    asked.most_parts = std::max(asked.most_parts, item.parts);
  }
  asked.bytes += asked.merged_bytes;
  return asked;
}

/// Everything but the gains.
Prediction time(const Asked& asked, const GpuRates& rates) {
  Prediction prediction;
  prediction.item_count = static_cast<std::int64_t>(asked.items.size());
  prediction.workers = asked.workers;
  prediction.bytes = asked.bytes;
  if (asked.items.empty()) return prediction;
  std::vector<Demand> demands;
  demands.reserve(asked.items.size());
  for (const Item& item : asked.items) demands.push_back({item_time(rates, asked.dims, item.shape), item.bytes});
  const Drawn drawn = draw(demands, asked.workers, rates.copy_bytes);
  prediction.items = drawn.makespan;
  prediction.mean_busy = drawn.busy / asked.workers;
  prediction.memory_bound = drawn.memory_bound;
  prediction.start = start_time(rates, asked.dims);
  const bool merges = asked.most_parts > 1;
  if (merges) {
    prediction.merge = merge_time(rates, asked.most_parts) +
                       asked.parts_bytes / (rates.l2_share() * rates.multiprocessors) +
                       asked.merged_bytes / rates.copy_bytes;
  }
  // The counter is cleared by one of its own.
  const bool draws = prediction.item_count > asked.workers;
  prediction.launches = 1 + (draws ? 1 : 0) + (merges ? 1 : 0);
  prediction.launch = prediction.launches * rates.launch;
  prediction.seconds = prediction.launch + prediction.start + prediction.items + prediction.merge;
  return prediction;
}

/// What a machine could have twice as fast.
const std::pair<const char*, std::function<void(GpuRates&)>> kFaster[] = {
    {"tensor cores", [](GpuRates& rates) { rates.matmul_flops *= 2; }},
    {"exp", [](GpuRates& rates) { rates.exp *= 2; }},
    {"other arithmetic",
     [](GpuRates& rates) {
       rates.fma *= 2;
       rates.half *= 2;
     }},
    {"instruction issue", [](GpuRates& rates) { rates.issue *= 2; }},
    {"shared memory", [](GpuRates& rates) { rates.shared_bytes *= 2; }},
    {"L2",
     [](GpuRates& rates) {
       rates.l2_bytes *= 2;
       rates.device_l2_bytes *= 2;
     }},
    {"bandwidth", [](GpuRates& rates) { rates.copy_bytes *= 2; }},
    {"latency",
     [](GpuRates& rates) {
       Latencies& latency = rates.latency;
       for (double* clocks : {&latency.arithmetic, &latency.special, &latency.shared, &latency.product, &latency.l2,
                              &latency.memory, &latency.tensor_mem}) {
         *clocks /= 2;
       }
     }},
    {"launch", [](GpuRates& rates) { rates.launch /= 2; }},
};

std::vector<Gain> gains_of(const Asked& asked, const GpuRates& rates, const Prediction& prediction) {
  std::vector<Gain> gains;
  for (const auto& [name, make_faster] : kFaster) {
    GpuRates faster = rates;
    make_faster(faster);
    gains.push_back({name, 1 - time(asked, faster).seconds / prediction.seconds});
  }
  // Half of what workers idle when no memory is waited for.
  const double idle = std::max(0.0, prediction.items - std::max(prediction.mean_busy, asked.bytes / rates.copy_bytes));
  gains.push_back({"idle workers", idle / 2 / prediction.seconds});
  std::stable_sort(gains.begin(), gains.end(), [](const Gain& a, const Gain& b) { return a.share > b.share; });
  // Where units are in balance, none alone saves much.
  constexpr double kLittle = 0.1;
  if (gains.front().share < kLittle) {
    GpuRates faster = rates;
    for (const auto& named : kFaster) named.second(faster);
    gains.insert(gains.begin(), {"several at once", 1 - time(asked, faster).seconds / prediction.seconds});
  }
  return gains;
}

}  // namespace

PlanTarget modelled_target(const Workload& workload, const GpuRates& rates) {
  PlanTarget target = PlanTarget::named(rates.name);
  target.key_block = KernelDims::of(workload, rates.order).keys;
  target.workers = rates.multiprocessors;
  return target;
}

Prediction predict(const Workload& workload, const GpuRates& rates) {
  const Batch batch = workload.batch(Dtype::kBFloat16, Dtype::kBFloat16);
  const Plan plan = make_plan(batch, modelled_target(workload, rates));
  const Asked asked = ask(workload, plan, rates);
  Prediction prediction = time(asked, rates);
  if (prediction.item_count > 0) {
    prediction.gains = gains_of(asked, rates, prediction);
  } else {
    prediction.gains = {{"nothing to do", 0}};
  }
  return prediction;
}

}  // namespace varlen::cli
