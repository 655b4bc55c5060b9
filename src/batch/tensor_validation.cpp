// Every rule about where the data of a valid batch lies. Reads no element except those of the block table.
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

#include "batch/page_fault.hpp"
#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"

namespace varlen {
namespace {

/// What a tensor's dimension must be: exactly `size`, or at least it. `rule` says where the size comes from.
struct Dimension {
  std::int64_t size;
  const char* rule;
  bool at_least = false;
};

constexpr Dimension kAnySize{0, "", true};

/// The bytes that a checked view spans.
struct Range {
  const char* name = "";
  std::uintptr_t begin = 0;
  std::uintptr_t bytes = 0;       // 0: no elements
  std::uintptr_t row_bytes = 0;   // one index of the outermost dimension spans this much …
  std::uintptr_t row_stride = 0;  // … and the next one begins this much later
};

std::string field(const char* name, const char* part) { return fmt::format("{}.{}", name, part); }

void check_shape(const char* name, const TensorView& view, std::initializer_list<Dimension> dimensions) {
  if (view.rank != static_cast<std::int32_t>(dimensions.size())) {
    refuse(field(name, "rank"), Error::kNoIndex, view.rank, "must be {}", dimensions.size());
  }
  std::size_t d = 0;
  for (const Dimension& dimension : dimensions) {
    const std::int64_t size = view.shape[d];
    if (size < 0) refuse(field(name, "shape"), static_cast<std::int64_t>(d), size, "must not be negative");
    if (dimension.at_least ? size < dimension.size : size != dimension.size) {
      refuse(field(name, "shape"), static_cast<std::int64_t>(d), size, "must be {} {} = {}",
             dimension.at_least ? "at least" : "equal to", dimension.rule, dimension.size);
    }
    ++d;
  }
}

/// Strides such that no two elements share memory; the innermost is 1. Strides of dimensions of size ≤ 1 mean nothing.
/// Walks the dimensions from the smallest stride up: each must step over all that lies inside it. Returns the bytes.
Range check_strides(const char* name, const TensorView& view) {
  const auto rank = static_cast<std::size_t>(view.rank);
  const std::int64_t element = dtype_size(view.dtype);
  if (view.shape[rank - 1] > 1 && view.strides[rank - 1] != 1) {
    refuse(field(name, "strides"), view.rank - 1, view.strides[rank - 1], "must be 1: rows are contiguous");
  }
  std::array<std::size_t, TensorView::kMaxRank> order{};  // dimensions of more than one index, by stride
  std::size_t used = 0;
  for (std::size_t d = 0; d < rank; ++d) {
    if (view.shape[d] <= 1) continue;
    if (view.strides[d] < 0) {
      refuse(field(name, "strides"), static_cast<std::int64_t>(d), view.strides[d], "must not be negative");
    }
    std::size_t place = used++;
    for (; place > 0 && view.strides[order[place - 1]] > view.strides[d]; --place) order[place] = order[place - 1];
    order[place] = d;
  }
  std::int64_t span = 1;  // elements from the first to the last, both included
  for (std::size_t i = 0; i < used; ++i) {
    const std::size_t d = order[i];
    if (view.strides[d] < span) {
      refuse(field(name, "strides"), static_cast<std::int64_t>(d), view.strides[d],
             "overlaps: the dimensions inside it span {} elements", span);
    }
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(view.shape[d] - 1, view.strides[d], &reach) ||
        __builtin_add_overflow(span, reach, &span) || span > std::numeric_limits<std::int64_t>::max() / element) {
      refuse(field(name, "strides"), static_cast<std::int64_t>(d), view.strides[d],
             "x {} elements of {} bytes exceeds 2^63 - 1 bytes", view.shape[d], element);
    }
  }
  const bool empty =
      std::any_of(view.shape.begin(), view.shape.begin() + view.rank, [](auto size) { return size == 0; });
  if (empty) return {name};

  Range range{name, reinterpret_cast<std::uintptr_t>(view.data), static_cast<std::uintptr_t>(span * element), 0, 0};
  if (range.begin > std::numeric_limits<std::uintptr_t>::max() - range.bytes) {
    refuse(field(name, "data"), Error::kNoIndex, fmt::ptr(view.data), "+ {} bytes exceeds the address space",
           range.bytes);
  }
  const std::int64_t outer = view.shape[0] > 1 ? view.strides[0] : 0;
  range.row_stride = static_cast<std::uintptr_t>(outer * element);
  range.row_bytes = range.bytes - range.row_stride * static_cast<std::uintptr_t>(view.shape[0] - 1);
  return range;
}

/// Everything about one view. `needed`: elements of it will be read or written, so it must not be null. A null view
/// that is not needed is absent, and nothing else about it is looked at.
Range check_view(const char* name, const TensorView& view, Dtype dtype, const char* dtype_rule, bool needed,
                 std::initializer_list<Dimension> dimensions) {
  if (!view.present()) {
    if (needed) refuse(field(name, "data"), Error::kNoIndex, "null", "but the batch has data there");
    return {name};
  }
  if (view.device != DeviceKind::kCpu && view.device != DeviceKind::kCuda) {
    refuse(field(name, "device"), Error::kNoIndex, static_cast<std::int32_t>(view.device),
           "is not 0 (CPU) or 1 (CUDA)");
  }
  if (view.device_index < 0) {
    refuse(field(name, "device_index"), Error::kNoIndex, view.device_index, "must not be negative");
  }
  if (view.dtype != dtype) {
    const std::string shown = dtype_size(view.dtype) == 0 ? fmt::format("{}", static_cast<std::int32_t>(view.dtype))
                                                          : std::string(dtype_name(view.dtype));
    refuse(field(name, "dtype"), Error::kNoIndex, shown, "must be {} ({})", dtype_name(dtype), dtype_rule);
  }
  check_shape(name, view, dimensions);
  const auto alignment = static_cast<std::uintptr_t>(dtype_size(view.dtype));
  if (reinterpret_cast<std::uintptr_t>(view.data) % alignment != 0) {
    refuse(field(name, "data"), Error::kNoIndex, fmt::ptr(view.data), "must be aligned to its {}-byte elements",
           alignment);
  }
  return check_strides(name, view);
}

/// All tensors are in one memory, query's or, without queries, key's.
void check_devices(const Tensors& tensors) {
  const std::pair<const char*, const TensorView*> views[] = {{"query", &tensors.query},
                                                             {"key", &tensors.key},
                                                             {"value", &tensors.value},
                                                             {"out", &tensors.out},
                                                             {"lse", &tensors.lse},
                                                             {"block_table", &tensors.block_table},
                                                             {"sinks", &tensors.sinks},
                                                             {"query_scale", &tensors.query_scale},
                                                             {"key_scale", &tensors.key_scale},
                                                             {"value_scale", &tensors.value_scale}};
  const auto* first =
      std::find_if(std::begin(views), std::end(views), [](const auto& view) { return view.second->present(); });
  for (const auto* view = first; view != std::end(views); ++view) {
    if (!view->second->present()) continue;
    if (view->second->device != first->second->device) {
      refuse(field(view->first, "device"), Error::kNoIndex, static_cast<std::int32_t>(view->second->device),
             "is not {}.device = {}: all tensors must be in one memory", first->first,
             static_cast<std::int32_t>(first->second->device));
    }
    if (view->second->device_index != first->second->device_index) {
      refuse(field(view->first, "device_index"), Error::kNoIndex, view->second->device_index,
             "is not {}.device_index = {}: all tensors must be in one memory", first->first,
             first->second->device_index);
    }
  }
}

/// Do two views share no byte? Either their ranges are apart, or they interleave with the same stride, as slices of one
/// packed tensor do, and their rows are apart within it. Views that interleave otherwise count as overlapping.
bool disjoint(const Range& a, const Range& b) {
  if (a.bytes == 0 || b.bytes == 0) return true;
  if (a.begin + a.bytes <= b.begin || b.begin + b.bytes <= a.begin) return true;
  const std::uintptr_t stride = a.row_stride;
  if (stride == 0 || stride != b.row_stride || a.row_bytes > stride || b.row_bytes > stride) return false;
  const std::uintptr_t lag = (b.begin % stride + stride - a.begin % stride) % stride;  // from a's row to b's next row
  return lag >= a.row_bytes && lag + b.row_bytes <= stride;
}

void check_disjoint(const Range& output, const Range& other) {
  if (disjoint(output, other)) return;
  refuse(field(output.name, "data"), Error::kNoIndex, fmt::ptr(reinterpret_cast<const void*>(output.begin)),
         "({} bytes) overlaps {}.data = {} ({} bytes): outputs must share memory with no other tensor", output.bytes,
         other.name, fmt::ptr(reinterpret_cast<const void*>(other.begin)), other.bytes);
}

std::int64_t used_pages(const RaggedBatch& batch, const RequestExtent& request) {
  return request.key_length == 0 ? 0 : (request.key_length - 1) / batch.page_size + 1;
}

/// That every request's keys fit its pages.
void check_table_width(const RaggedBatch& batch, const TensorView& table) {
  const std::int64_t max_pages = table.present() ? table.shape[1] : 0;
  for (const RequestExtent& request : batch.requests) {
    if (used_pages(batch, request) <= max_pages) continue;
    refuse(PageFault{PageRule::kTooManyKeys, &request - batch.requests.data(), 0, request.key_length, max_pages,
                     batch.page_size});
  }
}

/// Page numbers of every request. Entries past a request's last page are never read.
void check_pages(const RaggedBatch& batch, const Tensors& tensors) {
  const TensorView& table = tensors.block_table;
  const std::int64_t max_pages = table.present() ? table.shape[1] : 0;
  const std::int64_t pool_pages = tensors.key.present() ? tensors.key.shape[0] : 0;
  const std::int64_t request_stride = table.shape[0] > 1 ? table.strides[0] : 0;
  const auto* pages = static_cast<const std::int32_t*>(table.data);
  const auto requests = static_cast<std::int64_t>(batch.requests.size());
  for (std::int64_t r = 0; r < requests; ++r) {
    const std::int64_t used = used_pages(batch, batch.requests[static_cast<std::size_t>(r)]);
    const std::int32_t* row = pages + r * request_stride;
    for (std::int64_t p = 0; p < used; ++p) {
      if (row[p] < 0 || row[p] >= pool_pages) {
        refuse(PageFault{PageRule::kNoSuchPage, r, p, row[p], max_pages, pool_pages});
      }
    }
  }
}

std::int64_t request_count(const RaggedBatch& batch) {
  return batch.requests.empty() ? batch.most_requests : std::ssize(batch.requests);
}

/// Per-(request, KV head) factors of fp8 inputs.
Range check_scales(const char* name, const TensorView& view, const RaggedBatch& batch) {
  const Dtype input = batch.input_dtype;
  if (view.present() && input != Dtype::kFloat8E4M3 && input != Dtype::kFloat8E5M2) {
    refuse(field(name, "data"), Error::kNoIndex, fmt::ptr(view.data),
           "is given, but input_dtype is {}: scales are for fp8", dtype_name(input));
  }
  return check_view(name, view, Dtype::kFloat32, "scales", false,
                    {{request_count(batch), "requests"}, {batch.kv_heads, "kv_heads"}});
}

}  // namespace

void validate_tensors(const RaggedBatch& batch, const Tensors& tensors) {
  const std::int64_t requests = request_count(batch);
  const bool has_queries = batch.query_tokens > 0;
  const bool has_keys = batch.key_tokens > 0;
  const Dimension query_tokens{batch.query_tokens, "the last query offset", true};
  const Dimension query_heads{batch.query_heads, "query_heads"};
  const Dimension kv_heads{batch.kv_heads, "kv_heads"};
  const Dimension dim_qk{batch.head_dim_qk, "head_dim_qk"};
  const Dimension dim_vo{batch.head_dim_vo, "head_dim_vo"};
  const char* const input = "the batch's input_dtype";

  std::array<Range, 8> inputs{};
  inputs[0] =
      check_view("query", tensors.query, batch.input_dtype, input, has_queries, {query_tokens, query_heads, dim_qk});
  if (batch.page_size > 0) {
    const Dimension page_size{batch.page_size, "page_size"};
    inputs[1] =
        check_view("key", tensors.key, batch.input_dtype, input, has_keys, {kAnySize, page_size, kv_heads, dim_qk});
    const Dimension pages{tensors.key.present() ? tensors.key.shape[0] : 0, "key.shape[0]", !tensors.key.present()};
    inputs[2] =
        check_view("value", tensors.value, batch.input_dtype, input, has_keys, {pages, page_size, kv_heads, dim_vo});
    inputs[3] = check_view("block_table", tensors.block_table, Dtype::kInt32, "page numbers", has_keys,
                           {{requests, "requests"}, kAnySize});
    check_table_width(batch, tensors.block_table);
    if (tensors.block_table.device == DeviceKind::kCpu) check_pages(batch, tensors);
  } else {
    const Dimension key_tokens{batch.key_tokens, "the last key offset", true};
    inputs[1] = check_view("key", tensors.key, batch.input_dtype, input, has_keys, {key_tokens, kv_heads, dim_qk});
    inputs[2] = check_view("value", tensors.value, batch.input_dtype, input, has_keys, {key_tokens, kv_heads, dim_vo});
    if (tensors.block_table.present()) {
      refuse("block_table.data", Error::kNoIndex, fmt::ptr(tensors.block_table.data), "is given, but page_size is 0");
    }
  }
  inputs[4] = check_view("sinks", tensors.sinks, Dtype::kFloat32, "one logit per query head", false, {query_heads});
  inputs[5] = check_scales("query_scale", tensors.query_scale, batch);
  inputs[6] = check_scales("key_scale", tensors.key_scale, batch);
  inputs[7] = check_scales("value_scale", tensors.value_scale, batch);

  const Range out = check_view("out", tensors.out, batch.output_dtype, "the batch's output_dtype", has_queries,
                               {query_tokens, query_heads, dim_vo});
  const Range lse = check_view("lse", tensors.lse, Dtype::kFloat32, "LSE", false, {query_tokens, query_heads});
  for (const Range& range : inputs) {
    check_disjoint(out, range);
    check_disjoint(lse, range);
  }
  check_disjoint(lse, out);
  check_devices(tensors);
}

}  // namespace varlen
