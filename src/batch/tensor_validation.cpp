// Every rule about where the data of a valid batch lies. Reads no element except those of the block table that the
// requests' queries see.
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

#include "batch/footprint.hpp"
#include "batch/page_fault.hpp"
#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "batch/seen_keys.hpp"
#include "batch/small_tensors.hpp"

namespace varlen {
namespace {

/// What a tensor's dimension must be: exactly `size`, or at least it. `rule` says where the size comes from.
struct Dimension {
  std::int64_t size;
  const char* rule;
  bool at_least = false;
};

constexpr Dimension kAnySize{0, "", true};

/// All dimensions, and what messages call them.
struct Shape {
  const char* axes;
  std::initializer_list<Dimension> dimensions;
};

/// What the call does with a tensor.
struct Use {
  bool needed = false;    // elements of it will be read or written, so it must not be null
  bool has_rows = false;  // the innermost dimension is read or written as one piece
  bool written = false;   // so no two elements may share memory
};

/// A checked tensor.
struct Checked {
  const char* name = "";
  Footprint memory;
};

std::string field(const char* name, const char* part) { return fmt::format("{}.{}", name, part); }

void check_shape(const char* name, const TensorView& view, const Shape& shape) {
  const std::initializer_list<Dimension>& dimensions = shape.dimensions;
  if (view.rank != static_cast<std::int32_t>(dimensions.size())) {
    refuse(field(name, "rank"), Error::kNoIndex, view.rank, "must be {}: [{}]", dimensions.size(), shape.axes);
  }
  std::size_t d = 0;
  for (const Dimension& dimension : dimensions) {
    const std::int64_t size = view.shape[d];
    if (size < 0) refuse(field(name, "shape"), static_cast<std::int64_t>(d), size, "must not be negative");
    if (dimension.at_least ? size < dimension.size : size != dimension.size) {
      refuse(field(name, "shape"), static_cast<std::int64_t>(d), size, "must be {} {} = {}: [{}]",
             dimension.at_least ? "at least" : "equal to", dimension.rule, dimension.size, shape.axes);
    }
    ++d;
  }
}

bool is_empty(const TensorView& view) {
  return std::any_of(view.shape.begin(), view.shape.begin() + view.rank, [](auto size) { return size == 0; });
}

/// Walks the dimensions from the smallest stride up. What is written must nest: each dimension steps over all that lies
/// inside it. Strides of dimensions of size 1 mean nothing.
void check_strides(const char* name, const TensorView& view, const Use& use) {
  const auto rank = static_cast<std::size_t>(view.rank);
  const std::int64_t element = dtype_size(view.dtype);
  if (use.has_rows && view.shape[rank - 1] > 1 && view.strides[rank - 1] != 1) {
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
    if (use.written && view.strides[d] < span) {
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
  const auto bytes = static_cast<std::uintptr_t>(span * element);
  const std::uintptr_t room = std::numeric_limits<std::uintptr_t>::max() - reinterpret_cast<std::uintptr_t>(view.data);
  if (room < bytes) {
    refuse(field(name, "data"), Error::kNoIndex, fmt::format("{} bytes before the end of the address space", room),
           "cannot hold {} bytes", bytes);
  }
}

std::string shown_dtype(Dtype dtype) {
  return dtype_size(dtype) == 0 ? fmt::format("{}", static_cast<std::int32_t>(dtype)) : dtype_name(dtype);
}

void check_dtype(const char* name, const TensorView& view, Dtype dtype, const char* rule) {
  if (view.dtype == dtype) return;
  refuse(field(name, "dtype"), Error::kNoIndex, shown_dtype(view.dtype), "must be {} ({})", dtype_name(dtype), rule);
}

/// Everything about one present view but its dtype. The address and the strides of a view without elements mean
/// nothing.
Checked check_layout(const char* name, const TensorView& view, const Use& use, const Shape& shape) {
  if (view.device != DeviceKind::kCpu && view.device != DeviceKind::kCuda) {
    refuse(field(name, "device"), Error::kNoIndex, static_cast<std::int32_t>(view.device),
           "is not 0 (CPU) or 1 (CUDA)");
  }
  if (view.device_index < 0) {
    refuse(field(name, "device_index"), Error::kNoIndex, view.device_index, "must not be negative");
  }
  check_shape(name, view, shape);
  if (is_empty(view)) return {name, {}};
  const auto alignment = static_cast<std::uintptr_t>(dtype_size(view.dtype));
  const std::uintptr_t excess = reinterpret_cast<std::uintptr_t>(view.data) % alignment;
  if (excess != 0) {
    refuse(field(name, "data"), Error::kNoIndex, fmt::format("{} modulo {}", excess, alignment),
           "must be aligned to its {}-byte elements", alignment);
  }
  check_strides(name, view, use);
  return {name, footprint(view)};
}

/// Whether there is a view to check. A null view that is not needed is absent, and nothing else about it is looked at.
bool check_present(const char* name, const TensorView& view, bool needed) {
  if (needed && !view.present()) refuse(field(name, "data"), Error::kNoIndex, "null", "but the batch has data there");
  return view.present();
}

Checked check_view(const char* name, const TensorView& view, Dtype dtype, const char* dtype_rule, const Use& use,
                   const Shape& shape) {
  if (!check_present(name, view, use.needed)) return {name, {}};
  check_dtype(name, view, dtype, dtype_rule);
  return check_layout(name, view, use, shape);
}

using NamedView = std::pair<const char*, const TensorView*>;

std::array<NamedView, 10> all_views(const Tensors& tensors) {
  return {{{"query", &tensors.query},
           {"key", &tensors.key},
           {"value", &tensors.value},
           {"out", &tensors.out},
           {"lse", &tensors.lse},
           {"block_table", &tensors.block_table},
           {"sinks", &tensors.sinks},
           {"query_scale", &tensors.query_scale},
           {"key_scale", &tensors.key_scale},
           {"value_scale", &tensors.value_scale}}};
}

/// All tensors are in one memory, query's or, without queries, key's.
void check_devices(const Tensors& tensors) {
  const auto views = all_views(tensors);
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

/// Where `a` begins, seen from `b`: addresses themselves tell a reader nothing.
std::string place_of(const Checked& a, const Checked& b) {
  std::string place = field(b.name, "data");
  if (a.memory.begin == b.memory.begin) return place;
  const bool after = a.memory.begin > b.memory.begin;
  const std::uintptr_t bytes = after ? a.memory.begin - b.memory.begin : b.memory.begin - a.memory.begin;
  return fmt::format("{} {} {} bytes", place, after ? '+' : '-', bytes);
}

void check_apart(const Checked& output, const Checked& other, const char* rule) {
  if (!overlap(output.memory, other.memory)) return;
  refuse(field(output.name, "data"), Error::kNoIndex, place_of(output, other), "({} bytes) overlaps {} ({} bytes): {}",
         output.memory.bytes, other.name, other.memory.bytes, rule);
}

/// Whether a query sees a key; of a plan on a device, whether one may.
bool reads_keys(const RaggedBatch& batch) {
  if (batch.requests.empty()) return batch.key_tokens > 0;
  return std::any_of(batch.requests.begin(), batch.requests.end(), [&](const RequestExtent& request) {
    const SeenKeys seen = seen_keys(batch.mask, request);
    return seen.begin < seen.end;
  });
}

/// That the keys of every request with queries fit its pages.
void check_table_width(const RaggedBatch& batch, const TensorView& table) {
  const std::int64_t max_pages = table.present() ? table.shape[1] : 0;
  for (const RequestExtent& request : batch.requests) {
    if (seen_pages(batch, request).end <= max_pages) continue;
    refuse(PageFault{PageRule::kTooManyKeys, &request - batch.requests.data(), 0, request.key_length, max_pages,
                     batch.page_size});
  }
}

/// Page numbers of every request. Reads the entries of seen_pages() and no others.
void check_pages(const RaggedBatch& batch, const Tensors& tensors) {
  const TensorView& table = tensors.block_table;
  const std::int64_t max_pages = table.present() ? table.shape[1] : 0;
  const std::int64_t pool_pages = tensors.key.present() ? tensors.key.shape[0] : 0;
  const auto requests = static_cast<std::int64_t>(batch.requests.size());
  for (std::int64_t r = 0; r < requests; ++r) {
    const SeenPages seen = seen_pages(batch, batch.requests[static_cast<std::size_t>(r)]);
    for (std::int64_t p = seen.begin; p < seen.end; ++p) {
      const std::int64_t page = page_number(table, r, p);
      if (page < 0 || page >= pool_pages) {
        refuse(PageFault{PageRule::kNoSuchPage, r, p, page, max_pages, pool_pages});
      }
    }
  }
}

Checked check_block_table(const RaggedBatch& batch, const TensorView& view, std::int64_t requests) {
  const char* const name = "block_table";
  if (!check_present(name, view, reads_keys(batch))) return {name, {}};
  if (view.dtype != Dtype::kInt32 && view.dtype != Dtype::kInt64) {
    refuse(field(name, "dtype"), Error::kNoIndex, shown_dtype(view.dtype), "must be int32 or int64 (page numbers)");
  }
  return check_layout(name, view, {}, {"requests, pages", {{requests, "requests"}, kAnySize}});
}

std::int64_t request_count(const RaggedBatch& batch) {
  return batch.requests.empty() ? batch.most_requests : std::ssize(batch.requests);
}

/// Per-(request, KV head) factors of fp8 inputs, which may broadcast.
Checked check_scales(const char* name, const TensorView& view, const RaggedBatch& batch) {
  if (!view.present()) return {name, {}};
  const Dtype input = batch.input_dtype;
  if (input != Dtype::kFloat8E4M3 && input != Dtype::kFloat8E5M2) {
    refuse(field(name, "data"), Error::kNoIndex, "not null", "although query_dtype is {}: scales are for fp8",
           dtype_name(input));
  }
  check_dtype(name, view, Dtype::kFloat32, "scales");
  if (view.rank == 1 && view.shape[0] == 1) return check_layout(name, view, {}, {"1", {kAnySize}});
  if (view.rank != 2) {
    refuse(field(name, "rank"), Error::kNoIndex, view.rank, "must be 2; only one scale for all may have the shape [1]");
  }
  const auto expected = [&](std::size_t d, std::int64_t size) { return view.shape[d] == 1 ? 1 : size; };
  return check_layout(
      name, view, {},
      {"requests, kv_heads",
       {{expected(0, request_count(batch)), "1 or requests"}, {expected(1, batch.kv_heads), "1 or kv_heads"}}});
}

}  // namespace

void validate_tensors(const RaggedBatch& batch, const Tensors& tensors) {
  const std::int64_t requests = request_count(batch);
  const bool has_queries = batch.query_tokens > 0;
  const bool has_keys = reads_keys(batch);
  const Dimension query_tokens{batch.query_tokens, "the last query offset", true};
  const Dimension query_heads{batch.query_heads, "query_heads"};
  const Dimension kv_heads{batch.kv_heads, "kv_heads"};
  const Dimension dim_qk{batch.head_dim_qk, "head_dim_qk"};
  const Dimension dim_vo{batch.head_dim_vo, "head_dim_vo"};
  const char* const of_keys = "the batch's kv_dtype";

  std::array<Checked, 8> inputs{};
  const Use queries{has_queries, true};
  const Use keys{has_keys, true};
  inputs[0] = check_view("query", tensors.query, batch.input_dtype, "the batch's query_dtype", queries,
                         {"tokens, query_heads, head_dim_qk", {query_tokens, query_heads, dim_qk}});
  if (batch.page_size > 0) {
    const Dimension page_size{batch.page_size, "page_size"};
    inputs[1] = check_view("key", tensors.key, batch.input_dtype, of_keys, keys,
                           {"pages, page_size, kv_heads, head_dim_qk", {kAnySize, page_size, kv_heads, dim_qk}});
    const Dimension pages{tensors.key.present() ? tensors.key.shape[0] : 0, "key.shape[0]", !tensors.key.present()};
    inputs[2] = check_view("value", tensors.value, batch.input_dtype, of_keys, keys,
                           {"pages, page_size, kv_heads, head_dim_vo", {pages, page_size, kv_heads, dim_vo}});
    inputs[3] = check_block_table(batch, tensors.block_table, requests);
    check_table_width(batch, tensors.block_table);
    if (tensors.block_table.device == DeviceKind::kCpu) check_pages(batch, tensors);
  } else {
    const Dimension key_tokens{batch.key_tokens, "the last key offset", true};
    if (tensors.key.present() && tensors.key.rank == 4) {
      refuse("key.rank", Error::kNoIndex, 4, "means pages, which need page_size and a block table");
    }
    inputs[1] = check_view("key", tensors.key, batch.input_dtype, of_keys, keys,
                           {"tokens, kv_heads, head_dim_qk", {key_tokens, kv_heads, dim_qk}});
    inputs[2] = check_view("value", tensors.value, batch.input_dtype, of_keys, keys,
                           {"tokens, kv_heads, head_dim_vo", {key_tokens, kv_heads, dim_vo}});
    if (tensors.block_table.present()) {
      refuse("block_table.data", Error::kNoIndex, "not null", "although page_size is 0");
    }
  }
  inputs[4] = check_view("sinks", tensors.sinks, Dtype::kFloat32, "one logit per query head", {},
                         {"query_heads", {query_heads}});
  inputs[5] = check_scales("query_scale", tensors.query_scale, batch);
  inputs[6] = check_scales("key_scale", tensors.key_scale, batch);
  inputs[7] = check_scales("value_scale", tensors.value_scale, batch);

  const Checked out =
      check_view("out", tensors.out, batch.output_dtype, "the batch's output_dtype", {has_queries, true, true},
                 {"tokens, query_heads, head_dim_vo", {query_tokens, query_heads, dim_vo}});
  const Checked lse = check_view("lse", tensors.lse, Dtype::kFloat32, "LSE", {false, false, true},
                                 {"tokens, query_heads", {query_tokens, query_heads}});
  constexpr const char* kRule = "outputs must share memory with no other tensor";
  for (const Checked& range : inputs) {
    check_apart(out, range, kRule);
    check_apart(lse, range, kRule);
  }
  check_apart(lse, out, kRule);
  check_devices(tensors);
}

void check_workspace_apart(const Tensors& tensors, const void* workspace, std::int64_t bytes) {
  const Checked checked{"workspace", footprint(workspace, bytes)};
  for (const auto& [name, view] : all_views(tensors)) {
    if (!view->present()) continue;
    check_apart(checked, {name, footprint(*view)}, "the workspace must share memory with no tensor");
  }
}

}  // namespace varlen
