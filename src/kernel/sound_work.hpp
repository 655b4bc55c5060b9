// Items whose keys are on pages that do not exist: found before anything is loaded, reported, and written as NaN.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/page_entries.hpp"
#include "kernel/parameters.hpp"
#include "kernel/report_fault.hpp"
#include "kernel/rows_out.hpp"
#include "kernel/tile_work.hpp"

namespace varlen::kernel {

/// The least of all lanes' numbers, which are not negative. By the whole warp.
VARLEN_DEVICE std::int32_t least_of_lanes(std::int32_t value) {
  VARLEN_UNROLL
  for (int distance = gpu::kWarpThreads / 2; distance > 0; distance /= 2) {
    const float other = gpu::shuffle_xor(gpu::word_as_float(static_cast<std::uint32_t>(value)), distance);
    value = least(value, static_cast<std::int32_t>(gpu::float_as_word(other)));
  }
  return value;
}

/// Page numbers that an item needs: those of pages with a key that some row of the tile sees. Counted
/// from the page of the item's first key.
class NeededPages {
 public:
  VARLEN_DEVICE NeededPages(const ForwardParameters& parameters, const TileWork& work)
      : parameters_(parameters),
        work_(work),
        begin_(quotient(work.first_slot + work.hidden_keys(), parameters.page_size)),
        end_(quotient(work.first_slot + work.keys - 1, parameters.page_size) + 1),
        in_table_(clamped_position(page_range(parameters.page_table, work.request).entries) - work.first_page) {}

  /// The first one that the request does not have or that names no page of the pool; kNone: all are right. By the whole
  /// warp.
  VARLEN_DEVICE std::int32_t first_wrong() const {
    std::int32_t wrong = end_ <= in_table_ ? kNone : greatest(begin_, in_table_);
    const std::int32_t end = least(end_, wrong);
    VARLEN_UNROLL_BY(4)
    for (std::int32_t place = begin_ + gpu::fresh_thread_index() % gpu::kWarpThreads; place < end;
         place += gpu::kWarpThreads) {
      const std::uint32_t page = static_cast<std::uint32_t>(gpu::load_global(entry(place)));
      if (page >= parameters_.pages) wrong = least(wrong, place);
    }
    return gpu::count_votes(wrong != kNone) > 0 ? least_of_lanes(wrong) : kNone;
  }
  /// By one thread.
  VARLEN_DEVICE PageFault describe(std::int32_t wrong) const {
    const PageTable& table = parameters_.page_table;
    const PageRange range = page_range(table, work_.request);
    PageFault fault{};
    fault.request = work_.request;
    fault.page = std::int64_t{work_.first_page} + wrong;
    fault.entries = range.entries;
    fault.first_entry = table.is_csr ? range.row : range.row * table.row_entries;
    if (!range.exists) {
      fault.rule = table.is_csr ? PageRule::kNoSuchRange : PageRule::kNoSuchRow;
      fault.value = table.is_csr ? range.end : range.row;
      fault.other = table.row_count;
    } else if (wrong >= in_table_) {
      fault.rule = PageRule::kTooManyKeys;
      fault.value = parameters_.requests[work_.request].key_length;
      fault.other = parameters_.page_size;
    } else {
      fault.rule = table.is_csr ? PageRule::kNoSuchPageIndex : PageRule::kNoSuchPage;
      fault.value = gpu::load_global(entry(wrong));
      fault.other = parameters_.pages;
    }
    return fault;
  }

  static constexpr std::int32_t kNone = INT32_MAX;

 private:
  VARLEN_DEVICE const std::int32_t* entry(std::int32_t place) const {
    return parameters_.page_table.entries + work_.key_token + place * parameters_.page_table.entry_stride;
  }

  const ForwardParameters& parameters_;
  const TileWork& work_;
  std::int32_t begin_;
  std::int32_t end_;
  std::int32_t in_table_;  // of the request's entries, those from the item's first page on
};

/// A row of a part is NaN when all of its numbers are: then so is what it is merged into.
VARLEN_DEVICE void write_nan_partial_row(const ForwardParameters& parameters, std::int64_t partial_row) {
  const std::int64_t floats = partial_row_floats(parameters.head_dim_vo);
  write_nan(parameters.partials + partial_row * floats, static_cast<std::int32_t>(floats), true);
}

/// In place of the results of the item whose work is at `place`. By the whole warp.
VARLEN_DEVICE void write_nan_rows(const ForwardParameters& parameters, gpu::SharedAddress place) {
  VARLEN_UNROLL_BY(1)
  for (std::int32_t row = 0;; ++row) {
    const TileWork work = load_work(place);  // again and again: those who draw items are short of registers
    if (row >= work.rows) return;
    if (work.partial_row >= 0) {
      write_nan_partial_row(parameters, work.partial_row + row);
    } else {
      const RowPosition at = work.position(row);
      write_nan_row(parameters, work.query_token + at.token, work.query_head + at.head);
    }
  }
}

VARLEN_DEVICE std::int32_t first_wrong_page(const ForwardParameters& parameters, const TileWork& work) {
  if (work.keys <= work.hidden_keys()) return NeededPages::kNone;
  gpu::enter_item(work.item, work.request);
  return NeededPages(parameters, work).first_wrong();
}

/// Whether the item whose work lane 0 has left at this place in shared memory can be computed. If not, it is reported
/// and done with: its rows are NaN, and the place is free. By the whole warp.
VARLEN_DEVICE bool is_sound(const ForwardParameters& parameters, gpu::SharedAddress place) {
  if (!parameters.is_paged) return true;
  gpu::sync_warp();  // the place is written
  const std::int32_t wrong = first_wrong_page(parameters, load_work(place));
  if (wrong == NeededPages::kNone) return true;
  if (gpu::lane_index() == 0) {
    report_fault(parameters.faults, NeededPages(parameters, load_work(place)).describe(wrong));
  }
  write_nan_rows(parameters, place);
  gpu::sync_warp();  // and read
  return false;
}

}  // namespace varlen::kernel
