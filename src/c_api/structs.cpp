#include "c_api/structs.hpp"

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace varlen::c_api {
namespace {

// Trailing padding would let a newer field lie where an older caller has garbage.
static_assert(sizeof(varlen_batch) == VARLEN_END_OF(varlen_batch, batch_invariant));
static_assert(sizeof(varlen_tensor) == VARLEN_END_OF(varlen_tensor, device_index));
static_assert(sizeof(varlen_tensors) == VARLEN_END_OF(varlen_tensors, value_scale));
static_assert(sizeof(varlen_plan_target) == VARLEN_END_OF(varlen_plan_target, l2_bytes));
static_assert(sizeof(varlen_work_item) == VARLEN_END_OF(varlen_work_item, merge));
static_assert(sizeof(varlen_report) == VARLEN_END_OF(varlen_report, simulated_items));

static_assert(sizeof(varlen_run_options) == VARLEN_END_OF(varlen_run_options, stream));
static_assert(sizeof(varlen_kernel_choice) == VARLEN_END_OF(varlen_kernel_choice, reason));
static_assert(sizeof(varlen_device) == VARLEN_END_OF(varlen_device, memory_bytes));
static_assert(sizeof(varlen_build) == VARLEN_END_OF(varlen_build, reserved));
static_assert(sizeof(varlen_limits) == VARLEN_END_OF(varlen_limits, key_length));
static_assert(sizeof(varlen_requests) == VARLEN_END_OF(varlen_requests, key_lengths));
static_assert(sizeof(varlen_device_plan_options) == VARLEN_END_OF(varlen_device_plan_options, memory_bytes));
static_assert(sizeof(varlen_device_requests) == VARLEN_END_OF(varlen_device_requests, request_count));

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

DeviceIndices to_device_indices(const varlen_device_indices& given, const char* name) {
  if (given.bits == 0 && given.data == nullptr) return {};
  if (given.bits != 32 && given.bits != 64) {
    refuse(fmt::format("{}.bits", name), fmt::to_string(given.bits), " is neither 32 nor 64");
  }
  require_pointer(given.data, fmt::format("{}.data", name).c_str());
  if (given.bits == 32) return static_cast<const std::int32_t*>(given.data);
  return static_cast<const std::int64_t*>(given.data);
}

/// As much of a text as there is room for.
template <std::size_t kSize>
void keep(const std::string& text, char (&room)[kSize]) {
  const std::size_t size = std::min(text.size(), kSize - 1);
  std::memcpy(room, text.data(), size);
  room[size] = '\0';
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

/// Of a struct that has the four arrays.
template <class Source>
Requests read_requests(const Source& source) {
  return {to_index_view(source.query_indptr, "query_indptr"), to_index_view(source.query_lengths, "query_lengths"),
          to_index_view(source.key_indptr, "key_indptr"), to_index_view(source.key_lengths, "key_lengths")};
}

}  // namespace

Batch to_batch(const varlen_batch* given) {
  const varlen_batch source =
      read_struct(given, VARLEN_END_OF(varlen_batch, output_dtype), "batch", varlen_batch_default());
  Batch batch{{}, read_requests(source)};
  batch.page_size = source.page_size;
  batch.query_heads = source.query_heads;
  batch.kv_heads = source.kv_heads;
  batch.head_dim_qk = source.head_dim_qk;
  batch.head_dim_vo = source.head_dim_vo;
  batch.query_dtype = static_cast<Dtype>(source.query_dtype);
  if (source.kv_dtype != VARLEN_DTYPE_OF_QUERY) batch.kv_dtype = static_cast<Dtype>(source.kv_dtype);
  batch.output_dtype = static_cast<Dtype>(source.output_dtype);
  if (source.reserved != 0) refuse("batch.reserved", fmt::to_string(source.reserved), " is not 0");
  batch.mask = Mask::window(source.mask_left, source.mask_right);
  if (to_flag(source.has_scale, "has_scale")) batch.scale = source.scale;
  batch.soft_cap = source.soft_cap;
  batch.batch_invariant = to_flag(source.batch_invariant, "batch_invariant");
  return batch;
}

AttentionSpec to_spec(const varlen_batch* given) {
  const Batch batch = to_batch(given);
  const std::pair<const char*, const IndexView*> arrays[] = {{"query_indptr", &batch.query_indptr},
                                                             {"query_lengths", &batch.query_lengths},
                                                             {"key_indptr", &batch.key_indptr},
                                                             {"key_lengths", &batch.key_lengths}};
  for (const auto& [name, array] : arrays) {
    if (array->present()) {
      refuse(fmt::format("{}.size", name), fmt::to_string(array->size()), ": a spec has no requests yet");
    }
  }
  return batch;
}

Backend to_backend(int given) {
  if (given < VARLEN_BACKEND_AUTO || given > VARLEN_BACKEND_EMULATOR) {
    refuse("backend", fmt::to_string(given), " is none of VARLEN_BACKEND_AUTO, …, VARLEN_BACKEND_EMULATOR");
  }
  return static_cast<Backend>(given);
}

GpuKernel to_kernel(int given, const char* name) {
  for (const int known : {VARLEN_KERNEL_AUTO, VARLEN_KERNEL_MMA, VARLEN_KERNEL_WGMMA, VARLEN_KERNEL_TCGEN05}) {
    if (given == known) return static_cast<GpuKernel>(given);
  }
  refuse(name, fmt::to_string(given), " is none of VARLEN_KERNEL_AUTO, _MMA, _WGMMA and _TCGEN05");
}

RunOptions to_run_options(const varlen_run_options* given) {
  if (given == nullptr) return {};
  const varlen_run_options source =
      read_struct(given, VARLEN_END_OF(varlen_run_options, stream), "options", varlen_run_options_default());
  RunOptions options;
  options.backend = to_backend(source.backend);
  options.kernel = to_kernel(source.kernel, "options.kernel");
  options.stream = source.stream;
  return options;
}

Limits to_limits(const varlen_limits* given) {
  const varlen_limits source =
      read_struct(given, VARLEN_END_OF(varlen_limits, key_tokens), "limits", varlen_limits_default());
  return {source.requests, source.query_tokens, source.key_tokens, source.query_length, source.key_length};
}

Requests to_requests(const varlen_requests* given) {
  return read_requests(
      read_struct(given, VARLEN_END_OF(varlen_requests, key_lengths), "requests", varlen_requests_default()));
}

DevicePlanOptions to_device_plan_options(const varlen_device_plan_options* given) {
  if (given == nullptr) return {};
  const varlen_device_plan_options source = read_struct(given, VARLEN_END_OF(varlen_device_plan_options, device),
                                                        "options", varlen_device_plan_options_default());
  return {to_backend(source.backend), source.device, {source.memory, source.memory_bytes}};
}

DeviceRequests to_device_requests(const varlen_device_requests* given) {
  const varlen_device_requests source = read_struct(given, VARLEN_END_OF(varlen_device_requests, key_lengths),
                                                    "requests", varlen_device_requests_default());
  DeviceRequests requests;
  requests.query_indptr = to_device_indices(source.query_indptr, "query_indptr");
  requests.query_lengths = to_device_indices(source.query_lengths, "query_lengths");
  requests.key_indptr = to_device_indices(source.key_indptr, "key_indptr");
  requests.key_lengths = to_device_indices(source.key_lengths, "key_lengths");
  requests.request_count = source.request_count;
  return requests;
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
  tensors.block_table_rows = to_view(source.block_table_rows, "block_table_rows");
  tensors.page_indptr = to_view(source.page_indptr, "page_indptr");
  tensors.page_indices = to_view(source.page_indices, "page_indices");
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

void from_support(const SpecSupport& support, varlen_kernel_choice* given) {
  varlen_kernel_choice result{};
  result.supported = support.supported ? 1 : 0;
  keep(support.kernel, result.kernel);
  keep(support.field, result.field);
  keep(support.reason, result.reason);
  write_struct(given, sizeof(varlen_kernel_choice), "choice", result);
}

void from_choice(const KernelChoice& choice, varlen_kernel_choice* given) {
  from_support({true, choice.kernel, choice.reason, choice.field}, given);
}

void from_device(const DeviceInfo& info, varlen_device* given) {
  varlen_device result{};
  keep(info.name, result.name);
  result.compute_major = info.compute_major;
  result.compute_minor = info.compute_minor;
  result.multiprocessors = info.multiprocessors;
  result.l2_bytes = info.l2_bytes;
  result.memory_bytes = info.memory_bytes;
  write_struct(given, VARLEN_END_OF(varlen_device, memory_bytes), "info", result);
}

void from_build(const BuildInfo& info, varlen_build* given) {
  varlen_build result{};
  keep(info.version, result.version);
  keep(info.build_type, result.build_type);
  keep(info.compiler, result.compiler);
  keep(info.simd_target, result.simd_target);
  result.threads = info.threads;
  write_struct(given, VARLEN_END_OF(varlen_build, threads), "build", result);
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
