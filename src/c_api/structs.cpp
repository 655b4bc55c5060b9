#include "c_api/structs.hpp"

#include <cmath>
#include <cstdint>
#include <span>

namespace varlen::c_api {
namespace {

// Trailing padding would let a newer field lie where an older caller has garbage.
static_assert(sizeof(varlen_batch) == VARLEN_END_OF(varlen_batch, batch_invariant));
static_assert(sizeof(varlen_tensor) == VARLEN_END_OF(varlen_tensor, device_index));
static_assert(sizeof(varlen_tensors) == VARLEN_END_OF(varlen_tensors, value_scale));
static_assert(sizeof(varlen_plan_target) == VARLEN_END_OF(varlen_plan_target, l2_bytes));
static_assert(sizeof(varlen_work_item) == VARLEN_END_OF(varlen_work_item, merge));
static_assert(sizeof(varlen_report) == VARLEN_END_OF(varlen_report, simulated_items));

static_assert(VARLEN_FLOAT32 == static_cast<int>(Dtype::kFloat32));
static_assert(VARLEN_FLOAT16 == static_cast<int>(Dtype::kFloat16));
static_assert(VARLEN_BFLOAT16 == static_cast<int>(Dtype::kBFloat16));
static_assert(VARLEN_FLOAT8_E4M3 == static_cast<int>(Dtype::kFloat8E4M3));
static_assert(VARLEN_FLOAT8_E5M2 == static_cast<int>(Dtype::kFloat8E5M2));
static_assert(VARLEN_INT32 == static_cast<int>(Dtype::kInt32));
static_assert(VARLEN_INT64 == static_cast<int>(Dtype::kInt64));
static_assert(VARLEN_CPU == static_cast<int>(DeviceKind::kCpu));
static_assert(VARLEN_CUDA == static_cast<int>(DeviceKind::kCuda));
static_assert(VARLEN_UNLIMITED == Mask::kUnlimited);
static_assert(VARLEN_MAX_RANK == TensorView::kMaxRank);
static_assert(VARLEN_MAX_TILE_SHAPES == PlanTarget::kMaxTileShapes);

IndexView to_index_view(const varlen_indices& given, const char* name) {
  if (given.bits == 0 && given.data == nullptr && given.size == 0) return {};
  if (given.bits != 32 && given.bits != 64) {
    refuse(fmt::format("{}.bits", name), fmt::to_string(given.bits), " is neither 32 nor 64");
  }
  if (given.size < 0) refuse(fmt::format("{}.size", name), fmt::to_string(given.size), " is negative");
  if (given.size > 0) require_pointer(given.data, fmt::format("{}.data", name).c_str());
  const auto alignment = static_cast<std::uintptr_t>(given.bits / 8);
  const std::uintptr_t excess = reinterpret_cast<std::uintptr_t>(given.data) % alignment;
  if (excess != 0) {
    refuse(fmt::format("{}.data", name), fmt::format("{} modulo {}", excess, alignment),
           fmt::format(" must be aligned to {} bytes", alignment));
  }
  const auto size = static_cast<std::size_t>(given.size);
  if (given.bits == 32) return std::span(static_cast<const std::int32_t*>(given.data), size);
  return std::span(static_cast<const std::int64_t*>(given.data), size);
}

bool to_flag(std::int32_t given, const char* name) {
  if (given != 0 && given != 1) refuse(name, fmt::to_string(given), " is neither 0 nor 1");
  return given == 1;
}

TensorView to_view(const varlen_tensor* given, const char* name) {
  if (given == nullptr) return {};
  const varlen_tensor tensor = read_struct(given, VARLEN_END_OF(varlen_tensor, strides), name, varlen_tensor{});
  TensorView view;
  view.data = tensor.data;
  view.dtype = static_cast<Dtype>(tensor.dtype);
  view.rank = tensor.rank;
  std::copy(std::begin(tensor.shape), std::end(tensor.shape), view.shape.begin());
  std::copy(std::begin(tensor.strides), std::end(tensor.strides), view.strides.begin());
  view.device = static_cast<DeviceKind>(tensor.device);
  view.device_index = tensor.device_index;
  return view;
}

}  // namespace

Batch to_batch(const varlen_batch* given) {
  const varlen_batch source =
      read_struct(given, VARLEN_END_OF(varlen_batch, output_dtype), "batch", varlen_batch_default());
  Batch batch;
  batch.query_indptr = to_index_view(source.query_indptr, "query_indptr");
  batch.query_lengths = to_index_view(source.query_lengths, "query_lengths");
  batch.key_indptr = to_index_view(source.key_indptr, "key_indptr");
  batch.key_lengths = to_index_view(source.key_lengths, "key_lengths");
  batch.page_size = source.page_size;
  batch.query_heads = source.query_heads;
  batch.kv_heads = source.kv_heads;
  batch.head_dim_qk = source.head_dim_qk;
  batch.head_dim_vo = source.head_dim_vo;
  batch.input_dtype = static_cast<Dtype>(source.input_dtype);
  batch.output_dtype = static_cast<Dtype>(source.output_dtype);
  batch.mask = Mask::window(source.mask_left, source.mask_right);
  if (to_flag(source.has_scale, "has_scale")) batch.scale = source.scale;
  batch.soft_cap = source.soft_cap;
  batch.batch_invariant = to_flag(source.batch_invariant, "batch_invariant");
  return batch;
}

Tensors to_tensors(const varlen_tensors* given) {
  const varlen_tensors source = read_struct(given, VARLEN_END_OF(varlen_tensors, out), "tensors", varlen_tensors{});
  Tensors tensors;
  tensors.query = to_view(source.query, "query");
  tensors.key = to_view(source.key, "key");
  tensors.value = to_view(source.value, "value");
  tensors.out = to_view(source.out, "out");
  tensors.lse = to_view(source.lse, "lse");
  tensors.block_table = to_view(source.block_table, "block_table");
  tensors.sinks = to_view(source.sinks, "sinks");
  tensors.query_scale = to_view(source.query_scale, "query_scale");
  tensors.key_scale = to_view(source.key_scale, "key_scale");
  tensors.value_scale = to_view(source.value_scale, "value_scale");
  return tensors;
}

PlanTarget to_target(const varlen_plan_target* given) {
  const varlen_plan_target source =
      read_struct(given, VARLEN_END_OF(varlen_plan_target, workers), "target", varlen_plan_target_default());
  if (source.tile_shape_count < 1 || source.tile_shape_count > VARLEN_MAX_TILE_SHAPES) {
    refuse("target.tile_shape_count", fmt::to_string(source.tile_shape_count),
           fmt::format(" is not from 1 to {}", VARLEN_MAX_TILE_SHAPES));
  }
  PlanTarget target;
  target.name = "custom";
  for (std::int32_t shape = 0; shape < source.tile_shape_count; ++shape) {
    target.tile_shapes.push_back({source.tile_shapes[shape].rows, source.tile_shapes[shape].block_cost});
  }
  target.key_block = source.key_block;
  target.workers = source.workers;
  target.invariant_shares = source.invariant_shares;
  target.item_cost = source.item_cost;
  target.split_cost = source.split_cost;
  target.l2_bytes = source.l2_bytes;
  return target;
}

void from_target(const PlanTarget& target, varlen_plan_target* given) {
  varlen_plan_target result = varlen_plan_target_default();
  for (const TileShape& shape : target.tile_shapes) {
    result.tile_shapes[result.tile_shape_count++] = {shape.rows, 0, shape.block_cost};
  }
  result.key_block = target.key_block;
  result.workers = target.workers;
  result.invariant_shares = target.invariant_shares;
  result.item_cost = target.item_cost;
  result.split_cost = target.split_cost;
  result.l2_bytes = target.l2_bytes;
  write_struct(given, VARLEN_END_OF(varlen_plan_target, workers), "target", result);
}

void from_item(const WorkItem& item, varlen_work_item* given) {
  varlen_work_item result{};
  result.query_begin = item.query_begin;
  result.query_count = item.query_count;
  result.key_begin = item.key_begin;
  result.key_end = item.key_end;
  result.partial_row = item.partial_row;
  result.request = item.request;
  result.kv_head = item.kv_head;
  result.query_head_begin = item.query_head_begin;
  result.query_head_count = item.query_head_count;
  result.tile_shape = item.tile_shape;
  result.part = item.part;
  result.parts = item.parts;
  result.merge = item.merge;
  write_struct(given, VARLEN_END_OF(varlen_work_item, query_head_count), "item", result);
}

void from_report(const PlanReport& report, varlen_report* given) {
  varlen_report result{};
  result.requests = report.requests;
  result.tiles = report.tiles;
  result.empty_tiles = report.empty_tiles;
  result.blind_tiles = report.blind_tiles;
  result.items = report.items;
  result.splits = report.splits;
  result.partial_slots = report.partial_slots;
  result.partial_rows = report.partial_rows;
  result.live_rows = report.live_rows;
  result.tile_rows = report.tile_rows;
  result.key_blocks = report.key_blocks;
  result.padded_tiles = report.padded_tiles;
  result.workers = report.workers;
  result.mean = report.mean;
  result.makespan = report.makespan;
  result.makespan_over_mean = report.makespan_over_mean;
  result.makespan_over_unsplit_mean = report.makespan_over_unsplit_mean;
  result.l2_footprint_mean = report.l2_footprint_mean;
  result.l2_footprint_max = report.l2_footprint_max;
  result.plan_bytes = report.plan_bytes;
  result.plan_us = report.plan_us;
  result.simulated_items = report.simulated_items;
  write_struct(given, VARLEN_END_OF(varlen_report, items), "report", result);
}

}  // namespace varlen::c_api
