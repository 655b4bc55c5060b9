// The closed form of which keys and pages a request's queries see, against the mask's definition.
#include "batch/seen_keys.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace varlen {
namespace {

bool is_seen(const Mask& mask, const RequestExtent& request, std::int64_t key) {
  for (std::int64_t i = 0; i < request.query_length; ++i) {
    const std::int64_t position = request.key_length - request.query_length + i;
    const bool after_left = mask.left == Mask::kUnlimited || key >= position - mask.left;
    const bool before_right = mask.right == Mask::kUnlimited || key <= position + mask.right;
    if (after_left && before_right) return true;
  }
  return false;
}

TEST(SeenKeys, AreThoseThatSomeQuerySees) {
  std::int64_t hidden = 0;
  for (std::int64_t queries = 0; queries <= 7; ++queries) {
    for (std::int64_t keys = 0; keys <= 9; ++keys) {
      for (std::int64_t left = -1; left <= 6; ++left) {
        for (std::int64_t right = -1; right <= 3; ++right) {
          const Mask mask = Mask::window(left, right);
          const RequestExtent request{0, queries, 0, keys};
          const SeenKeys seen = seen_keys(mask, request);
          for (std::int64_t key = 0; key < keys; ++key) {
            ASSERT_EQ(key >= seen.begin && key < seen.end, is_seen(mask, request, key))
                << fmt::format("key {} of {} queries on {} keys, window ({}, {})", key, queries, keys, left, right);
            hidden += is_seen(mask, request, key) ? 0 : 1;
          }
          ASSERT_LE(seen.begin, seen.end);
          ASSERT_LE(seen.end, keys);
        }
      }
    }
  }
  EXPECT_GT(hidden, 1000);
}

TEST(SeenPages, HoldTheSeenKeysAndNothingElse) {
  RaggedBatch batch;
  for (batch.page_size = 1; batch.page_size <= 5; ++batch.page_size) {
    for (std::int64_t queries = 0; queries <= 4; ++queries) {
      for (std::int64_t keys = 0; keys <= 12; ++keys) {
        for (std::int64_t left = -1; left <= 9; ++left) {
          batch.mask = Mask::window(left, 0);
          const RequestExtent request{0, queries, 0, keys};
          const SeenPages pages = seen_pages(batch, request);
          for (std::int64_t page = 0; page * batch.page_size < keys; ++page) {
            bool seen = false;
            for (std::int64_t key = page * batch.page_size; key < std::min(keys, (page + 1) * batch.page_size); ++key) {
              seen |= is_seen(batch.mask, request, key);
            }
            ASSERT_EQ(page >= pages.begin && page < pages.end, seen) << fmt::format(
                "page {} of {}, {} queries on {} keys, window ({}, 0)", page, batch.page_size, queries, keys, left);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace varlen
