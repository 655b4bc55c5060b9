// What an IndexView can be made of.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "varlen/batch.hpp"

namespace varlen {
namespace {

// Temporaries would be gone before the view is read, and other numbers would be misread.
static_assert(!std::is_constructible_v<IndexView, std::vector<std::int64_t>>);
static_assert(!std::is_constructible_v<IndexView, std::vector<float>&>);
static_assert(!std::is_constructible_v<IndexView, std::vector<std::uint32_t>&>);
static_assert(!std::is_constructible_v<IndexView, std::vector<std::int16_t>&>);

void expect_is_1_2_3(const IndexView& view, bool wide) {
  EXPECT_TRUE(view.present());
  EXPECT_EQ(view.wide(), wide);
  ASSERT_EQ(view.size(), 3);
  for (std::int64_t i = 0; i < 3; ++i) EXPECT_EQ(view[i], i + 1);
}

template <class Int>
void expect_any_container(bool wide) {
  std::vector<Int> vector = {1, 2, 3};
  const std::vector<Int> const_vector = vector;
  const std::array<Int, 3> array = {1, 2, 3};
  Int plain[] = {1, 2, 3};
  for (const IndexView& view :
       {IndexView(vector), IndexView(const_vector), IndexView(array), IndexView(plain), IndexView(std::span(vector)),
        IndexView(std::span<const Int>(vector)), IndexView(vector.data(), std::ssize(vector))}) {
    expect_is_1_2_3(view, wide);
  }
  const Requests requests{.query_indptr = vector, .key_lengths = array};
  expect_is_1_2_3(requests.query_indptr, wide);
  expect_is_1_2_3(requests.key_lengths, wide);
  EXPECT_FALSE(requests.query_lengths.present());
}

TEST(IndexView, IsMadeOfAnyContainerOf32BitIntegers) { expect_any_container<std::int32_t>(false); }
TEST(IndexView, IsMadeOfAnyContainerOf64BitIntegers) { expect_any_container<std::int64_t>(true); }

TEST(IndexView, EmptyIsNotAbsent) {
  const std::vector<std::int32_t> none;
  EXPECT_TRUE(IndexView(none).present());
  EXPECT_EQ(IndexView(none).size(), 0);
  EXPECT_FALSE(IndexView().present());
}

}  // namespace
}  // namespace varlen
