// What to compute: AttentionSpec is known before any request is, Requests are the lengths, Batch is both in one. They
// own nothing: the arrays that they point at must live until the call that reads them returns.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <ranges>

#include "varlen/error.hpp"
#include "varlen/export.hpp"
#include "varlen/tensor.hpp"

namespace varlen {

template <class Int>
concept IndexInteger = std::same_as<Int, std::int32_t> || std::same_as<Int, std::int64_t>;

/// A contiguous range whose elements outlive the expression that names it: a vector, an array or a span, but not a
/// temporary vector.
template <class Range>
concept IndexRange = std::ranges::contiguous_range<Range> && std::ranges::sized_range<Range> &&
    std::ranges::borrowed_range<Range> && IndexInteger<std::ranges::range_value_t<Range>>;

/// A view of 32- or 64-bit integers in host memory. Default-constructed it is absent, which differs from being empty.
class IndexView {
 public:
  IndexView() = default;
  template <IndexRange Range>
  IndexView(Range&& values) noexcept  // NOLINT: implicit, as for std::span
      : IndexView(std::ranges::data(values), static_cast<std::int64_t>(std::ranges::size(values))) {}
  IndexView(const std::int32_t* data, std::int64_t size) noexcept
      : data_(data), size_(size), wide_(false), present_(true) {}
  IndexView(const std::int64_t* data, std::int64_t size) noexcept : data_(data), size_(size), present_(true) {}

  bool present() const noexcept { return present_; }
  std::int64_t size() const noexcept { return size_; }
  const void* data() const noexcept { return data_; }
  bool wide() const noexcept { return wide_; }
  std::int64_t operator[](std::int64_t index) const noexcept {
    return wide_ ? static_cast<const std::int64_t*>(data_)[index] : static_cast<const std::int32_t*>(data_)[index];
  }

 private:
  const void* data_ = nullptr;
  std::int64_t size_ = 0;
  bool wide_ = true;
  bool present_ = false;
};

/// Which keys a query row sees. Row i of a request with `query_length` queries and `key_length` keys stands at key
/// position p = key_length − query_length + i (bottom-right alignment) and sees the keys p − left … p + right that
/// exist.
struct Mask {
  static constexpr std::int64_t kUnlimited = -1;

  std::int64_t left = kUnlimited;   ///< keys seen before the row's own position, or kUnlimited
  std::int64_t right = kUnlimited;  ///< keys seen after it, or kUnlimited

  static constexpr Mask full() noexcept { return {}; }
  static constexpr Mask causal() noexcept { return {kUnlimited, 0}; }
  static constexpr Mask window(std::int64_t left, std::int64_t right) noexcept { return {left, right}; }
  static constexpr Mask causal_window(std::int64_t left) noexcept { return {left, 0}; }
};

/// All of a call that does not depend on its requests: what a layer or a model knows once.
///
/// With `batch_invariant` a request's bits never depend on the other requests. On the CPU they do not depend on the
/// number of threads either, and a row has the same bits in a prompt, in a chunk of it and in decoding as long as none
/// of the request's tiles sees more than 32 key blocks (8,192 keys of PlanTarget::cpu()). Longer tiles are cut where
/// the cost of the whole request says.
struct AttentionSpec {
  std::int32_t query_heads = 0;  ///< a multiple of kv_heads; their quotient is the group size
  std::int32_t kv_heads = 0;
  std::int32_t head_dim_qk = 0;           ///< a multiple of 8 from 8 to 576
  std::int32_t head_dim_vo = 0;           ///< a multiple of 8 from 8 to 576; 0: the same as head_dim_qk
  Dtype query_dtype = Dtype::kBFloat16;   ///< fp32, fp16, bf16, fp8_e4m3 or fp8_e5m2
  std::optional<Dtype> kv_dtype;          ///< of key and value. Default, and so far the only one computed: query_dtype
  Dtype output_dtype = Dtype::kBFloat16;  ///< fp32, fp16 or bf16

  std::optional<float> scale;  ///< multiplies query · key; default 1 / sqrt(head_dim_qk). Finite and not 0
  Mask mask;
  float soft_cap = 0.0F;         ///< c > 0: scores become c · tanh(score / c); 0: none
  std::int64_t page_size = 0;    ///< tokens per page of a paged key/value cache; 0: ragged keys
  bool batch_invariant = false;  ///< see above
};

/// The requests of one call: their lengths and where they lie in the tensors. Up to 2^31 − 1 requests.
///
/// Query rows of request r are the tokens `query_indptr[r] … query_indptr[r + 1]` of the query tensor; or give
/// `query_lengths` alone and the requests lie end to end; or give both, and only the first `query_lengths[r]` tokens of
/// each range are the request's (the rest is a gap, neither read nor written). Keys likewise. If keys are paged, give
/// `key_lengths` alone; the page numbers come with Tensors.
struct Requests {
  IndexView query_indptr = {};   ///< [requests + 1], tokens, not decreasing, first = 0
  IndexView query_lengths = {};  ///< [requests], tokens
  IndexView key_indptr = {};     ///< [requests + 1], tokens
  IndexView key_lengths = {};    ///< [requests], tokens
};

/// A spec and its requests as one argument. What takes both also takes a Batch.
struct Batch : AttentionSpec, Requests {};

inline constexpr std::int32_t kMaxHeadDim = 576;

/// Where the data of one call lies. Strides are not negative and, of query, key, value and out, 1 in the innermost
/// dimension, so slices of a packed QKV work; all others are free. What is only read may share elements, within a
/// tensor (heads expanded with a stride of 0) and between tensors. No two elements of out or lse share memory, and
/// neither shares memory with another tensor; tensors that interleave are told apart unless their strides are so
/// irregular that it would take long. A tensor without elements may have any strides, and keys that no query sees may
/// be absent. Tensors may be longer than the last offset: rows past it are neither read nor written.
struct Tensors {
  TensorView query;  ///< [query tokens, query_heads, head_dim_qk], query_dtype
  TensorView key;    ///< ragged: [key tokens, kv_heads, head_dim_qk]; paged: [pages, page_size, kv_heads, head_dim_qk]
  TensorView value;  ///< as key with head_dim_vo. A pool laid out heads-first (HND) is the same view with other strides
  TensorView out;    ///< [query tokens, query_heads, head_dim_vo], output_dtype
  TensorView lse;    ///< optional: [query tokens, query_heads], fp32; natural log of the row's sum of exponentials

  /// Paged only: the page numbers of each request in order, int32 or int64, in one of three forms. Row r of a table
  /// [requests, max_pages] is request r's; or row block_table_rows[r] of a table [rows, max_pages], as of an engine's
  /// table of all its requests; or request r has the entries page_indptr[r] … page_indptr[r + 1] − 1 of page_indices
  /// (CSR), and there is no block_table.
  ///
  /// Only pages with a key that some query of the request sees are read: from the first key that its first query sees
  /// to its last key. All other entries may hold anything: those before a window, those past the last key, and all of a
  /// request without queries. GPUs read numbers below 2^31, of these tensors, and of a wider number its low 32 bits.
  TensorView block_table;
  TensorView block_table_rows;  ///< [requests]; absent: row r is request r's
  TensorView page_indptr;       ///< [requests + 1], not decreasing; requests may have more entries than their keys need
  TensorView page_indices;      ///< [page_indptr's last], or more
  TensorView sinks;        ///< optional: [query_heads], fp32: one logit per head that joins the softmax's denominator.
                           ///< NaN and +∞ make the head's rows NaN, those without keys too
  TensorView query_scale;  ///< optional, fp8 inputs only, fp32: true query = stored · scale. [requests, kv_heads] with
                           ///< 1 for either, or [1]: one scale for all. Any finite number, 0 and negative ones too
  TensorView key_scale;    ///< likewise
  TensorView value_scale;  ///< likewise
};

/// How many requests there are, from whichever array tells it. Call on validated requests.
VARLEN_API std::int64_t request_count(const Requests& requests) noexcept;

/// Throws Error(kInvalidArgument or kUnsupported) that names field, index and value of the first rule that the spec
/// breaks. Every entry point calls it, and those below, first.
VARLEN_API void validate(const AttentionSpec& spec);
/// The same for a spec and its requests, of up to 2^56 (query row, key) pairs. O(requests).
VARLEN_API void validate(const AttentionSpec& spec, const Requests& requests);
inline void validate(const Batch& batch) { validate(batch, batch); }
/// The same for tensors: shapes, strides, dtypes, alignment, aliasing, and of page numbers in host memory those that
/// are read. O(requests + pages).
VARLEN_API void validate(const AttentionSpec& spec, const Requests& requests, const Tensors& tensors);
inline void validate(const Batch& batch, const Tensors& tensors) { validate(batch, batch, tensors); }

}  // namespace varlen
