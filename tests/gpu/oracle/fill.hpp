// What tensors under test are filled with, and whether it is still there: one function of an index for each.
#pragma once

#include <cstdint>

#include "oracle/problem.hpp"

namespace varlen::oracle {

/// What lies around rows, and in outputs before they are written.
enum class Pattern : std::uint8_t {
  kOnes,
  kPoison,     // NaN, infinity (where there is one), the lowest and the largest number, over and over
  kUnwritten,  // all bits set, which is a NaN
};

ORACLE_HOST_DEVICE inline std::uint32_t pattern_bits(Dtype dtype, Pattern pattern, std::int64_t index) {
  constexpr std::uint32_t kBits[4][5] = {{0x3F800000U, 0x7FC00000U, 0x7F800000U, 0xFF7FFFFFU, 0x7F7FFFFFU},
                                         {0x3C00U, 0x7E00U, 0x7C00U, 0xFBFFU, 0x7BFFU},
                                         {0x3F80U, 0x7FC0U, 0x7F80U, 0xFF7FU, 0x7F7FU},
                                         {0x38U, 0x7FU, 0xFFU, 0xFEU, 0x7EU}};
  if (pattern == Pattern::kUnwritten) return 0xFFFFFFFFU >> (32 - 8 * size_of(dtype));
  const int format = dtype == Dtype::kFloat32 ? 0 : dtype == Dtype::kFloat16 ? 1 : dtype == Dtype::kBFloat16 ? 2 : 3;
  return kBits[format][pattern == Pattern::kOnes ? 0 : 1 + static_cast<int>(index % 4)];
}

/// Memory that holds nothing but elements of one dtype: a tensor, what is between its rows, and margins.
struct Region {
  void* data;
  Dtype dtype;
  std::int64_t elements;
};

/// The rows of a tensor: of query, out and LSE, or `of_keys`.
struct RowSet {
  Problem problem;
  Rows rows;
  bool of_keys;
  Region region;               // that the tensor lies in
  std::uint64_t seed;          // of the values of its rows
  const std::uint8_t* chosen;  // [requests]; null: all false. What it means, each function tells
  bool hides_keys;             // keys that no query of their request sees hold poison
};

struct Element {
  std::int64_t request;
  std::int64_t number;  // among all requests' elements, wherever they lie
  std::int64_t index;   // from the region's first element
  bool hidden;          // of a key that no query of its request sees
};

ORACLE_HOST_DEVICE inline std::int64_t elements_of(const RowSet& set) {
  return (set.of_keys ? set.problem.key_tokens : set.problem.query_tokens) * set.rows.heads * set.rows.width;
}

ORACLE_HOST_DEVICE inline Element element_of(const RowSet& set, std::int64_t number) {
  const std::int64_t row = number / set.rows.width;
  const std::int64_t token = row / set.rows.heads;
  const std::int64_t head = row - token * set.rows.heads;
  const std::int64_t request = request_of(set.problem, token, set.of_keys);
  const Extent& extent = set.problem.extents[request];
  const std::int64_t first = set.of_keys ? key_row(set.problem, set.rows, request, token - extent.first_key, head)
                                         : query_row(set.problem, set.rows, request, token - extent.first_token, head);
  const std::int64_t before = static_cast<const char*>(set.rows.data) - static_cast<const char*>(set.region.data);
  const bool hidden = set.of_keys && (extent.query_length == 0 ||
                                      token - extent.first_key < visible_keys(set.problem, extent, 0).first);
  return {request, number, before / size_of(set.rows.dtype) + first + (number - row * set.rows.width), hidden};
}

ORACLE_HOST_DEVICE inline bool is_chosen(const RowSet& set, std::int64_t request) {
  return set.chosen != nullptr && set.chosen[request] != 0;
}

/// What a row's element holds: a normal number, or, in a chosen request or where keys are hidden, poison.
ORACLE_HOST_DEVICE inline std::uint32_t value_bits(const RowSet& set, const Element& element) {
  if (is_chosen(set, element.request) || (set.hides_keys && element.hidden))
    return pattern_bits(set.rows.dtype, Pattern::kPoison, element.number);
  return encode(set.rows.dtype, normal_number(set.seed, static_cast<std::uint64_t>(element.number)));
}

/// Lowers *least to `value`.
ORACLE_HOST_DEVICE inline void lower(unsigned long long* least, std::int64_t value) {
#if defined(__CUDA_ARCH__)
  atomicMin(least, static_cast<unsigned long long>(value));
#else
  if (static_cast<unsigned long long>(value) < *least) *least = static_cast<unsigned long long>(value);
#endif
}

struct FillRegion {
  Region region;
  Pattern pattern;
  ORACLE_HOST_DEVICE void operator()(std::int64_t i) const {
    store_bits(region.dtype, region.data, i, pattern_bits(region.dtype, pattern, i));
  }
};

/// The first element that is not the pattern's.
struct FindChange {
  Region region;
  Pattern pattern;
  unsigned long long* first;
  ORACLE_HOST_DEVICE void operator()(std::int64_t i) const {
    if (load_bits(region.dtype, region.data, i) != pattern_bits(region.dtype, pattern, i)) lower(first, i);
  }
};

struct WriteRows {
  RowSet set;
  ORACLE_HOST_DEVICE void operator()(std::int64_t i) const {
    const Element element = element_of(set, i);
    store_bits(set.region.dtype, set.region.data, element.index, value_bits(set, element));
  }
};

/// The first row element that is not what WriteRows wrote.
struct FindOverwritten {
  RowSet set;
  unsigned long long* first;
  ORACLE_HOST_DEVICE void operator()(std::int64_t i) const {
    const Element element = element_of(set, i);
    if (load_bits(set.region.dtype, set.region.data, element.index) != value_bits(set, element)) lower(first, i);
  }
};

/// Makes rows look like what is around them.
struct EraseRows {
  RowSet set;
  Pattern pattern;
  ORACLE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t index = element_of(set, i).index;
    store_bits(set.region.dtype, set.region.data, index, pattern_bits(set.region.dtype, pattern, index));
  }
};

/// The first element that differs between two results of one batch, whose regions are alike; not in chosen requests.
struct FindDifference {
  RowSet set;
  Region other;
  unsigned long long* first;
  ORACLE_HOST_DEVICE void operator()(std::int64_t i) const {
    const Element element = element_of(set, i);
    if (is_chosen(set, element.request)) return;
    if (load_bits(set.region.dtype, set.region.data, element.index) !=
        load_bits(other.dtype, other.data, element.index)) {
      lower(first, i);
    }
  }
};

}  // namespace varlen::oracle
