// Batches from random bytes: validation refuses with an Error and nothing else, and what it lets through gets a plan
// that covers every (query token, head) once, stays within each request's keys and fits its own report.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <span>
#include <vector>

#include "varlen/plan.hpp"

namespace {

using varlen::Batch;
using varlen::WorkItem;

constexpr std::int64_t kMostItemsToWalk = 20000;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

// Mostly small lengths, now and then one of any size.
std::int64_t length(FuzzedDataProvider& bytes) {
  const auto kind = bytes.ConsumeIntegral<std::uint8_t>();
  if (kind < 240) return kind % 67;
  if (kind < 252) return bytes.ConsumeIntegral<std::uint16_t>();
  return bytes.ConsumeIntegral<std::int64_t>();
}

// From kUnlimited on, mostly.
std::int64_t window(FuzzedDataProvider& bytes) {
  const std::int64_t most = length(bytes);
  return most > std::numeric_limits<std::int64_t>::min() ? most - 1 : most;
}

// Lengths, or offsets that mostly rise by lengths; a sum that leaves 64 bits wraps, as a caller's might.
std::vector<std::int64_t> integers(FuzzedDataProvider& bytes, std::size_t count, bool offsets) {
  std::vector<std::int64_t> values(count);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (offsets && i > 0) sum += static_cast<std::uint64_t>(length(bytes));
    values[i] = offsets ? static_cast<std::int64_t>(sum) : length(bytes);
  }
  return values;
}

struct Arrays {
  std::vector<std::int64_t> query_indptr, query_lengths, key_indptr, key_lengths;
  std::vector<std::int32_t> narrow;
};

std::int32_t head_dim(FuzzedDataProvider& bytes) {
  return bytes.ConsumeProbability<float>() < 0.9F ? 8 * bytes.ConsumeIntegralInRange<std::int32_t>(1, 72)
                                                  : bytes.ConsumeIntegral<std::int32_t>();
}

Batch make_batch(FuzzedDataProvider& bytes, Arrays& arrays) {
  const auto requests = bytes.ConsumeIntegralInRange<std::size_t>(0, 12);
  const auto given = bytes.ConsumeIntegral<std::uint8_t>();
  Batch batch;
  if ((given & 1) != 0)
    batch.query_indptr = std::span<const std::int64_t>(arrays.query_indptr = integers(bytes, requests + 1, true));
  if ((given & 2) != 0)
    batch.query_lengths = std::span<const std::int64_t>(arrays.query_lengths = integers(bytes, requests, false));
  if ((given & 4) != 0)
    batch.key_indptr = std::span<const std::int64_t>(arrays.key_indptr = integers(bytes, requests + 1, true));
  if ((given & 8) != 0)
    batch.key_lengths = std::span<const std::int64_t>(arrays.key_lengths = integers(bytes, requests, false));
  if ((given & 16) != 0 && (given & 1) != 0) {
    for (const std::int64_t value : arrays.query_indptr) arrays.narrow.push_back(static_cast<std::int32_t>(value));
    batch.query_indptr = std::span<const std::int32_t>(arrays.narrow);
  }
  if ((given & 32) != 0) batch.page_size = bytes.ConsumeIntegral<std::int16_t>();

  batch.kv_heads = bytes.ConsumeIntegralInRange<std::int32_t>(-1, 9);
  batch.query_heads = (given & 64) != 0 ? bytes.ConsumeIntegral<std::int32_t>()
                                        : batch.kv_heads * bytes.ConsumeIntegralInRange<std::int32_t>(0, 130);
  batch.head_dim_qk = head_dim(bytes);
  batch.head_dim_vo = (given & 128) != 0 ? 0 : head_dim(bytes);
  batch.query_dtype = static_cast<varlen::Dtype>(bytes.ConsumeIntegralInRange<std::int32_t>(-1, 6));
  batch.output_dtype = static_cast<varlen::Dtype>(bytes.ConsumeIntegralInRange<std::int32_t>(-1, 6));
  if (bytes.ConsumeBool()) batch.scale = bytes.ConsumeFloatingPoint<float>();
  if (bytes.ConsumeBool()) batch.mask.left = window(bytes);
  if (bytes.ConsumeBool()) batch.mask.right = window(bytes);
  if (bytes.ConsumeBool()) batch.soft_cap = bytes.ConsumeFloatingPointInRange<float>(-1.0F, 50.0F);
  batch.batch_invariant = bytes.ConsumeBool();
  return batch;
}

varlen::PlanTarget make_target(FuzzedDataProvider& bytes) {
  switch (bytes.ConsumeIntegralInRange<int>(0, 3)) {
    case 0:
      return varlen::PlanTarget::h100();
    case 1:
      return varlen::PlanTarget::b200();
    case 2:
      return varlen::PlanTarget::cpu(bytes.ConsumeIntegralInRange<std::int32_t>(1, 64));
    default:
      break;
  }
  varlen::PlanTarget target;
  const auto shapes = bytes.ConsumeIntegralInRange<int>(0, varlen::PlanTarget::kMaxTileShapes + 1);
  for (int shape = 0; shape < shapes; ++shape) {
    target.tile_shapes.push_back({bytes.ConsumeIntegral<std::int16_t>(), bytes.ConsumeIntegral<std::int8_t>()});
  }
  target.key_block = bytes.ConsumeIntegral<std::int16_t>();
  target.workers = bytes.ConsumeIntegral<std::int16_t>();
  target.item_cost = bytes.ConsumeIntegral<std::int16_t>();
  target.split_cost = bytes.ConsumeIntegral<std::int16_t>();
  target.l2_bytes = bytes.ConsumeIntegral<std::int32_t>();
  return target;
}

std::int64_t request_length(const varlen::IndexView& offsets, const varlen::IndexView& lengths, std::int64_t request) {
  return lengths.present() ? lengths[request] : offsets[request + 1] - offsets[request];
}

void check_plan(const Batch& batch, const varlen::Plan& plan) {
  const std::int64_t items = plan.item_count();
  require(items >= 0, "item_count() is not negative");
  if (items > kMostItemsToWalk) return;

  const std::int64_t requests = varlen::request_count(batch);
  __int128 rows_due = 0;
  for (std::int64_t request = 0; request < requests; ++request) {
    rows_due +=
        static_cast<__int128>(request_length(batch.query_indptr, batch.query_lengths, request)) * batch.query_heads;
  }
  __int128 rows = 0;
  std::int64_t splits = 0;
  for (std::int64_t index = 0; index < items; ++index) {
    const WorkItem item = plan.item(index);
    require(item.request >= 0 && item.request < requests, "the item's request exists");
    require(item.query_begin >= 0 && item.query_count > 0, "the item has query tokens");
    require(
        item.query_begin + item.query_count <= request_length(batch.query_indptr, batch.query_lengths, item.request),
        "the item's query tokens are the request's");
    require(item.query_head_begin >= 0 && item.query_head_count > 0 &&
                item.query_head_begin + item.query_head_count <= batch.query_heads,
            "the item's heads exist");
    require(item.key_begin >= 0 && item.key_begin <= item.key_end, "the item's key range is one");
    require(item.key_end <= request_length(batch.key_indptr, batch.key_lengths, item.request),
            "the item's keys are the request's");
    require(item.parts >= 1 && item.part >= 0 && item.part < item.parts, "the item's part is one of its parts");
    require((item.parts > 1) == (item.merge >= 0), "split tiles and only they have a merge");
    require(plan.item_cost(item) > 0, "every item costs something");
    if (item.part == 0) {
      rows += static_cast<__int128>(item.query_count) * item.query_head_count;
      splits += item.parts > 1 ? 1 : 0;
    }
  }
  require(rows == rows_due, "every (query token, head) is in one tile");
  require(splits == static_cast<std::int64_t>(plan.merges().size()), "every split tile is merged");

  const varlen::PlanReport report = plan.report();
  require(report.items == items && report.empty_tiles == 0, "the report counts the same items and none empty");
  require(items == 0 || report.makespan_over_mean >= 0.999, "no schedule is shorter than the mean");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider bytes(data, size);
  Arrays arrays;
  const Batch batch = make_batch(bytes, arrays);
  const varlen::PlanTarget target = make_target(bytes);
  try {
    check_plan(batch, varlen::make_plan(batch, target));
  } catch (const varlen::Error& error) {
    require(error.code() == varlen::ErrorCode::kInvalidArgument || error.code() == varlen::ErrorCode::kUnsupported,
            "a refusal is kInvalidArgument or kUnsupported");
    require(!error.field().empty() && error.what()[0] != '\0', "a refusal names its field");
  }
  return 0;
}
