#include "check/problem.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "reference/element.hpp"

namespace varlen::check {
namespace {

constexpr std::int64_t kSparseBytes = std::int64_t{1} << 28;
constexpr std::uint64_t kLayoutSeed = 0x6C61796F75740000U;  // apart from the data's random numbers

/// Element `index` of what surrounds a run's data: nothing remarkable, or everything that spreads.
double surrounding_value(const reference::FloatFormat& format, bool poisoned, std::int64_t index) {
  if (!poisoned) return 1;
  switch (index % 4) {
    case 0:
      return std::numeric_limits<double>::quiet_NaN();
    case 1:
      return std::numeric_limits<double>::infinity();
    case 2:
      return -reference::largest(format);
    default:
      return reference::largest(format);
  }
}

/// Elements of one row: a head's vector, or one head's LSE.
std::int64_t row_size(const TensorView& view) {
  return view.rank == 2 ? 1 : view.shape[static_cast<std::size_t>(view.rank - 1)];
}

}  // namespace

template <typename Visit>
void Problem::visit_query_rows(const TensorView& view, Visit visit) const {
  std::int64_t row = 0;
  for (std::size_t r = 0; r < test_.query_lengths.size(); ++r) {
    for (std::int64_t i = 0; i < test_.query_lengths[r]; ++i) {
      for (std::int64_t head = 0; head < test_.query_heads; ++head) {
        visit(r, i, (queries_.starts[r] + i) * view.strides[0] + head * view.strides[1], row++);
      }
    }
  }
}

template <typename Visit>
void Problem::visit_key_rows(const TensorView& view, Visit visit) const {
  std::int64_t row = 0;
  for (std::size_t r = 0; r < test_.key_lengths.size(); ++r) {
    for (std::int64_t j = 0; j < test_.key_lengths[r]; ++j) {
      for (std::int64_t head = 0; head < test_.kv_heads; ++head) {
        if (test_.page_size == 0) {
          visit(r, j, (keys_.starts[r] + j) * view.strides[0] + head * view.strides[1], row++);
          continue;
        }
        const std::int64_t page = pages_[r][static_cast<std::size_t>(j / test_.page_size)];
        const std::int64_t slot = j % test_.page_size;
        visit(r, j, page * view.strides[0] + slot * view.strides[1] + head * view.strides[2], row++);
      }
    }
  }
}

Problem::Problem(const Case& test, const CaseData& data, Surroundings surroundings, std::vector<ShownKeys> shown)
    : test_(test),
      poisoned_(surroundings == Surroundings::kPoisoned),
      shown_(std::move(shown)),
      random_(test.seed ^ kLayoutSeed) {
  batch_ = batch_without_lengths(test);
  const CaseLayout& layout = test.layout;
  queries_ = place_requests(layout.query_form, "query", test.query_lengths, layout.wide_query_indices,
                            batch_.query_indptr, batch_.query_lengths);
  const IndexForm key_form = test.page_size > 0 ? IndexForm::kLengths : layout.key_form;
  keys_ =
      place_requests(key_form, "key", test.key_lengths, layout.wide_key_indices, batch_.key_indptr, batch_.key_lengths);

  if (layout.packed_qkv) {
    place_packed();
  } else {
    tensors_.query =
        place_tensor("query", test.input_dtype, queries_.tokens + tail(), test.query_heads, test.head_dim_qk);
  }
  if (test.page_size > 0) {
    place_pages();
    tensors_.key = place_pool("key", pool_pages_, test.head_dim_qk);
    tensors_.value = place_pool("value", pool_pages_, test.head_dim_vo);
  } else if (!layout.packed_qkv) {
    tensors_.key = place_tensor("key", test.input_dtype, keys_.tokens + tail(), test.kv_heads, test.head_dim_qk);
    tensors_.value = place_tensor("value", test.input_dtype, keys_.tokens + tail(), test.kv_heads, test.head_dim_vo);
  }
  if (!data.sinks.empty()) {
    tensors_.sinks = place_floats("sinks", data.sinks, 1, test.query_heads);
    tensors_.sinks.rank = 1;
    tensors_.sinks.shape[0] = test.query_heads;
    tensors_.sinks.strides[0] = 1;
  }
  if (!data.query_scale.empty()) {
    tensors_.query_scale = place_scales("query_scale", data.query_scale);
    tensors_.key_scale = place_scales("key_scale", data.key_scale);
    tensors_.value_scale = place_scales("value_scale", data.value_scale);
  }
  tensors_.out = place_tensor("out", test.output_dtype, queries_.tokens + tail(), test.query_heads, test.head_dim_vo);
  if (test.lse) tensors_.lse = place_lse(queries_.tokens + tail());
  write_inputs(data);
  for (const auto& memory : memories_) {
    if (!memory->sparse) memory->bytes.watch();
  }
  forbid_surroundings();
}

Problem::Memory& Problem::allocate(const std::string& name, std::int64_t bytes, std::int64_t alignment) {
  const auto side = test_.layout.front_guards ? GuardedMemory::Side::kFront : GuardedMemory::Side::kBack;
  memories_.push_back(std::make_unique<Memory>(name, static_cast<std::size_t>(bytes),
                                               static_cast<std::size_t>(alignment), side, bytes > kSparseBytes));
  return *memories_.back();
}

void Problem::fill(Memory& memory, Dtype dtype) {
  if (memory.sparse) return;
  std::byte* const data = memory.bytes.data();
  const std::size_t bytes = memory.bytes.bytes();
  if (memory.name == "out" || memory.name == "lse") {
    std::fill_n(data, bytes, poisoned_ ? std::byte{0xA5} : std::byte{0xFF});  // 0xFF…: NaN in every dtype
    return;
  }
  // Four different elements, over and over: written once, then doubled.
  const auto size = static_cast<std::size_t>(dtype_size(dtype));
  const std::size_t first = std::min(bytes, 4 * size);
  for (std::size_t i = 0; i * size < first; ++i) {
    const auto index = static_cast<std::int64_t>(i);
    reference::store(dtype, data, index, surrounding_value(reference::float_format(dtype), poisoned_, index));
  }
  for (std::size_t done = first; done < bytes;) {
    const std::size_t more = std::min(done, bytes - done);
    std::memcpy(data + done, data, more);
    done += more;
  }
}

std::int64_t Problem::tail() { return random_.below(test_.layout.tail_tokens + 1); }

Problem::Extents Problem::place_requests(IndexForm form, const std::string& side,
                                         const std::vector<std::int64_t>& lengths, bool wide, IndexView& indptr,
                                         IndexView& lengths_view) {
  Extents extents;
  std::vector<std::int64_t> offsets{0};
  for (const std::int64_t length : lengths) {
    extents.starts.push_back(extents.tokens);
    extents.tokens += length;
    if (form == IndexForm::kBoth) {
      extents.tokens += random_.below(test_.layout.gap_tokens + 1);
      if (offsets.size() == 1) extents.tokens += test_.layout.first_gap;
    }
    offsets.push_back(extents.tokens);
  }
  if (form != IndexForm::kLengths) indptr = place_indices(side + "_indptr", offsets, wide);
  if (form != IndexForm::kIndptr) lengths_view = place_indices(side + "_lengths", lengths, wide);
  return extents;
}

IndexView Problem::place_indices(const std::string& name, const std::vector<std::int64_t>& values, bool wide) {
  const std::int64_t size = wide ? 8 : 4;
  std::byte* const data = allocate(name, static_cast<std::int64_t>(values.size()) * size, size).bytes.data();
  if (wide) {
    std::copy(values.begin(), values.end(), reinterpret_cast<std::int64_t*>(data));
    return std::span<const std::int64_t>(reinterpret_cast<const std::int64_t*>(data), values.size());
  }
  std::transform(values.begin(), values.end(), reinterpret_cast<std::int32_t*>(data),
                 [](std::int64_t value) { return static_cast<std::int32_t>(value); });
  return std::span<const std::int32_t>(reinterpret_cast<const std::int32_t*>(data), values.size());
}

TensorView Problem::place_tensor(const std::string& name, Dtype dtype, std::int64_t tokens, std::int64_t heads,
                                 std::int64_t dim) {
  if (tokens == 0 && test_.seed % 2 == 1) return {};
  const CaseLayout& layout = test_.layout;
  std::int64_t head_stride = dim + layout.head_gap;
  std::int64_t token_stride = heads * head_stride + layout.token_gap;
  if (layout.heads_first) {
    token_stride = dim + layout.token_gap;
    head_stride = std::max<std::int64_t>(tokens, 1) * token_stride + layout.head_gap;
  }
  if (layout.expanded_heads && (name == "key" || name == "value")) head_stride = 0;
  if (tokens == 0) token_stride = head_stride = 0;  // as NumPy has it
  const std::int64_t elements = tokens == 0 ? 0 : (tokens - 1) * token_stride + (heads - 1) * head_stride + dim;
  Memory& memory = allocate(name, elements * dtype_size(dtype), dtype_size(dtype));
  fill(memory, dtype);
  return TensorView::strided(memory.bytes.data(), dtype, {tokens, heads, dim}, {token_stride, head_stride, 1});
}

TensorView Problem::place_pool(const std::string& name, std::int64_t pages, std::int64_t dim) {
  const CaseLayout& layout = test_.layout;
  std::int64_t head_stride = dim + layout.head_gap;
  std::int64_t slot_stride = test_.kv_heads * head_stride + layout.token_gap;
  std::int64_t page_stride = test_.page_size * slot_stride;
  if (layout.heads_first) {
    slot_stride = dim + layout.token_gap;
    head_stride = test_.page_size * slot_stride + layout.head_gap;
    page_stride = test_.kv_heads * head_stride;
  }
  if (layout.expanded_heads) head_stride = 0;
  const std::int64_t elements = pages * page_stride;
  Memory& memory = allocate(name, elements * dtype_size(test_.input_dtype), dtype_size(test_.input_dtype));
  fill(memory, test_.input_dtype);
  return TensorView::strided(memory.bytes.data(), test_.input_dtype, {pages, test_.page_size, test_.kv_heads, dim},
                             {page_stride, slot_stride, head_stride, 1});
}

void Problem::place_packed() {
  const std::int64_t tokens = queries_.tokens + tail();
  const std::int64_t query_width = std::int64_t{test_.query_heads} * test_.head_dim_qk;
  const std::int64_t key_width = std::int64_t{test_.kv_heads} * test_.head_dim_qk;
  const std::int64_t value_width = std::int64_t{test_.kv_heads} * test_.head_dim_vo;
  const std::int64_t stride = query_width + key_width + value_width + test_.layout.token_gap;
  const Dtype dtype = test_.input_dtype;
  Memory& memory = allocate("packed query, key and value", tokens * stride * dtype_size(dtype), dtype_size(dtype));
  fill(memory, dtype);
  std::byte* const query = memory.bytes.data();
  std::byte* const key = query + query_width * dtype_size(dtype);
  std::byte* const value = key + key_width * dtype_size(dtype);
  const std::int64_t dim_qk = test_.head_dim_qk;
  const std::int64_t dim_vo = test_.head_dim_vo;
  tensors_.query = TensorView::strided(query, dtype, {tokens, test_.query_heads, dim_qk}, {stride, dim_qk, 1});
  tensors_.key = TensorView::strided(key, dtype, {tokens, test_.kv_heads, dim_qk}, {stride, dim_qk, 1});
  tensors_.value = TensorView::strided(value, dtype, {tokens, test_.kv_heads, dim_vo}, {stride, dim_vo, 1});
}

TensorView Problem::place_lse(std::int64_t tokens) {
  // A tensor of one "head" whose innermost dimension is the heads of a token, or the tokens of a head.
  const std::int64_t heads = test_.query_heads;
  const bool turned = test_.layout.lse_heads_first;
  TensorView lse = turned ? place_tensor("lse", Dtype::kFloat32, heads, 1, tokens)
                          : place_tensor("lse", Dtype::kFloat32, tokens, 1, heads);
  const std::int64_t stride = lse.strides[0];
  lse.rank = 2;
  lse.shape = {tokens, heads};
  lse.strides = {turned ? 1 : stride, turned ? stride : 1};
  return lse;
}

TensorView Problem::place_scales(const std::string& name, const std::vector<double>& values) {
  const auto requests = static_cast<std::int64_t>(test_.query_lengths.size());
  const std::int64_t heads = test_.kv_heads;
  TensorView view;
  switch (test_.layout.scale_form) {
    case ScaleForm::kPerHead:
      view = place_floats(name, values, 1, heads);
      view.shape[0] = requests;
      view.strides[0] = 0;
      return view;
    case ScaleForm::kPerRequest: {
      std::vector<double> first;  // heads
      for (std::int64_t r = 0; r < requests; ++r) first.push_back(values[static_cast<std::size_t>(r * heads)]);
      return place_floats(name, first, requests, 1);
    }
    case ScaleForm::kOne:
      view = place_floats(name, values, 1, 1);
      view.rank = 1;
      return view;
    case ScaleForm::kEach:
      break;
  }
  return place_floats(name, values, requests, heads);
}

TensorView Problem::place_floats(const std::string& name, const std::vector<double>& values, std::int64_t rows,
                                 std::int64_t columns) {
  Memory& memory = allocate(name, rows * columns * 4, 4);
  for (std::int64_t row = 0; row < rows; ++row) {
    const bool spoiled = rows > 1 && poisoned_ && row == test_.spoiled_request;
    for (std::int64_t i = row * columns; i < (row + 1) * columns; ++i) {
      reference::store(Dtype::kFloat32, memory.bytes.data(), i,
                       spoiled ? std::numeric_limits<double>::quiet_NaN() : values[static_cast<std::size_t>(i)]);
    }
  }
  return TensorView::dense(memory.bytes.data(), Dtype::kFloat32, {rows, columns});
}

void Problem::write_row(const TensorView& view, bool is_surroundings, std::int64_t offset, const double* values) {
  const reference::FloatFormat format = reference::float_format(view.dtype);
  for (std::int64_t d = 0; d < row_size(view); ++d) {
    const double value = is_surroundings ? surrounding_value(format, poisoned_, d) : values[d];
    reference::store(view.dtype, view.data, offset + d, value);
  }
}

void Problem::write_inputs(const CaseData& data) {
  visit_query_rows(
      tensors_.query, [&](std::size_t request, std::int64_t /*token*/, std::int64_t offset, std::int64_t row) {
        write_row(tensors_.query, is_spoiled(request), offset, data.query.data() + row * test_.head_dim_qk);
      });
  const auto write_keys = [&](const TensorView& view, const std::vector<double>& values) {
    // A page may be of several requests: it is hidden only where none of them sees it, so those that do write last, and
    // in every problem of the case.
    for (const bool hidden : {true, false}) {
      visit_key_rows(view, [&](std::size_t request, std::int64_t key, std::int64_t offset, std::int64_t row) {
        if (is_hidden(request, key) != hidden) return;
        write_row(view, (hidden && poisoned_) || is_spoiled(request), offset, values.data() + row * row_size(view));
      });
    }
  };
  write_keys(tensors_.key, data.key);
  write_keys(tensors_.value, data.value);
}

/// Forbids all bytes of the large tensors but those of the requests' rows.
void Problem::forbid_surroundings() {
  const auto memory_of = [&](const TensorView& view) -> Memory* {
    const auto holds = [&](const auto& memory) {
      const auto* const data = static_cast<const std::byte*>(view.data);
      return data >= memory->bytes.data() && data < memory->bytes.data() + memory->bytes.bytes();
    };
    const auto found = std::find_if(memories_.begin(), memories_.end(), holds);
    return found == memories_.end() || (*found)->sparse ? nullptr : found->get();
  };
  const TensorView* const views[] = {&tensors_.query, &tensors_.out, &tensors_.lse, &tensors_.key, &tensors_.value};
  for (const TensorView* view : views) {
    if (Memory* const memory = memory_of(*view)) memory->bytes.forbid_all();
  }
  for (const TensorView* view : views) {
    const Memory* const memory = memory_of(*view);
    if (memory == nullptr) continue;
    const std::int64_t size = dtype_size(view->dtype);
    const auto allow = [&](std::size_t, std::int64_t, std::int64_t offset, std::int64_t) {
      memory->bytes.allow(static_cast<const std::byte*>(view->data) + offset * size,
                          static_cast<std::size_t>(row_size(*view) * size));
    };
    if (view == &tensors_.key || view == &tensors_.value) {
      visit_key_rows(*view, allow);
    } else {
      visit_query_rows(*view, allow);
    }
  }
}

std::vector<std::byte> Problem::output_bytes(std::int64_t request) const {
  return output_bytes({request, 0, test_.query_lengths[static_cast<std::size_t>(request)], 0, test_.query_heads});
}

std::vector<std::byte> Problem::output_bytes(const RowBlock& rows) const {
  std::vector<std::byte> bytes;
  const std::int64_t first = queries_.starts[static_cast<std::size_t>(rows.request)] + rows.token_begin;
  for (const TensorView* view : {&tensors_.out, &tensors_.lse}) {
    if (!view->present()) continue;
    const std::int64_t size = dtype_size(view->dtype);
    for (std::int64_t token = first; token < first + rows.token_count; ++token) {
      for (std::int64_t head = rows.head_begin; head < rows.head_begin + rows.head_count; ++head) {
        const std::int64_t offset = token * view->strides[0] + head * view->strides[1];
        const auto* const begin = static_cast<const std::byte*>(view->data) + offset * size;
        bytes.insert(bytes.end(), begin, begin + row_size(*view) * size);
      }
    }
  }
  return bytes;
}

std::string Problem::stray_writes() {
  for (const auto& memory : memories_) {
    memory->bytes.allow_all();
    if (memory->name == "out" || memory->name == "lse") {
      const TensorView& view = memory->name == "out" ? tensors_.out : tensors_.lse;
      const std::int64_t size = dtype_size(view.dtype);
      visit_query_rows(view, [&](std::size_t, std::int64_t, std::int64_t offset, std::int64_t) {
        memory->bytes.accept(static_cast<const std::byte*>(view.data) + offset * size,
                             static_cast<std::size_t>(row_size(view) * size));
      });
    }
    if (!memory->bytes.unchanged()) return memory->name + " changed outside of the requests' rows";
    if (!memory->bytes.canaries_intact()) return "bytes beside " + memory->name + " changed";
  }
  return {};
}

}  // namespace varlen::check
