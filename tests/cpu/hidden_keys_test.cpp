// Keys that no row of a tile sees change no bit of its rows, whatever lies there, and pages of such keys are not read.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "backend/cpu/call.hpp"
#include "cpu/small_case.hpp"

namespace varlen::cpu {
namespace {

constexpr float kPoisons[] = {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity(), 3e38F};

/// One request, its keys ragged or in pages, and what its rows and tiles see.
class Request {
 public:
  Request(std::int64_t queries, std::int64_t keys, Mask mask, std::int64_t page_size)
      : case_({queries}, {keys}, {5}, mask), extent_{0, queries, 0, keys} {
    if (page_size > 0) put_in_pages(page_size);
  }

  Case& get() { return case_; }

  KeyRange seen_by(std::int64_t token) const { return visible_keys(case_.batch.mask, extent_, token); }

  /// From the first key that one of the tokens sees to the last.
  KeyRange seen_by(std::int64_t begin, std::int64_t count) const {
    KeyRange all{extent_.key_length, 0};
    for (std::int64_t token = begin; token < begin + count; ++token) {
      const KeyRange one = seen_by(token);
      if (one.begin == one.end) continue;
      all = {std::min(all.begin, one.begin), std::max(all.end, one.end)};
    }
    return all;
  }

  void poison(std::int64_t key, float value) {
    for (auto* tensor : {&case_.key, &case_.value}) {
      const std::int64_t row = Case::kKvHeads * Case::kHeadDim;
      std::fill_n(tensor->begin() + place(key) * row, row, value);
    }
  }

  /// Page numbers of pages that no row sees become −1, which is a page of NaN.
  void forget_hidden_pages() {
    const KeyRange seen = seen_by(0, extent_.query_length);
    const std::int64_t size = case_.batch.page_size;
    for (std::size_t page = 0; page < pages_.size(); ++page) {
      const std::int64_t first = static_cast<std::int64_t>(page) * size;
      if (first + size <= seen.begin || first >= seen.end) pages_[page] = -1;
    }
  }
  std::int64_t forgotten_pages() const { return std::count(pages_.begin(), pages_.end(), -1); }

 private:
  /// Pages in reverse order, behind one of NaN.
  void put_in_pages(std::int64_t page_size) {
    const std::int64_t pages = (extent_.key_length + page_size - 1) / page_size;
    for (std::int64_t page = 0; page < pages; ++page) pages_.push_back(static_cast<std::int32_t>(pages - 1 - page));
    const std::int64_t row = Case::kKvHeads * Case::kHeadDim;
    case_.batch.page_size = page_size;
    for (auto [tensor, view] : {std::pair{&case_.key, &case_.tensors.key}, {&case_.value, &case_.tensors.value}}) {
      std::vector<float> pool(static_cast<std::size_t>((pages + 1) * page_size * row), kPoisons[0]);
      for (std::int64_t key = 0; key < extent_.key_length; ++key) {
        std::copy_n(tensor->begin() + key * row, row, pool.begin() + place(key) * row);
      }
      *tensor = std::move(pool);
      *view = TensorView::dense(tensor->data() + page_size * row, Dtype::kFloat32,
                                {pages, page_size, Case::kKvHeads, Case::kHeadDim});
    }
    case_.tensors.block_table = TensorView::dense(pages_.data(), Dtype::kInt32, {1, pages});
  }

  /// The row of the tensor, with the page of NaN, that holds a key.
  std::int64_t place(std::int64_t key) const {
    if (pages_.empty()) return key;
    const std::int64_t size = case_.batch.page_size;
    const std::int64_t pages = static_cast<std::int64_t>(pages_.size());
    return (pages - key / size) * size + key % size;
  }

  Case case_;
  RequestExtent extent_;
  std::vector<std::int32_t> pages_;
};

struct Shape {
  std::string name;
  std::int64_t queries;
  std::int64_t keys;
  Mask mask;
};
void PrintTo(const Shape& shape, std::ostream* stream) { *stream << shape.name; }

class HiddenKeys : public testing::TestWithParam<Shape> {};

TEST_P(HiddenKeys, ChangeNoBitOfATile) {
  const Shape& shape = GetParam();
  std::mt19937 random(3);
  std::int64_t held = 0;
  for (const std::int64_t page_size : {0, 16}) {
    for (const PlanTarget& target :
         {target_of({{768, 16}}, 256, 2), target_of({{30, 16}, {12, 16}}, 16, 5), target_of({{18, 16}}, 32, 1)}) {
      Request clean(shape.queries, shape.keys, shape.mask, page_size);
      clean.get().run(target);
      const Plan plan = make_plan(clean.get().batch, target);
      for (int repeat = 0; repeat < 12; ++repeat) {
        Request poisoned(shape.queries, shape.keys, shape.mask, page_size);
        const auto begin = static_cast<std::int64_t>(random() % static_cast<unsigned>(shape.keys));
        const std::int64_t end =
            std::min<std::int64_t>(shape.keys, begin + 1 + static_cast<std::int64_t>(random() % 20));
        for (std::int64_t key = begin; key < end; ++key) poisoned.poison(key, kPoisons[repeat % 4]);
        poisoned.get().run(target);
        for (std::int64_t i = 0; i < plan.item_count(); ++i) {
          const WorkItem item = plan.item(i);
          const KeyRange seen = poisoned.seen_by(item.query_begin, item.query_count);
          if (begin < seen.end && seen.begin < end) continue;
          ++held;
          for (std::int64_t token = item.query_begin; token < item.query_begin + item.query_count; ++token) {
            const std::int64_t row = token * Case::kQueryHeads + item.query_head_begin;
            ASSERT_EQ(std::memcmp(clean.get().out.data() + row * Case::kHeadDim,
                                  poisoned.get().out.data() + row * Case::kHeadDim,
                                  sizeof(float) * Case::kHeadDim * static_cast<std::size_t>(item.query_head_count)),
                      0)
                << "token " << token << ", keys " << begin << " to " << end << ", pages of " << page_size;
            ASSERT_EQ(std::memcmp(clean.get().lse.data() + row, poisoned.get().lse.data() + row,
                                  sizeof(float) * static_cast<std::size_t>(item.query_head_count)),
                      0);
          }
        }
      }
    }
  }
  EXPECT_GT(held, 0) << "no tile had a hidden key";
}

TEST_P(HiddenKeys, PagesWithoutVisibleKeysAreNotRead) {
  const Shape& shape = GetParam();
  const PlanTarget target = target_of({{30, 16}}, 16, 3);
  Request clean(shape.queries, shape.keys, shape.mask, 16);
  clean.get().run(target);
  Request freed(shape.queries, shape.keys, shape.mask, 16);
  freed.forget_hidden_pages();
  freed.get().run(target);
  expect_same_bits(freed.get().out, clean.get().out);
  expect_same_bits(freed.get().lse, clean.get().lse);
  const KeyRange seen = clean.seen_by(0, shape.queries);
  EXPECT_EQ(freed.forgotten_pages() > 0, seen.begin >= 16 || seen.end + 16 <= shape.keys);
}

INSTANTIATE_TEST_SUITE_P(Masks, HiddenKeys,
                         testing::Values(Shape{"one_query_window", 1, 40, Mask::window(10, 0)},
                                         Shape{"decode_window", 1, 700, Mask::window(100, 0)},
                                         Shape{"window", 60, 400, Mask::window(33, 7)},
                                         Shape{"causal_window", 300, 640, Mask::causal_window(90)},
                                         Shape{"narrow", 90, 90, Mask::window(0, 0)},
                                         Shape{"causal", 120, 120, Mask::causal()},
                                         Shape{"right_limit", 80, 500, Mask{Mask::kUnlimited, 3}},
                                         Shape{"more_queries_than_keys", 200, 50, Mask::window(20, 5)}),
                         [](const auto& shape) { return shape.param.name; });

}  // namespace
}  // namespace varlen::cpu
