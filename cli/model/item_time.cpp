#include "cli/model/item_time.hpp"

#include <algorithm>
#include <cmath>

namespace varlen::cli {
namespace {

constexpr double kElementBytes = 2;
// Of the masking code, for each score: two comparisons and a choice.
constexpr double kMaskOperations = 3;
// A polynomial of degree 3 and the reduction of its argument.
constexpr double kPolynomialOperations = 7;
// Between the largest score and the first exponential: difference, scaling, comparison, branch.
constexpr double kReferenceChain = 4;
// Of an item that is looked up, after the counter: run, request, and a division or two between them.
constexpr double kLookUpLoads = 3;
constexpr double kLookUpChain = 100;
// Of a whole row: reciprocal and logarithm of its sum.
constexpr double kRowSpecials = 2;
constexpr double kRowChain = 10;
// forward_wgmma has two stages of queries up to this head dim, one above.
constexpr std::int32_t kTwoQueryStages = 128;

/// Seconds that the units of one multiprocessor are busy with one step of `groups` × `rows` rows.
class Step {
 public:
  Step(const GpuRates& rates, const KernelDims& dims, std::int32_t rows, std::int32_t groups)
      : rates_(rates),
        dims_(dims),
        rows_(rows),
        groups_(groups),
        scores_(static_cast<double>(rows) * groups * dims.keys) {}

  double scores_product() const {
    const double operand = (rows_ + dims_.keys) * static_cast<double>(dims_.qk) * kElementBytes * groups_;
    return std::max(tensor(dims_.qk), shared(operand));
  }
  double values_product() const {
    return std::max(tensor(dims_.vo), shared(static_cast<double>(dims_.keys) * dims_.vo * kElementBytes * groups_));
  }
  /// Keys and values on their way in.
  double load() const { return std::max(shared(step_bytes()), step_bytes() / rates_.l2_share()); }
  double shared_traffic() const {
    return shared((rows_ + dims_.keys) * static_cast<double>(dims_.qk) * kElementBytes * groups_ +
                  static_cast<double>(dims_.keys) * dims_.vo * kElementBytes * groups_ + step_bytes());
  }
  /// `inputs` scores go into one maximum at a time.
  double maxima(double inputs) const { return half(scores_ / (inputs - 1)); }
  double exponentials() const {
    const double polynomials = scores_ * rates_.polynomial_share;
    const double special = (scores_ - polynomials) / rates_.exp;
    const double fma = (3 * scores_ + polynomials * kPolynomialOperations) / rates_.fma;  // difference, scale, sum
    return std::max(special, fma) / rates_.clock;
  }
  double weights() const { return half(scores_ / 2); }  // two at a time become 16-bit numbers
  double mask_of_one_group() const { return half(kMaskOperations * rows_ * dims_.keys); }

 private:
  double tensor(double depth) const { return 2 * scores_ * depth / (rates_.matmul_flops / rates_.multiprocessors); }
  double shared(double bytes) const { return bytes / rates_.shared_bytes / rates_.clock; }
  double half(double operations) const { return operations / rates_.half / rates_.clock; }
  double step_bytes() const { return static_cast<double>(dims_.keys) * (dims_.qk + dims_.vo) * kElementBytes; }

  const GpuRates& rates_;
  const KernelDims& dims_;
  double rows_;
  double groups_;
  double scores_;
};

double tile_bytes(const GpuRates& rates, std::int32_t columns) {
  return 2.0 * group_rows(rates.order) * columns * kElementBytes;
}

/// An item's queries and first keys, from device memory.
double first_load(const GpuRates& rates, const KernelDims& dims) {
  const double keys = static_cast<double>(dims.keys) * dims.qk * kElementBytes;
  return (rates.latency.memory + (tile_bytes(rates, dims.qk) + keys) / rates.l2_bytes) / rates.clock;
}

/// Between a step's scores and its weights, past what units are busy: shuffles, the reference, the first exponential,
/// the last sum.
double softmax_latency(const GpuRates& rates) {
  const Latencies& latency = rates.latency;
  const double trips = rates.order == KernelOrder::kHopper ? 2 * latency.shared : 2 * latency.tensor_mem;
  return (trips + (kReferenceChain + 3) * latency.arithmetic + latency.special) / rates.clock;
}

/// From a barrier that says that operands are there to the first sums.
double product_latency(const GpuRates& rates) {
  return (2 * rates.latency.shared + rates.latency.product) / rates.clock;
}

/// Both warpgroups' products are in the tensor cores at once, because a turn passes on when products are issued, and
/// they share them evenly: scores of both end together, then both find weights while the values of the step before are
/// multiplied.
double hopper_step(const GpuRates& rates, const Step& step) {
  const double turn = rates.latency.shared / rates.clock;
  const double weigh = step.maxima(2) + step.exponentials() + softmax_latency(rates);
  const double values = step.values_product() + rates.latency.product / rates.clock;
  const double packing = step.weights() + 3 * rates.latency.arithmetic / rates.clock;  // rescale or not, convert
  const double chain = turn + product_latency(rates) + step.scores_product() + std::max(weigh, values) + packing +
                       rates.latency.shared / rates.clock;
  return std::max({chain, step.load(), step.shared_traffic()});
}

/// Two query tiles in turns: values and next scores of one, while the other finds weights. Alone, one after another.
double blackwell_step(const GpuRates& rates, const KernelDims& dims, std::int32_t groups) {
  const Step both(rates, dims, group_rows(rates.order), groups);
  const Step one(rates, dims, group_rows(rates.order), 1);
  const double weigh = one.maxima(3) + one.exponentials() + one.weights() + softmax_latency(rates);
  const double chain = one.values_product() + one.scores_product() + product_latency(rates) + weigh;
  return std::max({chain, both.scores_product() + both.values_product(), both.maxima(3) + both.weights(),
                   both.exponentials(), both.load(), both.shared_traffic()});
}

/// With one stage of queries, the next item's are loaded when this one's results have left their place, and its keys
/// behind them: nothing is multiplied meanwhile.
double wait_for_queries(const GpuRates& rates, const KernelDims& dims) {
  if (rates.order != KernelOrder::kHopper || dims.qk <= kTwoQueryStages) return 0;
  const double results = tile_bytes(rates, dims.vo) / rates.shared_bytes;
  return (2 * rates.latency.shared + results) / rates.clock + first_load(rates, dims);
}

/// Finished rows: sums of lanes, factor and LSE, then results to shared memory, or parts to the workspace.
double rows_out(const GpuRates& rates, const KernelDims& dims, const ItemShape& shape) {
  const Latencies& latency = rates.latency;
  const double elements = static_cast<double>(shape.groups) * group_rows(rates.order) * dims.vo;
  double clocks = 2 * latency.shared + kRowSpecials * latency.special + kRowChain * latency.arithmetic;
  if (shape.partial) {
    clocks += static_cast<double>(shape.rows) * dims.vo * 4 / rates.l2_bytes;
  } else {
    clocks += elements / rates.fma + elements / 2 / rates.half + elements * kElementBytes / rates.shared_bytes;
  }
  return (clocks + 2 * latency.shared) / rates.clock;
}

}  // namespace

double step_time(const GpuRates& rates, const KernelDims& dims, std::int32_t groups) {
  if (rates.order == KernelOrder::kBlackwell) return blackwell_step(rates, dims, groups);
  return hopper_step(rates, Step(rates, dims, group_rows(rates.order), groups));
}

double item_time(const GpuRates& rates, const KernelDims& dims, const ItemShape& shape) {
  const double reading = 3 * rates.latency.shared / rates.clock;  // that there is work, what it is, its queries
  const double out = rows_out(rates, dims, shape);
  if (shape.steps == 0) return reading + out;
  const Step step(rates, dims, group_rows(rates.order), shape.groups);
  const double inputs = rates.order == KernelOrder::kHopper ? 2 : 3;
  const double first = product_latency(rates) + step.scores_product() + step.maxima(inputs) + step.exponentials() +
                       softmax_latency(rates) + step.weights();
  const double last = product_latency(rates) + step.values_product();
  const double compute = wait_for_queries(rates, dims) + reading + first +
                         static_cast<double>(shape.steps - 1) * step_time(rates, dims, shape.groups) +
                         static_cast<double>(shape.masked_steps) * step.mask_of_one_group() + last + out;
  return std::max(compute, draw_time(rates));
}

double start_time(const GpuRates& rates, const KernelDims& dims) {
  const Latencies& latency = rates.latency;
  const double clear = (dims.qk <= kTwoQueryStages ? 2 : 1) * tile_bytes(rates, dims.qk) / rates.shared_bytes;
  const double look_up = kLookUpLoads * latency.memory + kLookUpChain * latency.arithmetic + 3 * latency.shared;
  return (clear + look_up) / rates.clock + first_load(rates, dims);
}

double draw_time(const GpuRates& rates) {
  const Latencies& latency = rates.latency;
  return ((1 + kLookUpLoads) * latency.l2 + kLookUpChain * latency.arithmetic + 3 * latency.shared) / rates.clock;
}

double merge_time(const GpuRates& rates, std::int32_t parts) {
  // Largest reference, sum, and both columns of a lane, each a loop over parts, four loads in flight.
  return 4 * std::ceil(parts / 4.0) * rates.latency.l2 / rates.clock;
}

}  // namespace varlen::cli
