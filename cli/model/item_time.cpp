#include "cli/model/item_time.hpp"

#include <algorithm>
#include <cmath>

namespace varlen::cli {
namespace {

constexpr double kElementBytes = 2;
// Of forward_wgmma's masking code, for each score: two comparisons and a choice.
constexpr double kMaskOperations = 3;
// What a thread of forward_tcgen05 issues for a score, counted in its machine code (docs/model.md): to find the
// largest, and from there to its weight, more for a polynomial; and in a step that is masked.
constexpr double kMaximumInstructions = 112.0 / 128;
constexpr double kWeightInstructions = 656.0 / 128;
constexpr double kPolynomialInstructions = 7.25;
constexpr double kMaskInstructions = 330.0 / 128;
constexpr double kMaskChoices = 1.5;  // of them; half of the scores are loaded, and masked, twice
// Times that its softmax waits for tensor memory in a step: three loads, and its stores.
constexpr double kTensorTrips = 4;
// Columns of results that its finishers load at a time.
constexpr double kFinishedColumns = 32;
// Between the largest score and the first exponential: difference, scaling, comparison, branch.
constexpr double kReferenceChain = 4;
// Of an item that is looked up, after the counter: run, request, and a division or two between them.
constexpr double kLookUpLoads = 3;
constexpr double kLookUpChain = 100;
// Of a whole row: reciprocal and logarithm of its sum.
constexpr double kRowSpecials = 2;
constexpr double kRowChain = 10;
// Both kernels have two stages of queries up to this head dim, one above.
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
  double products() const { return scores_product() + values_product(); }

  // forward_wgmma: one after another, of all warpgroups.
  double maxima() const { return half(scores_); }
  double exponentials() const {
    return std::max(special(scores_), operations(3 * scores_, rates_.fma));  // difference, scale, sum
  }
  double packing() const { return half(scores_ / 2); }                        // two at a time become 16-bit numbers
  double mask() const { return half(kMaskOperations * rows_ * dims_.keys); }  // of one warpgroup

  // forward_tcgen05: the first two one after another, of one half of a tile; then what both halves need of a unit.
  double tile_maxima() const { return std::max(issue(kMaximumInstructions), half(scores_ / 2)); }
  double tile_weights() const {
    const double share = rates_.polynomial_share;
    return std::max({issue(kWeightInstructions + kPolynomialInstructions * share), special(scores_ * (1 - share)),
                     half(scores_ * (0.5 + share))});  // packing, and the polynomial's lower end
  }
  double tile_units() const {
    const double share = rates_.polynomial_share;
    return std::max({issue(kMaximumInstructions + kWeightInstructions + kPolynomialInstructions * share),
                     special(scores_ * (1 - share)), half(scores_ * (1 + share))});
  }
  double tile_mask() const {  // of one half
    const double scores = rows_ * dims_.keys;
    return std::max(half(kMaskChoices * scores), operations(kMaskInstructions * scores, rates_.issue));
  }

 private:
  double tensor(double depth) const { return 2 * scores_ * depth / (rates_.matmul_flops / rates_.multiprocessors); }
  double shared(double bytes) const { return bytes / rates_.shared_bytes / rates_.clock; }
  double operations(double count, double rate) const { return count / rate / rates_.clock; }
  double half(double count) const { return operations(count, rates_.half); }
  double special(double count) const { return operations(count, rates_.exp); }
  double issue(double of_a_score) const { return operations(of_a_score * scores_, rates_.issue); }
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

/// Between a step's scores and its weights, past what units are busy: shuffles (or tensor memory), the reference, the
/// first exponential, the last sum.
double softmax_latency(const GpuRates& rates) {
  const Latencies& latency = rates.latency;
  const double trips = rates.order == KernelOrder::kHopper ? 2 * latency.shared : kTensorTrips * latency.tensor_mem;
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
  const double weigh = step.maxima() + step.exponentials() + softmax_latency(rates);
  const double values = step.values_product() + rates.latency.product / rates.clock;
  const double packing = step.packing() + 3 * rates.latency.arithmetic / rates.clock;  // rescale or not, convert
  const double chain = turn + product_latency(rates) + step.scores_product() + std::max(weigh, values) + packing +
                       rates.latency.shared / rates.clock;
  return std::max({chain, step.load(), step.shared_traffic()});
}

/// Values and next scores of one half of the tile, while the other finds weights; of a half alone, one after another.
/// Or what both need of the busiest unit.
double blackwell_step(const GpuRates& rates, const KernelDims& dims, std::int32_t groups) {
  const Step all(rates, dims, group_rows(rates.order), groups);
  const Step one(rates, dims, group_rows(rates.order), 1);
  const double chain =
      one.products() + product_latency(rates) + one.tile_maxima() + one.tile_weights() + softmax_latency(rates);
  return std::max({chain, all.products(), all.tile_units(), all.load(), all.shared_traffic()});
}

/// From an item's first product to its first weights, when nothing else is done.
double first_weights(const GpuRates& rates, const Step& step) {
  const double found = rates.order == KernelOrder::kHopper
                           ? step.maxima() + step.exponentials() + step.packing()
                           : std::max(step.tile_maxima() + step.tile_weights(), step.tile_units());
  return product_latency(rates) + step.scores_product() + found + softmax_latency(rates);
}

/// With one stage of queries, the next item's are loaded when this one's results have left their place, and its keys
/// behind them: nothing is multiplied meanwhile.
double wait_for_queries(const GpuRates& rates, const KernelDims& dims) {
  if (dims.qk <= kTwoQueryStages) return 0;
  const double results = tile_bytes(rates, dims.vo) / rates.shared_bytes;
  return (2 * rates.latency.shared + results) / rates.clock + first_load(rates, dims);
}

/// Finished rows: sums of lanes, factor and LSE, then results to shared memory, or parts to the workspace.
double rows_out(const GpuRates& rates, const KernelDims& dims, const ItemShape& shape) {
  const Latencies& latency = rates.latency;
  const double elements = static_cast<double>(shape.groups) * group_rows(rates.order) * dims.vo;
  double clocks = 2 * latency.shared + kRowSpecials * latency.special + kRowChain * latency.arithmetic;
  if (rates.order == KernelOrder::kBlackwell) clocks += dims.vo / kFinishedColumns * latency.tensor_mem;
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
  const double first = first_weights(rates, step);
  const double last = product_latency(rates) + step.values_product();
  const double mask = rates.order == KernelOrder::kHopper ? step.mask() : step.tile_mask();
  const double steps = static_cast<double>(shape.steps - 1) * step_time(rates, dims, shape.groups) +
                       static_cast<double>(shape.masked_steps) * mask;
  // forward_tcgen05 has warps that finish rows while the next item's first weights are found, if there is a stage for
  // its queries.
  const bool finishes_beside = rates.order == KernelOrder::kBlackwell && dims.qk <= kTwoQueryStages;
  const double compute = finishes_beside ? first + steps + last + std::max(0.0, out - first)
                                         : wait_for_queries(rates, dims) + reading + first + steps + last + out;
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
