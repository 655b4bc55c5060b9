#include "cli/run_input.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <span>
#include <utility>

#include "cli/failure.hpp"
#include "cli/options.hpp"
#include "cli/paths.hpp"
#include "cli/run_tensors.hpp"
#include "cli/suggest.hpp"

namespace varlen::cli {
namespace {

constexpr std::pair<const char*, Dtype> kFileDtypes[] = {
    {"F32", Dtype::kFloat32},        {"F16", Dtype::kFloat16},        {"BF16", Dtype::kBFloat16},
    {"F8_E4M3", Dtype::kFloat8E4M3}, {"F8_E5M2", Dtype::kFloat8E5M2}, {"I32", Dtype::kInt32},
    {"I64", Dtype::kInt64}};

const char* file_dtype(Dtype dtype) {
  return std::find_if(std::begin(kFileDtypes), std::end(kFileDtypes), [&](auto pair) { return pair.second == dtype; })
      ->first;
}

class Tensor {
 public:
  explicit Tensor(const FileTensor& tensor) : tensor_(tensor), shape_(tensor.entry.shape) {}

  TensorView view(std::initializer_list<std::size_t> ranks) const {
    if (std::find(ranks.begin(), ranks.end(), shape_.size()) == ranks.end()) {
      const TensorText& text = *find_tensor_text(name());
      const bool paged = text.paged_axes != nullptr && *ranks.begin() == 4;
      fail("tensor '{}' has the shape [{}], but needs {} dimensions: [{}]{}", name(), fmt::join(shape_, ", "),
           fmt::join(ranks, " or "), paged ? text.paged_axes : text.axes, page_note(paged, text));
    }
    TensorView view;
    view.data = tensor_.data.data();
    view.dtype = dtype();
    view.rank = static_cast<std::int32_t>(shape_.size());
    std::int64_t stride = 1;
    for (std::size_t i = shape_.size(); i-- > 0;) {
      view.shape[i] = shape_[i];
      view.strides[i] = stride;
      stride *= shape_[i];
    }
    return view;
  }

  IndexView indices() const {
    if (shape_.size() != 1) fail("tensor '{}' has {} dimensions, but needs 1", name(), shape_.size());
    const auto count = static_cast<std::size_t>(shape_[0]);
    const std::byte* data = tensor_.data.data();
    if (tensor_.entry.dtype == "I32") return std::span(reinterpret_cast<const std::int32_t*>(data), count);
    if (tensor_.entry.dtype == "I64") return std::span(reinterpret_cast<const std::int64_t*>(data), count);
    fail("tensor '{}' is {}, but offsets and lengths are I32 or I64", name(), tensor_.entry.dtype);
  }

 private:
  /// Why a key tensor of another rank needs this one.
  std::string page_note(bool paged, const TensorText& text) const {
    if (paged) return ", because there are page numbers";
    if (text.paged_axes == nullptr || shape_.size() != 4) return "";
    return fmt::format("; pages, [{}], need a tensor 'block_table', or 'page_indptr' and 'page_indices'",
                       text.paged_axes);
  }

  const std::string& name() const { return tensor_.entry.name; }

  Dtype dtype() const {
    for (const auto& [known, dtype] : kFileDtypes) {
      if (tensor_.entry.dtype == known) return dtype;
    }
    fail("tensor '{}' is {}, but may be {}", name(), tensor_.entry.dtype, find_tensor_text(name())->dtypes);
  }

  const FileTensor& tensor_;
  const std::vector<std::int64_t>& shape_;
};

std::optional<Tensor> find(const std::vector<FileTensor>& file, const char* name) {
  for (const FileTensor& tensor : file) {
    if (tensor.entry.name == name) return Tensor(tensor);
  }
  return std::nullopt;
}

Tensor need(const std::vector<FileTensor>& file, const char* name) {
  const auto tensor = find(file, name);
  if (!tensor) fail("tensor '{}' is missing", name);
  return *tensor;
}

std::int32_t small(const char* what, std::int64_t value) {
  if (value > std::numeric_limits<std::int32_t>::max()) fail("{} = {} is too many", what, value);
  return static_cast<std::int32_t>(value);
}

void refuse_unknown(const std::vector<FileTensor>& file) {
  for (const FileTensor& tensor : file) {
    const std::string& name = tensor.entry.name;
    if (find_tensor_text(name) != nullptr) continue;
    std::vector<std::string> known;
    known.reserve(tensor_texts().size());
    for (const TensorText& text : tensor_texts()) known.emplace_back(text.name);
    fail("tensor {} is unknown; known are {}{}", in_quotes(name), fmt::join(known, ", "), did_you_mean(name, known));
  }
}

void read_lengths(const std::vector<FileTensor>& file, Batch& batch) {
  const std::pair<const char*, IndexView*> fields[] = {{"query_indptr", &batch.query_indptr},
                                                       {"query_lengths", &batch.query_lengths},
                                                       {"key_indptr", &batch.key_indptr},
                                                       {"key_lengths", &batch.key_lengths}};
  for (const auto& [name, view] : fields) {
    if (const auto tensor = find(file, name)) *view = tensor->indices();
  }
  if (!batch.query_indptr.present() && !batch.query_lengths.present()) fail("tensor 'query_indptr' is missing");
  if (!batch.key_indptr.present() && !batch.key_lengths.present()) {
    fail("tensor '{}' is missing", batch.page_size > 0 ? "key_lengths" : "key_indptr");
  }
}

std::vector<std::int64_t> lengths_of(const IndexView& indptr, const IndexView& lengths, std::int64_t requests) {
  std::vector<std::int64_t> result;
  for (std::int64_t r = 0; r < requests; ++r) {
    result.push_back(lengths.present() ? lengths[r] : indptr[r + 1] - indptr[r]);
  }
  return result;
}

/// Scales in a file whose q is not fp8 would be ignored.
void refuse_scales(const std::vector<FileTensor>& file, Dtype input_dtype) {
  if (input_dtype == Dtype::kFloat8E4M3 || input_dtype == Dtype::kFloat8E5M2) return;
  for (const char* name : {"query_scale", "key_scale", "value_scale"}) {
    if (find(file, name)) fail("tensor '{}' is a scale of fp8, but 'q' is {}", name, dtype_name(input_dtype));
  }
}

/// Whether there are any.
bool read_page_numbers(const std::vector<FileTensor>& file, Tensors& tensors) {
  struct Source {
    const char* name;
    TensorView* view;
    std::size_t rank;
  };
  const Source sources[] = {{"block_table", &tensors.block_table, 2},
                            {"block_table_rows", &tensors.block_table_rows, 1},
                            {"page_indptr", &tensors.page_indptr, 1},
                            {"page_indices", &tensors.page_indices, 1}};
  bool found = false;
  for (const Source& source : sources) {
    const auto tensor = find(file, source.name);
    if (!tensor) continue;
    *source.view = tensor->view({source.rank});
    found = true;
  }
  return found;
}

// Query, key and value as the file has them, and the batch that they make.
void read_tensors(const std::vector<FileTensor>& file, const RunSettings& settings, Batch& batch, Tensors& tensors) {
  refuse_unknown(file);
  tensors.query = need(file, "q").view({3});
  const bool paged = read_page_numbers(file, tensors);
  const std::size_t key_rank = paged ? 4 : 3;
  tensors.key = need(file, "k").view({key_rank});
  tensors.value = need(file, "v").view({key_rank});
  if (paged) {
    batch.page_size = tensors.key.shape[1];
    if (batch.page_size == 0) fail("tensor 'k' has pages of 0 tokens");
  }
  const std::pair<const char*, TensorView*> scales[] = {
      {"query_scale", &tensors.query_scale}, {"key_scale", &tensors.key_scale}, {"value_scale", &tensors.value_scale}};
  for (const auto& [name, view] : scales) {
    if (const auto tensor = find(file, name)) *view = tensor->view({1, 2});
  }
  if (const auto sinks = find(file, "sinks")) tensors.sinks = sinks->view({1});
  read_lengths(file, batch);

  batch.query_heads = small("the query heads of 'q'", tensors.query.shape[1]);
  batch.kv_heads = small("the heads of 'k'", tensors.key.shape[key_rank - 2]);
  batch.head_dim_qk = small("the head dim of 'q'", tensors.query.shape[2]);
  batch.head_dim_vo = small("the head dim of 'v'", tensors.value.shape[key_rank - 1]);
  batch.query_dtype = tensors.query.dtype;
  refuse_scales(file, batch.query_dtype);
  batch.output_dtype =
      settings.output_dtype.empty() ? default_output(batch.query_dtype) : parse_dtype(settings.output_dtype);
  batch.mask = settings.mask;
  batch.soft_cap = settings.soft_cap;
  batch.scale = settings.scale;
  batch.batch_invariant = settings.batch_invariant;
}

}  // namespace

RunInput read_run_input(const std::string& path, const RunSettings& settings) {
  RunInput input;
  // Once with the header alone, so that a file of the wrong tensors is refused before its data is read.
  input.file = read_safetensors(path, [&](const std::vector<FileTensor>& file) {
    RunInput from_header;
    read_tensors(file, settings, from_header.batch, from_header.tensors);
  });
  Batch& batch = input.batch;
  Tensors& tensors = input.tensors;
  read_tensors(input.file, settings, batch, tensors);
  try {
    validate(batch);
  } catch (const Error& error) {
    refuse_input(input_name(path), input.file, error);
  }

  const std::int64_t rows = tensors.query.shape[0] * batch.query_heads;
  input.out = Buffer(rows * batch.head_dim_vo * dtype_size(batch.output_dtype));
  input.lse = Buffer(rows * dtype_size(Dtype::kFloat32));
  input.out.clear();
  input.lse.clear();
  const std::int64_t tokens = tensors.query.shape[0];
  tensors.out = TensorView::dense(input.out.data(), batch.output_dtype, {tokens, batch.query_heads, batch.head_dim_vo});
  tensors.lse = TensorView::dense(input.lse.data(), Dtype::kFloat32, {tokens, batch.query_heads});
  try {
    validate(batch, tensors);
  } catch (const Error& error) {
    refuse_input(input_name(path), input.file, error);
  }

  Workload& workload = input.workload;
  workload.name = printable(input_name(path));
  workload.query_lengths = lengths_of(batch.query_indptr, batch.query_lengths, request_count(batch));
  workload.key_lengths = lengths_of(batch.key_indptr, batch.key_lengths, request_count(batch));
  workload.query_heads = batch.query_heads;
  workload.kv_heads = batch.kv_heads;
  workload.head_dim_qk = batch.head_dim_qk;
  workload.head_dim_vo = batch.head_dim_vo;
  workload.page_size = batch.page_size;
  workload.mask = batch.mask;
  workload.soft_cap = batch.soft_cap;
  return input;
}

void write_run_output(const std::string& path, const RunInput& input) {
  const TensorView& out = input.tensors.out;
  const TensorView& lse = input.tensors.lse;
  write_safetensors(path, {{"out", file_dtype(out.dtype), {out.shape[0], out.shape[1], out.shape[2]}, &input.out},
                           {"lse", file_dtype(lse.dtype), {lse.shape[0], lse.shape[1]}, &input.lse}});
}

}  // namespace varlen::cli
