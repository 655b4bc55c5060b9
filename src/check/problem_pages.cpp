// The pages of a problem and how the call is told of them.
#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>
#include <utility>

#include "check/problem.hpp"

namespace varlen::check {

TensorView Problem::place_numbers(const std::string& name, const std::vector<std::int32_t>& numbers, bool wide) {
  const Dtype dtype = wide ? Dtype::kInt64 : Dtype::kInt32;
  const auto count = static_cast<std::int64_t>(numbers.size());
  std::byte* const data = allocate(name, count * dtype_size(dtype), dtype_size(dtype)).bytes.data();
  if (wide) {
    std::copy(numbers.begin(), numbers.end(), reinterpret_cast<std::int64_t*>(data));
  } else {
    std::copy(numbers.begin(), numbers.end(), reinterpret_cast<std::int32_t*>(data));
  }
  return TensorView::dense(data, dtype, {count});
}

/// A number of no page, for entries that must not be looked at.
std::int32_t Problem::no_page() const { return poisoned_ ? std::numeric_limits<std::int32_t>::max() : -1; }

void Problem::choose_pages() {
  std::int64_t used = 0;
  for (const std::int64_t length : test_.key_lengths) used += pages_of(length);
  pool_pages_ = used + test_.layout.spare_pages;
  std::vector<std::int64_t> free_pages(static_cast<std::size_t>(pool_pages_));
  for (std::size_t p = 0; p < free_pages.size(); ++p) {  // shuffled from the inside out
    const auto other = static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(p) + 1));
    free_pages[p] = free_pages[other];
    free_pages[other] = static_cast<std::int64_t>(p);
  }
  for (std::size_t r = 0; r < test_.key_lengths.size(); ++r) {
    const std::int64_t length = test_.key_lengths[r];
    std::vector<std::int64_t> pages;
    for (std::int64_t p = 0; p < pages_of(length); ++p) {
      const std::int64_t end = (p + 1) * test_.page_size;
      const bool shared = test_.layout.shared_pages && r > 0 && end <= length && end <= test_.key_lengths.front();
      if (shared) {
        pages.push_back(pages_.front()[static_cast<std::size_t>(p)]);
      } else {
        pages.push_back(free_pages.back());
        free_pages.pop_back();
      }
    }
    pages_.push_back(std::move(pages));
  }
}

/// What the call is told of a request's pages. A page that no query of the request sees may have been freed, and marked
/// so.
std::vector<std::int32_t> Problem::page_numbers(std::size_t request) const {
  const ShownKeys shown = shown_keys(test_, request, 0, test_.query_lengths[request]);
  std::vector<std::int32_t> numbers;
  for (std::int64_t p = 0; p < std::ssize(pages_[request]); ++p) {
    const bool hidden = poisoned_ && ((p + 1) * test_.page_size <= shown.begin || p * test_.page_size >= shown.end);
    numbers.push_back(hidden ? no_page() : static_cast<std::int32_t>(pages_[request][static_cast<std::size_t>(p)]));
  }
  return numbers;
}

void Problem::place_pages() {
  std::int64_t max_pages = 0;
  for (const std::int64_t length : test_.key_lengths) max_pages = std::max(max_pages, pages_of(length));
  max_pages += random_.below(3);
  choose_pages();
  if (test_.layout.page_form == PageForm::kIndices) {
    place_page_indices();
  } else {
    place_block_table(max_pages);
  }
}

void Problem::place_block_table(std::int64_t max_pages) {
  const auto requests = static_cast<std::int64_t>(test_.key_lengths.size());
  const bool chosen = test_.layout.page_form == PageForm::kRows;
  const std::int64_t rows = chosen ? requests + random_.below(4) : requests;
  std::vector<std::int32_t> row_of(static_cast<std::size_t>(rows));
  std::iota(row_of.begin(), row_of.end(), 0);
  if (chosen) std::rotate(row_of.begin(), row_of.begin() + random_.below(rows + 1), row_of.end());
  row_of.resize(static_cast<std::size_t>(requests));

  std::vector<std::int32_t> table(static_cast<std::size_t>(rows * max_pages), no_page());
  for (std::size_t r = 0; r < row_of.size(); ++r) {
    const std::vector<std::int32_t> numbers = page_numbers(r);
    std::copy(numbers.begin(), numbers.end(), table.begin() + row_of[r] * max_pages);
  }
  TensorView& view = tensors_.block_table;
  view = place_numbers("block_table", table, test_.layout.wide_pages);
  view.rank = 2;
  view.shape = {rows, max_pages};
  view.strides = {max_pages, 1};
  if (chosen) tensors_.block_table_rows = place_numbers("block_table_rows", row_of, !test_.layout.wide_pages);
}

void Problem::place_page_indices() {
  std::vector<std::int32_t> indices(static_cast<std::size_t>(random_.below(3)), no_page());
  std::vector<std::int32_t> indptr{static_cast<std::int32_t>(indices.size())};
  for (std::size_t r = 0; r < pages_.size(); ++r) {
    const std::vector<std::int32_t> numbers = page_numbers(r);
    indices.insert(indices.end(), numbers.begin(), numbers.end());
    indices.insert(indices.end(), static_cast<std::size_t>(random_.below(3)), no_page());  // more than the keys need
    indptr.push_back(static_cast<std::int32_t>(indices.size()));
  }
  tensors_.page_indptr = place_numbers("page_indptr", indptr, !test_.layout.wide_pages);
  tensors_.page_indices = place_numbers("page_indices", indices, test_.layout.wide_pages);
}

}  // namespace varlen::check
