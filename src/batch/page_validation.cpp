#include "batch/page_validation.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>

#include "batch/page_fault.hpp"
#include "batch/page_table.hpp"
#include "batch/seen_keys.hpp"

namespace varlen {
namespace {

/// For a request that page_entries() finds none of.
[[noreturn]] void refuse_missing_entries(const Tensors& tensors, std::int64_t request) {
  PageFault fault{};
  fault.request = request;
  if (tensors.page_indptr.present()) {
    fault.rule = PageRule::kNoSuchRange;
    fault.first_entry = integer_at(tensors.page_indptr, request);
    fault.value = integer_at(tensors.page_indptr, request + 1);
    fault.other = tensors.page_indices.present() ? tensors.page_indices.shape[0] : 0;
  } else {
    fault.rule = PageRule::kNoSuchRow;
    fault.value = integer_at(tensors.block_table_rows, request);
    fault.other = tensors.block_table.shape[0];
  }
  refuse(fault);
}

void check_width(const RaggedBatch& batch, std::int64_t request, std::int64_t entries) {
  const RequestExtent& extent = batch.requests[static_cast<std::size_t>(request)];
  if (seen_pages(batch, extent).end <= entries) return;
  refuse(PageFault{PageRule::kTooManyKeys, request, 0, extent.key_length, 0, entries, batch.page_size});
}

void check_entries(const RaggedBatch& batch, const Tensors& tensors, std::int64_t request) {
  const SeenPages seen = seen_pages(batch, batch.requests[static_cast<std::size_t>(request)]);
  if (seen.begin == seen.end) return;
  const std::optional<PageEntries> entries = page_entries(tensors, request);
  if (!entries) refuse_missing_entries(tensors, request);
  check_width(batch, request, entries->size());
  const std::int64_t pool_pages = tensors.key.present() ? tensors.key.shape[0] : 0;
  for (std::int64_t p = seen.begin; p < seen.end; ++p) {
    const std::int64_t page = (*entries)[p];
    if (page >= 0 && page < pool_pages) continue;
    const bool indexed = tensors.page_indptr.present();
    refuse(PageFault{indexed ? PageRule::kNoSuchPageIndex : PageRule::kNoSuchPage, request, p, page,
                     indexed ? entries->first : entries->row * entries->size(), entries->size(), pool_pages});
  }
}

}  // namespace

void validate_page_numbers(const RaggedBatch& batch, const Tensors& tensors) {
  const auto on_device = [](const TensorView* view) { return view->present() && view->device != DeviceKind::kCpu; };
  const TensorView* const views[] = {&tensors.block_table, &tensors.block_table_rows, &tensors.page_indptr,
                                     &tensors.page_indices};
  const bool readable = std::none_of(std::begin(views), std::end(views), on_device);
  for (std::int64_t r = 0; r < std::ssize(batch.requests); ++r) {
    if (readable) {
      check_entries(batch, tensors, r);
    } else if (tensors.block_table.present()) {
      check_width(batch, r, tensors.block_table.shape[1]);
    }
  }
}

}  // namespace varlen
