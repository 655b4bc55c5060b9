// Every rule about where the data of a valid batch lies. Reads no element; page_validation.cpp reads page numbers.
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

#include "batch/footprint.hpp"
#include "batch/page_validation.hpp"
#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "batch/seen_keys.hpp"
#include "batch/tensor_fields.hpp"

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

std::string part_of(const char* name, const char* part) { return fmt::format("{}.{}", name, part); }

void check_shape(const char* name, const TensorView& view, const Shape& shape) {
  const std::initializer_list<Dimension>& dimensions = shape.dimensions;
  if (view.rank != static_cast<std::int32_t>(dimensions.size())) {
    refuse(part_of(name, "rank"), Error::kNoIndex, view.rank, "must be {}: [{}]", dimensions.size(), shape.axes);
  }
  std::size_t d = 0;
  for (const Dimension& dimension : dimensions) {
    const std::int64_t size = view.shape[d];
    if (size < 0) refuse(part_of(name, "shape"), static_cast<std::int64_t>(d), size, "must not be negative");
    if (dimension.at_least ? size < dimension.size : size != dimension.size) {
      refuse(part_of(name, "shape"), static_cast<std::int64_t>(d), size, "must be {} {} = {}: [{}]",
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
    refuse(part_of(name, "strides"), view.rank - 1, view.strides[rank - 1], "must be 1: rows are contiguous");
  }
  std::array<std::size_t, TensorView::kMaxRank> order{};  // dimensions of more than one index, by stride
  std::size_t used = 0;
  for (std::size_t d = 0; d < rank; ++d) {
    if (view.shape[d] <= 1) continue;
    if (view.strides[d] < 0) {
      refuse(part_of(name, "strides"), static_cast<std::int64_t>(d), view.strides[d], "must not be negative");
    }
    std::size_t place = used++;
    for (; place > 0 && view.strides[order[place - 1]] > view.strides[d]; --place) order[place] = order[place - 1];
    order[place] = d;
  }
  std::int64_t span = 1;  // elements from the first to the last, both included
  for (std::size_t i = 0; i < used; ++i) {
    const std::size_t d = order[i];
    if (use.written && view.strides[d] < span) {
      refuse(part_of(name, "strides"), static_cast<std::int64_t>(d), view.strides[d],
             "overlaps: the dimensions inside it span {} elements", span);
    }
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(view.shape[d] - 1, view.strides[d], &reach) ||
        __builtin_add_overflow(span, reach, &span) || span > std::numeric_limits<std::int64_t>::max() / element) {
      refuse(part_of(name, "strides"), static_cast<std::int64_t>(d), view.strides[d],
             "x {} elements of {} bytes exceeds 2^63 - 1 bytes", view.shape[d], element);
    }
  }
  const auto bytes = static_cast<std::uintptr_t>(span * element);
  const std::uintptr_t room = std::numeric_limits<std::uintptr_t>::max() - reinterpret_cast<std::uintptr_t>(view.data);
  if (room < bytes) {
    refuse(part_of(name, "data"), Error::kNoIndex, fmt::format("{} bytes before the end of the address space", room),
           "cannot hold {} bytes", bytes);
  }
}

std::string shown_dtype(Dtype dtype) {
  return dtype_size(dtype) == 0 ? fmt::format("{}", static_cast<std::int32_t>(dtype)) : dtype_name(dtype);
}

void check_dtype(const char* name, const TensorView& view, Dtype dtype, const char* rule) {
  if (view.dtype == dtype) return;
  refuse(part_of(name, "dtype"), Error::kNoIndex, shown_dtype(view.dtype), "must be {} ({})", dtype_name(dtype), rule);
}

/// Everything about one present view but its dtype. The address and the strides of a view without elements mean
/// nothing.
Checked check_layout(const char* name, const TensorView& view, const Use& use, const Shape& shape) {
  if (view.device != DeviceKind::kCpu && view.device != DeviceKind::kCuda) {
    refuse(part_of(name, "device"), Error::kNoIndex, static_cast<std::int32_t>(view.device),
           "is not 0 (CPU) or 1 (CUDA)");
  }
  if (view.device_index < 0) {
    refuse(part_of(name, "device_index"), Error::kNoIndex, view.device_index, "must not be negative");
  }
  check_shape(name, view, shape);
  if (is_empty(view)) return {name, {}};
  const auto alignment = static_cast<std::uintptr_t>(dtype_size(view.dtype));
  const std::uintptr_t excess = reinterpret_cast<std::uintptr_t>(view.data) % alignment;
  if (excess != 0) {
    refuse(part_of(name, "data"), Error::kNoIndex, fmt::format("{} modulo {}", excess, alignment),
           "must be aligned to its {}-byte elements", alignment);
  }
  check_strides(name, view, use);
  return {name, footprint(view)};
}

/// Whether there is a view to check. A null view that is not needed is absent, and nothing else about it is looked at.
bool check_present(const char* name, const TensorView& view, bool needed) {
  if (needed && !view.present()) refuse(part_of(name, "data"), Error::kNoIndex, "null", "but the batch has data there");
  return view.present();
}

Checked check_view(const char* name, const TensorView& view, Dtype dtype, const char* dtype_rule, const Use& use,
                   const Shape& shape) {
  if (!check_present(name, view, use.needed)) return {name, {}};
  check_dtype(name, view, dtype, dtype_rule);
  return check_layout(name, view, use, shape);
}

/// All tensors are in one memory, query's or, without queries, key's.
void check_devices(const Tensors& tensors) {
  const TensorField* first = nullptr;
  for (const TensorField& field : kTensorFields) {
    const TensorView& view = tensors.*field.view;
    if (!view.present()) continue;
    if (first == nullptr) first = &field;
    const TensorView& others = tensors.*first->view;
    constexpr const char* kRule = "all tensors must be in one memory";
    if (view.device != others.device) {
      refuse(part_of(field.name, "device"), Error::kNoIndex, static_cast<std::int32_t>(view.device),
             "is not {}.device = {}: {}", first->name, static_cast<std::int32_t>(others.device), kRule);
    }
    if (view.device_index != others.device_index) {
      refuse(part_of(field.name, "device_index"), Error::kNoIndex, view.device_index, "is not {}.device_index = {}: {}",
             first->name, others.device_index, kRule);
    }
  }
}

/// Where `a` begins, seen from `b`: addresses themselves tell a reader nothing.
std::string place_of(const Checked& a, const Checked& b) {
  std::string place = part_of(b.name, "data");
  if (a.memory.begin == b.memory.begin) return place;
  const bool after = a.memory.begin > b.memory.begin;
  const std::uintptr_t bytes = after ? a.memory.begin - b.memory.begin : b.memory.begin - a.memory.begin;
  return fmt::format("{} {} {} bytes", place, after ? '+' : '-', bytes);
}

void check_apart(const Checked& output, const Checked& other, const char* rule) {
  if (!overlap(output.memory, other.memory)) return;
  refuse(part_of(output.name, "data"), Error::kNoIndex, place_of(output, other),
         "({} bytes) overlaps {} ({} bytes): {}", output.memory.bytes, other.name, other.memory.bytes, rule);
}

/// Whether a query sees a key; of a plan on a device, whether one may.
bool reads_keys(const RaggedBatch& batch) {
  if (batch.requests.empty()) return batch.key_tokens > 0;
  return std::any_of(batch.requests.begin(), batch.requests.end(), [&](const RequestExtent& request) {
    const SeenKeys seen = seen_keys(batch.mask, request);
    return seen.begin < seen.end;
  });
}

std::int64_t request_count(const RaggedBatch& batch) {
  return batch.requests.empty() ? batch.most_requests : std::ssize(batch.requests);
}

// Page numbers

void check_absent(const char* name, const TensorView& view, const std::string& reason) {
  if (view.present()) refuse(part_of(name, "data"), Error::kNoIndex, "not null", "although {}", reason);
}

/// That there is one of the three forms, or none, and that it is complete.
void check_page_form(const Tensors& tensors) {
  const TensorView* const ranges[] = {&tensors.page_indptr, &tensors.page_indices};
  if (std::none_of(std::begin(ranges), std::end(ranges), [](const TensorView* view) { return view->present(); }))
    return;
  const std::string reason = fmt::format("{} is given: page numbers come in one form",
                                         tensors.page_indptr.present() ? "page_indptr" : "page_indices");
  check_absent("block_table", tensors.block_table, reason);
  check_absent("block_table_rows", tensors.block_table_rows, reason);
  if (!tensors.page_indptr.present()) {
    refuse("page_indptr.data", Error::kNoIndex, "null", "but page_indices needs it");
  }
}

Checked check_integers(const char* name, const TensorView& view, bool needed, const char* meaning, const Shape& shape) {
  if (!check_present(name, view, needed)) return {name, {}};
  if (view.dtype != Dtype::kInt32 && view.dtype != Dtype::kInt64) {
    refuse(part_of(name, "dtype"), Error::kNoIndex, shown_dtype(view.dtype), "must be int32 or int64 ({})", meaning);
  }
  return check_layout(name, view, {}, shape);
}

/// Adds what it has checked to `inputs`.
void check_page_tensors(const RaggedBatch& batch, const Tensors& tensors, Checked* inputs) {
  const std::int64_t requests = request_count(batch);
  const bool needed = reads_keys(batch);
  check_page_form(tensors);
  if (tensors.page_indptr.present()) {
    inputs[0] = check_integers("page_indptr", tensors.page_indptr, needed, "offsets",
                               {"requests + 1", {{requests + 1, "requests + 1"}}});
    inputs[1] = check_integers("page_indices", tensors.page_indices, needed, "page numbers", {"pages", {kAnySize}});
  } else {
    const bool has_rows = tensors.block_table_rows.present();
    const Dimension rows = has_rows ? kAnySize : Dimension{requests, "requests"};
    inputs[0] = check_integers("block_table", tensors.block_table, needed || has_rows, "page numbers",
                               {has_rows ? "rows, pages" : "requests, pages", {rows, kAnySize}});
    inputs[1] = check_integers("block_table_rows", tensors.block_table_rows, false, "rows of the block table",
                               {"requests", {{requests, "requests"}}});
  }
  validate_page_numbers(batch, tensors);
}

/// Per-(request, KV head) factors of fp8 inputs, which may broadcast.
Checked check_scales(const char* name, const TensorView& view, const RaggedBatch& batch) {
  if (!view.present()) return {name, {}};
  const Dtype input = batch.input_dtype;
  if (input != Dtype::kFloat8E4M3 && input != Dtype::kFloat8E5M2) {
    refuse(part_of(name, "data"), Error::kNoIndex, "not null", "although query_dtype is {}: scales are for fp8",
           dtype_name(input));
  }
  check_dtype(name, view, Dtype::kFloat32, "scales");
  if (view.rank == 1 && view.shape[0] == 1) return check_layout(name, view, {}, {"1", {kAnySize}});
  if (view.rank != 2) {
    refuse(part_of(name, "rank"), Error::kNoIndex, view.rank,
           "must be 2; only one scale for all may have the shape [1]");
  }
  const auto expected = [&](std::size_t d, std::int64_t size) { return view.shape[d] == 1 ? 1 : size; };
  return check_layout(
      name, view, {},
      {"requests, kv_heads",
       {{expected(0, request_count(batch)), "1 or requests"}, {expected(1, batch.kv_heads), "1 or kv_heads"}}});
}

}  // namespace

void validate_tensors(const RaggedBatch& batch, const Tensors& tensors) {
  const bool has_queries = batch.query_tokens > 0;
  const bool has_keys = reads_keys(batch);
  const Dimension query_tokens{batch.query_tokens, "the last query offset", true};
  const Dimension query_heads{batch.query_heads, "query_heads"};
  const Dimension kv_heads{batch.kv_heads, "kv_heads"};
  const Dimension dim_qk{batch.head_dim_qk, "head_dim_qk"};
  const Dimension dim_vo{batch.head_dim_vo, "head_dim_vo"};
  const char* const of_keys = "the batch's kv_dtype";

  std::array<Checked, 9> inputs{};
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
    check_page_tensors(batch, tensors, &inputs[7]);
  } else {
    const Dimension key_tokens{batch.key_tokens, "the last key offset", true};
    if (tensors.key.present() && tensors.key.rank == 4) {
      refuse("key.rank", Error::kNoIndex, 4, "means pages, which need page_size and a block table");
    }
    inputs[1] = check_view("key", tensors.key, batch.input_dtype, of_keys, keys,
                           {"tokens, kv_heads, head_dim_qk", {key_tokens, kv_heads, dim_qk}});
    inputs[2] = check_view("value", tensors.value, batch.input_dtype, of_keys, keys,
                           {"tokens, kv_heads, head_dim_vo", {key_tokens, kv_heads, dim_vo}});
    for (const auto view :
         {&Tensors::block_table, &Tensors::block_table_rows, &Tensors::page_indptr, &Tensors::page_indices}) {
      check_absent(field_name(view), tensors.*view, "page_size is 0");
    }
  }
  inputs[3] = check_view("sinks", tensors.sinks, Dtype::kFloat32, "one logit per query head", {},
                         {"query_heads", {query_heads}});
  inputs[4] = check_scales("query_scale", tensors.query_scale, batch);
  inputs[5] = check_scales("key_scale", tensors.key_scale, batch);
  inputs[6] = check_scales("value_scale", tensors.value_scale, batch);

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
  for (const TensorField& field : kTensorFields) {
    const TensorView& view = tensors.*field.view;
    if (!view.present()) continue;
    check_apart(checked, {field.name, footprint(view)}, "the workspace must share memory with no tensor");
  }
}

}  // namespace varlen
