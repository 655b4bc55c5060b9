// canonical() against a plain restatement of what the arrays mean, over random batches in every form.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "batch/ragged_batch.hpp"

namespace varlen {
namespace {

/// One side's arrays, both widths, and which of them are given.
struct Arrays {
  std::vector<std::int64_t> indptr;
  std::vector<std::int64_t> lengths;
  std::vector<std::int32_t> indptr32;
  std::vector<std::int32_t> lengths32;
  bool has_indptr = false;
  bool has_lengths = false;
  bool wide = true;

  IndexView indptr_view() const {
    if (!has_indptr) return {};
    return wide ? IndexView(std::span<const std::int64_t>(indptr)) : IndexView(std::span<const std::int32_t>(indptr32));
  }
  IndexView lengths_view() const {
    if (!has_lengths) return {};
    return wide ? IndexView(std::span<const std::int64_t>(lengths))
                : IndexView(std::span<const std::int32_t>(lengths32));
  }
  void narrow() {
    indptr32.assign(indptr.begin(), indptr.end());
    lengths32.assign(lengths.begin(), lengths.end());
  }
};

Arrays arbitrary_arrays(std::size_t requests, bool allow_indptr) {
  Arrays arrays;
  const int form = allow_indptr ? *rc::gen::inRange(0, 3) : 1;  // offsets, lengths, both
  arrays.has_indptr = form != 1;
  arrays.has_lengths = form != 0;
  arrays.wide = *rc::gen::arbitrary<bool>();
  arrays.indptr.push_back(0);
  for (std::size_t r = 0; r < requests; ++r) {
    const std::int64_t length = *rc::gen::weightedOneOf<std::int64_t>(
        {{1, rc::gen::just(std::int64_t{0})}, {3, rc::gen::inRange<std::int64_t>(0, 100'000)}});
    const std::int64_t gap = form == 2 ? *rc::gen::inRange<std::int64_t>(0, 50) : 0;
    arrays.lengths.push_back(length);
    arrays.indptr.push_back(arrays.indptr.back() + length + gap);
  }
  arrays.narrow();
  return arrays;
}

Batch batch_of(const Arrays& query, const Arrays& key, std::int64_t page_size) {
  Batch batch;
  batch.query_indptr = query.indptr_view();
  batch.query_lengths = query.lengths_view();
  batch.key_indptr = key.indptr_view();
  batch.key_lengths = key.lengths_view();
  batch.page_size = page_size;
  batch.query_heads = 4;
  batch.kv_heads = 2;
  batch.head_dim_qk = 32;
  return batch;
}

TEST(CanonicalProperty, ExtentsAreWhatTheArraysSay) {
  EXPECT_TRUE(rc::check("extents", [] {
    const auto requests = *rc::gen::inRange<std::size_t>(0, 40);
    const bool paged = *rc::gen::arbitrary<bool>();
    const Arrays query = arbitrary_arrays(requests, true);
    const Arrays key = arbitrary_arrays(requests, !paged);
    const Batch batch = batch_of(query, key, paged ? 16 : 0);
    const RaggedBatch ragged = canonical(batch);
    RC_ASSERT(ragged.requests.size() == requests);
    RC_ASSERT(request_count(batch) == static_cast<std::int64_t>(requests));
    for (std::size_t r = 0; r < requests; ++r) {
      RC_ASSERT(ragged.requests[r].query_start == query.indptr[r]);
      RC_ASSERT(ragged.requests[r].query_length == query.lengths[r]);
      RC_ASSERT(ragged.requests[r].key_start == (paged ? 0 : key.indptr[r]));
      RC_ASSERT(ragged.requests[r].key_length == key.lengths[r]);
    }
    RC_ASSERT(ragged.query_tokens == query.indptr.back());
    RC_ASSERT(ragged.key_tokens == key.indptr.back());
  }));
}

/// Where the rules, read one by one, say the first offence of one side is.
struct Offence {
  bool in_lengths;
  std::int64_t index;
};

std::optional<Offence> first_offence(const Arrays& arrays) {
  if (arrays.has_indptr && arrays.indptr[0] != 0) return Offence{false, 0};
  for (std::size_t r = 0; r < arrays.lengths.size(); ++r) {
    const auto index = static_cast<std::int64_t>(r);
    if (arrays.has_indptr && arrays.indptr[r + 1] < arrays.indptr[r]) return Offence{false, index + 1};
    if (!arrays.has_lengths) continue;
    if (arrays.lengths[r] < 0) return Offence{true, index};
    if (arrays.has_indptr && arrays.lengths[r] > arrays.indptr[r + 1] - arrays.indptr[r]) return Offence{true, index};
  }
  return std::nullopt;
}

TEST(CanonicalProperty, OneBadElementIsFoundAndNamed) {
  EXPECT_TRUE(rc::check("offences", [] {
    const auto requests = *rc::gen::inRange<std::size_t>(1, 40);
    Arrays query = arbitrary_arrays(requests, true);
    const Arrays key = arbitrary_arrays(requests, true);
    const bool in_lengths = query.has_lengths && (!query.has_indptr || *rc::gen::arbitrary<bool>());
    std::vector<std::int64_t>& target = in_lengths ? query.lengths : query.indptr;
    target[*rc::gen::inRange<std::size_t>(0, target.size())] += *rc::gen::inRange<std::int64_t>(-200'000, 200'000);
    query.narrow();
    const Batch batch = batch_of(query, key, 0);
    const std::optional<Offence> offence = first_offence(query);
    try {
      validate(batch);
      RC_ASSERT(!offence);
    } catch (const Error& error) {
      RC_ASSERT(offence.has_value());
      RC_ASSERT(error.field() == (offence->in_lengths ? "query_lengths" : "query_indptr"));
      RC_ASSERT(error.index() == offence->index);
    }
  }));
}

}  // namespace
}  // namespace varlen
