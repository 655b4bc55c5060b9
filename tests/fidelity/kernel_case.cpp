#include "fidelity/kernel_case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "check/random_bits.hpp"
#include "reference/element.hpp"

namespace varlen::fidelity {
namespace {

using check::RandomBits;

/// The scale for which log2(e) · scale, rounded to fp32, is 1.
constexpr float kScaleOfOne = 0.693147182F;
static_assert(static_cast<float>(static_cast<double>(kScaleOfOne) * 1.4426950408889634) == 1.0F);

constexpr int kNonZeros = 3;  // of a query row: then |score| ≤ 3 · 2
constexpr std::int64_t kLargestKey = 2;
constexpr std::int64_t kLargestValue = 4;  // · 2^12 · kMostKeys ≤ 2^24
constexpr std::int64_t kMostKeys = 1000;

Batch batch_of(const KernelCase& test, const std::vector<std::int64_t>& queries,
               const std::vector<std::int64_t>& keys) {
  Batch batch;
  batch.query_lengths = std::span<const std::int64_t>(queries);
  batch.key_lengths = std::span<const std::int64_t>(keys);
  batch.page_size = test.page_size;
  batch.query_heads = test.query_heads;
  batch.kv_heads = test.kv_heads;
  batch.head_dim_qk = test.head_dim_qk;
  batch.head_dim_vo = test.head_dim_vo;
  batch.query_dtype = test.input_dtype;
  batch.output_dtype = test.output_dtype;
  batch.mask = test.mask;
  batch.soft_cap = test.soft_cap;
  if (test.inputs == Inputs::kIntegers) batch.scale = kScaleOfOne;
  if (test.negative_scale) batch.scale = -batch.scale.value_or(0.11F);
  return batch;
}

Plan plan_of(const KernelCase& test) {
  std::vector<std::int64_t> queries;
  std::vector<std::int64_t> keys;
  for (const auto& [query, key] : test.lengths) {
    queries.push_back(query);
    keys.push_back(key);
  }
  return make_plan(batch_of(test, queries, keys), test.target);
}

/// As device_target() has it, of whichever device, so that both machines have the same plan.
PlanTarget target_of(const KernelCase& test, RandomBits& random) {
  const bool large = test.head_dim_vo > 256 || test.head_dim_qk > 256;
  const bool wgmma = test.gpu_kernel == GpuKernel::kWgmma && !large;
  PlanTarget target;
  target.name = "fidelity";
  if (wgmma || test.head_dim_vo <= 128) target.tile_shapes.push_back({128, kCostPerBlock});
  target.tile_shapes.push_back({64, target.tile_shapes.empty() ? kCostPerBlock : kCostPerBlock * 5 / 8});
  target.key_block = wgmma && test.head_dim_vo <= 128 ? 128 : 64;
  // Few workers: blocks draw several items. Many: tiles are cut.
  target.workers = static_cast<std::int32_t>(random.pick({2, 3, 5, 132, 264}));
  target.l2_bytes = 50'000'000;
  return target;
}

}  // namespace

std::string KernelCase::description() const {
  std::string text = fmt::format(
      "{} on {}, head dims {} and {}, {} of {} heads, {} to {}, mask ({}, {}), page size {}, {} workers, lengths",
      inputs == Inputs::kIntegers ? "integers" : "normal", gpu_kernel == GpuKernel::kWgmma ? "sm_90a" : "sm_80",
      head_dim_qk, head_dim_vo, query_heads, kv_heads, dtype_name(input_dtype), dtype_name(output_dtype), mask.left,
      mask.right, page_size, target.workers);
  for (const auto& [query, key] : lengths) text += fmt::format(" {}/{}", query, key);
  return text;
}

KernelCase random_kernel_case(std::uint64_t seed) {
  RandomBits random(seed);
  KernelCase test;
  test.seed = seed;
  test.inputs = random.one_in(2) ? Inputs::kNormal : Inputs::kIntegers;
  test.gpu_kernel = random.one_in(2) ? GpuKernel::kMma : GpuKernel::kWgmma;
  struct Dims {
    std::int32_t qk, vo;
  };
  Dims dims = random.pick<Dims>({{64, 64}, {128, 128}, {128, 128}, {192, 128}, {256, 256}, {56, 40}, {104, 128}});
  if (test.gpu_kernel == GpuKernel::kMma && random.one_in(12)) dims = {576, 512};
  test.head_dim_qk = dims.qk;
  test.head_dim_vo = dims.vo;
  test.input_dtype = random.pick({Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3});
  const bool fp8 = test.input_dtype == Dtype::kFloat8E4M3;
  test.output_dtype = random.one_in(3) ? Dtype::kFloat32 : fp8 ? Dtype::kFloat16 : test.input_dtype;
  test.kv_heads = static_cast<std::int32_t>(random.between(1, 2));
  test.query_heads = test.kv_heads * random.pick({1, 2, 3, 4, 8});
  test.mask = random.pick({Mask::full(), Mask::causal(), Mask::causal(), Mask::window(37, 5), Mask::causal_window(90)});
  test.page_size = random.one_in(3) ? random.pick<std::int64_t>({8, 16, 16, 24, 64, 128, 7}) : 0;
  test.negative_scale = random.one_in(6);
  if (test.inputs == Inputs::kNormal) {
    test.soft_cap = random.one_in(5) ? 8.0F : 0.0F;
    test.sinks = random.one_in(5);
  }
  test.target = target_of(test, random);

  // By multiplications, with padded tiles and steps.
  std::int64_t budget = dims.qk > 256 ? 120'000'000 : 160'000'000;
  const std::int64_t requests = random.between(1, 4);
  for (std::int64_t r = 0; r < requests; ++r) {
    const std::int64_t keys = random.one_in(12) ? 0 : random.log_between(1, kMostKeys);
    std::int64_t queries = random.one_in(12) ? 0 : random.one_in(3) ? random.between(1, 4) : random.log_between(1, 150);
    const auto cost = [&] { return (queries * test.query_heads + 64) * (keys + 64) * (dims.qk + dims.vo); };
    while (queries > 1 && cost() > budget) queries /= 2;
    budget -= cost();
    if (budget < 0 && r > 0) break;
    test.lengths.emplace_back(queries, keys);
  }
  return test;
}

KernelData::KernelData(const KernelCase& test) : test_(test), plan_(plan_of(test)) {
  const RaggedBatch& batch = plan_.data().batch;
  query_shape_ = {batch.query_tokens, test.query_heads, test.head_dim_qk};
  key_shape_ = {batch.key_tokens, test.kv_heads, test.head_dim_qk};
  if (test.page_size > 0) {
    std::int64_t pages = 1;
    std::int64_t most = 1;
    for (const RequestExtent& extent : batch.requests) {
      const std::int64_t own = ceil_div(extent.key_length, test.page_size);
      pages += own;
      most = std::max(most, own);
    }
    key_shape_ = {pages, test.page_size, test.kv_heads, test.head_dim_qk};
    table_shape_ = {static_cast<std::int64_t>(batch.requests.size()), most};
  }
  value_shape_ = key_shape_;
  value_shape_.back() = test.head_dim_vo;
  const auto elements = [](const std::vector<std::int64_t>& shape) {
    std::int64_t product = 1;
    for (const std::int64_t size : shape) product *= size;
    return product;
  };
  const std::int64_t rows = batch.query_tokens * test.query_heads;
  const std::int64_t size = dtype_size(test.input_dtype);
  query_ = place(elements(query_shape_) * size);
  key_ = place(elements(key_shape_) * size);
  value_ = place(elements(value_shape_) * size);
  if (test.page_size > 0) table_ = place(elements(table_shape_) * 4);
  if (test.sinks) sinks_ = place(test.query_heads * 4);
  out_ = place(rows * test.head_dim_vo * dtype_size(test.output_dtype));
  lse_ = place(rows * 4);
  fill();
}

Placed KernelData::place(std::int64_t bytes) {
  constexpr std::size_t kAlignment = 256;
  const Placed placed{memory_.size(), static_cast<std::size_t>(bytes)};
  memory_.resize(memory_.size() + (placed.bytes + kAlignment) / kAlignment * kAlignment, std::byte{0xFF});
  return placed;
}

void KernelData::fill() {
  RandomBits random(test_.seed + 1);
  const auto fill_with = [&](const Placed& placed, Dtype dtype, const auto& number) {
    const std::int64_t count = static_cast<std::int64_t>(placed.bytes) / dtype_size(dtype);
    for (std::int64_t i = 0; i < count; ++i) reference::store(dtype, memory_.data() + placed.offset, i, number(i));
  };
  const auto normal = [&](std::int64_t) { return random.normal(); };
  const auto integer = [&](std::int64_t largest) {
    return [&random, largest](std::int64_t) { return static_cast<double>(random.between(-largest, largest)); };
  };
  if (test_.inputs == Inputs::kNormal) {
    for (const Placed& placed : {query_, key_, value_}) fill_with(placed, test_.input_dtype, normal);
  } else {
    fill_with(query_, test_.input_dtype, [](std::int64_t) { return 0.0; });
    const std::int64_t dim = test_.head_dim_qk;
    const std::int64_t rows = static_cast<std::int64_t>(query_.bytes) / dtype_size(test_.input_dtype) / dim;
    for (std::int64_t row = 0; row < rows; ++row) {
      for (int i = 0; i < kNonZeros; ++i) {
        reference::store(test_.input_dtype, memory_.data() + query_.offset, row * dim + random.below(dim),
                         random.one_in(2) ? 1.0 : -1.0);
      }
    }
    fill_with(key_, test_.input_dtype, integer(kLargestKey));
    fill_with(value_, test_.input_dtype, integer(kLargestValue));
  }
  if (test_.sinks) fill_with(sinks_, Dtype::kFloat32, normal);
  if (test_.page_size == 0) return;
  auto* const table = reinterpret_cast<std::int32_t*>(memory_.data() + table_.offset);
  auto next = static_cast<std::int32_t>(key_shape_[0]);  // backwards: pages are not in order
  const std::vector<RequestExtent>& requests = plan_.data().batch.requests;
  for (std::size_t r = 0; r < requests.size(); ++r) {
    const std::int64_t own = ceil_div(requests[r].key_length, test_.page_size);
    for (std::int64_t i = 0; i < table_shape_[1]; ++i) {
      table[static_cast<std::int64_t>(r) * table_shape_[1] + i] = i < own ? --next : 0;
    }
  }
}

Plan KernelData::exposing_plan() const {
  auto changed = std::make_shared<PlanData>(plan_.data());
  std::vector<WorkItem> items;
  for (std::int64_t i = 0; i < plan_.item_count(); ++i) {
    WorkItem item = plan_.item(i);
    if (item.parts == 1 && item.key_end > item.key_begin) {
      item.merge = static_cast<std::int32_t>(changed->merges.size());
      item.partial_row = changed->partial_rows;
      changed->merges.push_back({item.query_begin, item.query_count, item.partial_row, item.request, item.kv_head,
                                 item.query_head_begin, item.query_head_count, 1, item.tile_shape});
      changed->partial_rows += item.query_count * item.query_head_count;
    }
    items.push_back(item);
  }
  changed->runs.clear();
  changed->listed = std::move(items);
  changed->listed_front = static_cast<std::int64_t>(changed->listed.size());
  changed->run_items = 0;
  return Plan(changed);
}

Tensors KernelData::tensors(std::byte* base) const {
  const RaggedBatch& batch = plan_.data().batch;
  const auto at = [&](const Placed& placed, Dtype dtype, const std::vector<std::int64_t>& shape) {
    TensorView view;
    view.data = base + placed.offset;
    view.dtype = dtype;
    view.rank = static_cast<std::int32_t>(shape.size());
    std::int64_t stride = 1;
    for (std::size_t d = shape.size(); d-- > 0;) {
      view.shape[d] = shape[d];
      view.strides[d] = stride;
      stride *= shape[d];
    }
    return view;
  };
  Tensors tensors;
  tensors.query = at(query_, test_.input_dtype, query_shape_);
  tensors.key = at(key_, test_.input_dtype, key_shape_);
  tensors.value = at(value_, test_.input_dtype, value_shape_);
  tensors.out = at(out_, test_.output_dtype, {batch.query_tokens, test_.query_heads, test_.head_dim_vo});
  tensors.lse = at(lse_, Dtype::kFloat32, {batch.query_tokens, test_.query_heads});
  if (test_.sinks) tensors.sinks = at(sinks_, Dtype::kFloat32, {test_.query_heads});
  if (test_.page_size > 0) tensors.block_table = at(table_, Dtype::kInt32, table_shape_);
  return tensors;
}

}  // namespace varlen::fidelity
