#include "cli/run_tensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cli/failure.hpp"

namespace varlen::cli {
namespace {

constexpr const char* kNumbers = "F32 F16 BF16 F8_E4M3 F8_E5M2";
constexpr const char* kIntegers = "I32 I64";
constexpr const char* kPagedKeys = "pages, page size, KV heads, head dim";

/// Which tensor of the file, or which option, a field of Batch comes from.
struct Origin {
  const char* field;
  const char* tensor;  ///< null: an option
  const char* words;   ///< "axis 1 of", or the option
};
constexpr Origin kOrigins[] = {
    {"query_heads", "q", "axis 1 of"},           {"kv_heads", "k", "the axis before the last of"},
    {"head_dim_qk", "q", "axis 2 of"},           {"head_dim_vo", "v", "the last axis of"},
    {"query_dtype", "q", "the type of"},         {"page_size", "k", "axis 1 of"},
    {"output_dtype", nullptr, "--output-dtype"}, {"scale", nullptr, "--scale"},
    {"soft_cap", nullptr, "--soft-cap"},         {"mask.left", nullptr, "--window"},
    {"mask.right", nullptr, "--window"}};

constexpr std::pair<const char*, const char*> kFileNames[] = {{"query", "q"}, {"key", "k"}, {"value", "v"}};

std::string file_name(const std::string& field) {
  for (const auto& [of_library, of_file] : kFileNames) {
    if (field == of_library) return of_file;
  }
  return field;
}

const FileTensor* find(const std::vector<FileTensor>& file, std::string_view name) {
  const auto found =
      std::find_if(file.begin(), file.end(), [&](const auto& tensor) { return tensor.entry.name == name; });
  return found == file.end() ? nullptr : &*found;
}

/// The library's message without the axes at its end, in the place of which stand the file's.
std::string without_axes(const std::string& message) {
  const std::size_t axes = message.rfind(": [");
  return axes != std::string::npos && message.ends_with("]") ? message.substr(0, axes) : message;
}

bool is_transposed(const FileTensor& tensor, const Error& error) {
  // The library's message ends with the number of tokens that there must be.
  const std::vector<std::int64_t>& shape = tensor.entry.shape;
  return shape.size() == 3 && error.field().find(".shape") != std::string::npos && error.index() == 0 &&
         without_axes(error.what()).ends_with(fmt::format("= {}", shape[1]));
}

std::string axes_note(const std::vector<FileTensor>& file, const std::string& name, const Error& error) {
  const FileTensor* const tensor = find(file, name);
  const TensorText* const text = find_tensor_text(name);
  if (tensor == nullptr || text == nullptr) return "";
  const bool paged = tensor->entry.shape.size() == 4 && text->paged_axes != nullptr;
  std::string note = fmt::format("; '{}' has the shape [{}], its axes are [{}]", name,
                                 fmt::join(tensor->entry.shape, ", "), paged ? text->paged_axes : text->axes);
  if (is_transposed(*tensor, error)) note += ": are heads and tokens swapped?";
  return note;
}

}  // namespace

const std::vector<TensorText>& tensor_texts() {
  static const std::vector<TensorText> kTexts = {
      {"q", "query tokens, query heads, head dim", nullptr, kNumbers, "queries of all requests, end to end"},
      {"k", "key tokens, KV heads, head dim", kPagedKeys, kNumbers, "keys, of q's type; KV heads divide query heads"},
      {"v", "key tokens, KV heads, head dim", kPagedKeys, kNumbers,
       "values, of q's type; their head dim may be another"},
      {"query_indptr", "requests + 1", nullptr, kIntegers, "where each request's queries begin, and the end"},
      {"query_lengths", "requests", nullptr, kIntegers, "instead: lengths, end to end; with it: the rest is a gap"},
      {"key_indptr", "requests + 1", nullptr, kIntegers, "the same of keys that are not paged"},
      {"key_lengths", "requests", nullptr, kIntegers, "the same of keys; paged keys have only this"},
      {"block_table", "requests, pages of a request", nullptr, kIntegers, "paged keys: page numbers in order"},
      {"block_table_rows", "requests", nullptr, kIntegers, "optional: which row of the table, of any number of rows"},
      {"page_indptr", "requests + 1", nullptr, kIntegers, "instead of a table: where each request's numbers begin"},
      {"page_indices", "page numbers", nullptr, kIntegers, "with page_indptr: page numbers of all requests"},
      {"sinks", "query heads", nullptr, "F32", "optional: a logit that joins each softmax"},
      {"query_scale", "requests or 1, KV heads or 1", nullptr, "F32",
       "optional, fp8: what q is multiplied by; [1]: all of q"},
      {"key_scale", "requests or 1, KV heads or 1", nullptr, "F32", "optional, fp8: of k"},
      {"value_scale", "requests or 1, KV heads or 1", nullptr, "F32", "optional, fp8: of v"}};
  return kTexts;
}

const TensorText* find_tensor_text(std::string_view name) {
  const std::vector<TensorText>& texts = tensor_texts();
  const auto found =
      std::find_if(texts.begin(), texts.end(), [&](const TensorText& text) { return text.name == name; });
  return found == texts.end() ? nullptr : &*found;
}

std::string tensor_table() {
  std::string table;
  for (const TensorText& text : tensor_texts()) {
    table += fmt::format("  {:<17}[{}]", text.name, text.axes);
    if (text.paged_axes != nullptr) table += fmt::format(" or [{}]", text.paged_axes);
    table += fmt::format("\n  {:<17}{}: {}\n", "", text.dtypes, text.meaning);
  }
  return table;
}

void refuse_input(const std::string& path, const std::vector<FileTensor>& file, const Error& error) {
  const std::string& field = error.field();
  const std::string message = error.what();
  for (const Origin& origin : kOrigins) {
    if (field != origin.field) continue;
    if (origin.tensor == nullptr) fail("{}: {}", origin.words, message);
    fail_file("{}: {}, which is {} tensor '{}'{}", path, message, origin.words, origin.tensor,
              axes_note(file, origin.tensor, error));
  }
  // "query.shape[0] = 12 must be …" is said of tensor 'q'.
  const std::size_t dot = field.find('.');
  const std::string name = file_name(field.substr(0, dot));
  if (find_tensor_text(name) == nullptr) fail_file("{}: {}", path, message);
  if (dot == std::string::npos) fail_file("{}: tensor '{}': {}", path, name, message);
  fail_file("{}: tensor '{}': {}{}", path, name, without_axes(message.substr(dot + 1)), axes_note(file, name, error));
}

}  // namespace varlen::cli
