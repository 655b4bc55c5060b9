// Every rule about a Batch, and its canonical form. The rules about tensors are in tensor_validation.cpp.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "batch/length_fault.hpp"
#include "batch/ragged_batch.hpp"
#include "batch/refuse.hpp"
#include "varlen/batch.hpp"

namespace varlen {
namespace {

constexpr std::int64_t kMaxRequests = std::numeric_limits<std::int32_t>::max();  // WorkItem::request is 32 bits wide

/// No request has this many tokens (check_bytes allows 2^60 at most), so a window of this size hides nothing.
constexpr std::int64_t kWindowBeyondAnyKey = std::int64_t{1} << 60;

/// Scores of all heads together. A plan counts costs of up to a few dozen units per score in 64 bits.
constexpr double kMaxScores = 0x1p56;

/// One side, query or key, of the batch's arrays and the members of RequestExtent that it fills.
struct Side {
  LengthField indptr_field;
  LengthField lengths_field;
  const IndexView& indptr;
  const IndexView& lengths;
  const char* indptr_name = field_name(indptr_field);
  const char* lengths_name = field_name(lengths_field);
};

void check_heads(const AttentionSpec& spec) {
  if (spec.query_heads <= 0) refuse("query_heads", Error::kNoIndex, spec.query_heads, "must be positive");
  if (spec.kv_heads <= 0) refuse("kv_heads", Error::kNoIndex, spec.kv_heads, "must be positive");
  if (spec.query_heads % spec.kv_heads != 0) {
    refuse("query_heads", Error::kNoIndex, spec.query_heads, "is not a multiple of kv_heads = {}", spec.kv_heads);
  }
}

void check_head_dim(const char* field, std::int32_t head_dim) {
  if (head_dim < 8 || head_dim > kMaxHeadDim || head_dim % 8 != 0) {
    refuse(field, Error::kNoIndex, head_dim, "must be a multiple of 8 from 8 to {}", kMaxHeadDim);
  }
}

/// A dtype by name, or by number if it has none.
std::string shown(Dtype dtype) {
  return dtype_size(dtype) == 0 ? fmt::format("{}", static_cast<std::int32_t>(dtype)) : dtype_name(dtype);
}

void check_dtypes(const AttentionSpec& spec) {
  if (dtype_size(spec.query_dtype) == 0 || spec.query_dtype == Dtype::kInt32 || spec.query_dtype == Dtype::kInt64) {
    refuse("query_dtype", Error::kNoIndex, shown(spec.query_dtype), "must be fp32, fp16, bf16, fp8_e4m3 or fp8_e5m2");
  }
  if (spec.kv_dtype && *spec.kv_dtype != spec.query_dtype) {
    refuse(ErrorCode::kUnsupported, "kv_dtype", Error::kNoIndex, shown(*spec.kv_dtype),
           "is not query_dtype, {}: no backend computes that yet", dtype_name(spec.query_dtype));
  }
  const Dtype output = spec.output_dtype;
  if (output != Dtype::kFloat32 && output != Dtype::kFloat16 && output != Dtype::kBFloat16) {
    refuse("output_dtype", Error::kNoIndex, shown(output), "must be fp32, fp16 or bf16");
  }
}

void check_scoring(const AttentionSpec& spec) {
  if (spec.scale && (!std::isfinite(*spec.scale) || *spec.scale == 0.0F)) {
    refuse("scale", Error::kNoIndex, *spec.scale, "must be finite and not 0");
  }
  if (!std::isfinite(spec.soft_cap) || spec.soft_cap < 0.0F) {
    refuse("soft_cap", Error::kNoIndex, spec.soft_cap, "must be positive and finite, or 0 for none");
  }
  if (spec.mask.left < Mask::kUnlimited) {
    refuse("mask.left", Error::kNoIndex, spec.mask.left, "must be a number of keys, or -1 for unlimited");
  }
  if (spec.mask.right < Mask::kUnlimited) {
    refuse("mask.right", Error::kNoIndex, spec.mask.right, "must be a number of keys, or -1 for unlimited");
  }
}

void check_presence(LengthField indptr, LengthField lengths, bool has_one) {
  if (has_one) return;
  refuse(field_name(indptr), Error::kNoIndex, "absent", "and {} is absent as well: one of them is needed",
         field_name(lengths));
}

/// Requests that this side's arrays describe, after checking that they agree with each other.
std::int64_t check_sizes(const Side& side) {
  const bool has_indptr = side.indptr.present();
  const bool has_lengths = side.lengths.present();
  if (has_indptr && side.indptr.size() == 0) {
    refuse(side.indptr_name, Error::kNoIndex, "empty", "must have requests + 1 elements: a single 0 for no requests");
  }
  const std::int64_t requests = has_indptr ? side.indptr.size() - 1 : side.lengths.size();
  if (has_indptr && has_lengths && side.lengths.size() != requests) {
    refuse(side.lengths_name, Error::kNoIndex, fmt::format("array of {}", side.lengths.size()),
           "must have {} elements, one less than {}", requests, side.indptr_name);
  }
  if (requests > kMaxRequests) {
    refuse(has_indptr ? side.indptr_name : side.lengths_name, Error::kNoIndex, fmt::format("array of {}", requests),
           "requests is too long: at most {} requests", kMaxRequests);
  }
  return requests;
}

std::int64_t check_arrays(const Side& query, const Side& key) {
  const std::int64_t requests = check_sizes(query);
  const std::int64_t key_requests = check_sizes(key);
  if (key_requests != requests) {
    refuse(key.indptr.present() ? key.indptr_name : key.lengths_name, Error::kNoIndex,
           fmt::format("array for {} requests", key_requests), "does not match {} for {} requests",
           query.indptr.present() ? query.indptr_name : query.lengths_name, requests);
  }
  return requests;
}

/// Finds the first offender among arrays that a fill loop below found wanting, and refuses it.
[[noreturn, gnu::cold, gnu::noinline]] void refuse_first_offender(const Side& side, std::int64_t requests) {
  const IndexView& indptr = side.indptr;
  const IndexView& lengths = side.lengths;
  if (indptr.present() && indptr[0] != 0) refuse({LengthRule::kFirstOffset, side.indptr_field, 0, indptr[0], 0});
  std::int64_t total = 0;
  for (std::int64_t r = 0; r < requests; ++r) {
    if (indptr.present() && indptr[r + 1] < indptr[r]) {
      refuse({LengthRule::kDecreasing, side.indptr_field, r + 1, indptr[r + 1], indptr[r]});
    }
    if (!lengths.present()) continue;
    if (lengths[r] < 0) refuse({LengthRule::kNegative, side.lengths_field, r, lengths[r], 0});
    if (indptr.present()) {
      const std::int64_t range = indptr[r + 1] - indptr[r];
      if (lengths[r] > range) refuse({LengthRule::kBeyondRange, side.lengths_field, r, lengths[r], range});
    } else if (__builtin_add_overflow(total, lengths[r], &total)) {
      refuse({LengthRule::kOverflow, side.lengths_field, r, lengths[r], 0});
    }
  }
  refuse({LengthRule::kNone, side.indptr_field, 0, 0, 0});
}

// The fill loops collect "something is wrong" in the sign of one integer instead of branching, which keeps them
// vectorisable. Differences are computed modulo 2^64: meaningful only if the same element passed its comparison.

template <auto kStart, auto kLength, typename Offset>
bool fill_from_indptr(const Offset* indptr, std::vector<RequestExtent>& requests) {
  bool bad = indptr[0] != 0;
  for (std::size_t r = 0; r < requests.size(); ++r) {
    const std::int64_t begin = indptr[r];
    const std::int64_t end = indptr[r + 1];
    bad |= end < begin;
    requests[r].*kStart = begin;
    requests[r].*kLength =
        static_cast<std::int64_t>(static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(begin));
  }
  return !bad;
}

/// `kLaidOut`: the requests lie end to end, so starts are the running sum. Otherwise starts stay 0: pages tell.
template <auto kStart, auto kLength, bool kLaidOut, typename Length>
bool fill_from_lengths(const Length* lengths, std::vector<RequestExtent>& requests, std::int64_t& total) {
  std::uint64_t sum = 0;
  std::uint64_t signs = 0;  // a sum of non-negative lengths that passes 2^63 shows as a sign bit the first time
  for (std::size_t r = 0; r < requests.size(); ++r) {
    const std::int64_t length = lengths[r];
    requests[r].*kStart = kLaidOut ? static_cast<std::int64_t>(sum) : 0;
    requests[r].*kLength = length;
    sum += static_cast<std::uint64_t>(length);
    signs |= sum | static_cast<std::uint64_t>(length);
  }
  total = static_cast<std::int64_t>(sum);
  return static_cast<std::int64_t>(signs) >= 0;
}

/// After fill_from_indptr: each length may only shrink its request's range.
template <auto kLength, typename Length>
bool shorten_to_lengths(const Length* lengths, std::vector<RequestExtent>& requests) {
  bool bad = false;
  for (std::size_t r = 0; r < requests.size(); ++r) {
    const std::int64_t length = lengths[r];
    bad |= length < 0 || length > requests[r].*kLength;
    requests[r].*kLength = length;
  }
  return !bad;
}

/// Calls `fill` with the view's data as the type it has.
template <typename Fill>
bool with_width(const IndexView& view, Fill fill) {
  return view.wide() ? fill(static_cast<const std::int64_t*>(view.data()))
                     : fill(static_cast<const std::int32_t*>(view.data()));
}

/// Fills one side of every request; returns the last offset.
template <auto kStart, auto kLength>
std::int64_t fill(const Side& side, bool paged, std::vector<RequestExtent>& requests) {
  const auto count = static_cast<std::int64_t>(requests.size());
  std::int64_t total = 0;
  bool good = true;
  if (side.indptr.present()) {
    good = with_width(side.indptr,
                      [&](const auto* indptr) { return fill_from_indptr<kStart, kLength>(indptr, requests); });
    total = side.indptr[count];
    if (good && side.lengths.present()) {
      good =
          with_width(side.lengths, [&](const auto* lengths) { return shorten_to_lengths<kLength>(lengths, requests); });
    }
  } else if (paged) {
    good = with_width(side.lengths, [&](const auto* lengths) {
      return fill_from_lengths<kStart, kLength, false>(lengths, requests, total);
    });
  } else {
    good = with_width(side.lengths, [&](const auto* lengths) {
      return fill_from_lengths<kStart, kLength, true>(lengths, requests, total);
    });
  }
  if (!good) refuse_first_offender(side, count);
  return total;
}

/// Refuses totals whose dense tensors would not fit 64-bit byte offsets.
void check_bytes(const Side& side, std::int64_t requests, std::int64_t tokens, std::int32_t heads,
                 std::int64_t bytes_per_head) {
  std::int64_t bytes = 0;
  if (!__builtin_mul_overflow(tokens, heads * bytes_per_head, &bytes)) return;
  if (side.indptr.present()) {
    refuse(side.indptr_name, requests, tokens, "tokens x {} heads x {} bytes exceed 2^63 - 1 bytes", heads,
           bytes_per_head);
  }
  refuse(side.lengths_name, Error::kNoIndex, fmt::format("lengths of {}", tokens),
         "tokens in all: x {} heads x {} bytes they exceed 2^63 - 1 bytes", heads, bytes_per_head);
}

void check_scores(const RaggedBatch& batch) {
  // Every query against every key of the batch bounds the sum over requests, and nearly always settles it.
  const double heads = batch.query_heads;
  const double bound = static_cast<double>(batch.query_tokens) * static_cast<double>(batch.key_tokens) * heads;
  if (bound <= kMaxScores) return;
  double scores = 0;
  for (std::size_t r = 0; r < batch.requests.size(); ++r) {
    const RequestExtent& request = batch.requests[r];
    scores += static_cast<double>(request.query_length) * static_cast<double>(request.key_length) * heads;
    if (scores > kMaxScores) {
      refuse("requests", static_cast<std::int64_t>(r),
             fmt::format("{} queries x {} keys", request.query_length, request.key_length),
             "x {} heads brings the batch above 2^56 scores: their cost must fit 64 bits", batch.query_heads);
    }
  }
}

std::int64_t window(std::int64_t keys) { return keys >= kWindowBeyondAnyKey ? Mask::kUnlimited : keys; }

}  // namespace

void check_presence(std::int64_t page_size, const LengthPresence& lengths) {
  if (page_size > 0 && lengths.key_indptr) {
    refuse("key_indptr", Error::kNoIndex, "present", "but page_size = {}: paged keys take key_lengths alone",
           page_size);
  }
  if (page_size > 0 && !lengths.key_lengths) {
    refuse("key_lengths", Error::kNoIndex, "absent", "but page_size = {}: paged keys need it", page_size);
  }
  check_presence(LengthField::kQueryIndptr, LengthField::kQueryLengths, lengths.query_indptr || lengths.query_lengths);
  check_presence(LengthField::kKeyIndptr, LengthField::kKeyLengths, lengths.key_indptr || lengths.key_lengths);
}

RaggedBatch canonical(const AttentionSpec& spec) {
  check_heads(spec);
  check_head_dim("head_dim_qk", spec.head_dim_qk);
  if (spec.head_dim_vo != 0) check_head_dim("head_dim_vo", spec.head_dim_vo);
  check_dtypes(spec);
  check_scoring(spec);
  if (spec.page_size < 0) {
    refuse("page_size", Error::kNoIndex, spec.page_size, "must be positive, or 0 for keys that are not paged");
  }
  RaggedBatch result;
  result.page_size = spec.page_size;
  result.query_heads = spec.query_heads;
  result.kv_heads = spec.kv_heads;
  result.group = spec.query_heads / spec.kv_heads;
  result.head_dim_qk = spec.head_dim_qk;
  result.head_dim_vo = spec.head_dim_vo == 0 ? spec.head_dim_qk : spec.head_dim_vo;
  result.input_dtype = spec.query_dtype;
  result.output_dtype = spec.output_dtype;
  result.scale = spec.scale ? *spec.scale : static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.head_dim_qk)));
  result.mask = {window(spec.mask.left), window(spec.mask.right)};
  result.soft_cap = spec.soft_cap;
  result.batch_invariant = spec.batch_invariant;
  return result;
}

RaggedBatch canonical(const AttentionSpec& spec, const Requests& requests) {
  return with_requests(canonical(spec), requests);
}

RaggedBatch with_requests(RaggedBatch batch, const Requests& requests) {
  RaggedBatch result = std::move(batch);
  check_presence(result.page_size, {requests.query_indptr.present(), requests.query_lengths.present(),
                                    requests.key_indptr.present(), requests.key_lengths.present()});
  const Side query{LengthField::kQueryIndptr, LengthField::kQueryLengths, requests.query_indptr,
                   requests.query_lengths};
  const Side key{LengthField::kKeyIndptr, LengthField::kKeyLengths, requests.key_indptr, requests.key_lengths};
  const std::int64_t count = check_arrays(query, key);
  result.requests.resize(static_cast<std::size_t>(count));
  result.query_tokens = fill<&RequestExtent::query_start, &RequestExtent::query_length>(query, false, result.requests);
  result.key_tokens =
      fill<&RequestExtent::key_start, &RequestExtent::key_length>(key, result.page_size > 0, result.requests);

  // Four bytes at least: partial results are fp32 whatever the dtypes.
  const std::int64_t bytes_per_head = 4 * std::int64_t{std::max(result.head_dim_qk, result.head_dim_vo)};
  check_bytes(query, count, result.query_tokens, result.query_heads, bytes_per_head);
  check_bytes(key, count, result.key_tokens, result.kv_heads, bytes_per_head);
  check_scores(result);
  return result;
}

std::int64_t request_count(const Requests& requests) noexcept {
  if (requests.query_indptr.present()) return requests.query_indptr.size() - 1;
  if (requests.query_lengths.present()) return requests.query_lengths.size();
  if (requests.key_indptr.present()) return requests.key_indptr.size() - 1;
  return requests.key_lengths.size();
}

void validate(const AttentionSpec& spec) { canonical(spec); }

void validate(const AttentionSpec& spec, const Requests& requests) { canonical(spec, requests); }

void validate(const AttentionSpec& spec, const Requests& requests, const Tensors& tensors) {
  validate_tensors(canonical(spec, requests), tensors);
}

}  // namespace varlen
