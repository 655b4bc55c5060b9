#include "gpu/emulator/global_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "batch/page_table.hpp"

namespace varlen::gpu::emulator {
namespace {

/// Once each element, before it is read.
bool is_written_once(Role role) { return role == Role::kOut || role == Role::kLse || role == Role::kPartials; }
bool is_written_by_kernels(Role role) {
  return is_written_once(role) || role == Role::kCounter || role == Role::kPlan || role == Role::kReport;
}
bool is_read_and_written(Role role) { return role == Role::kPartials || role == Role::kPlan; }
bool is_everybodys(Role role) {
  return role == Role::kSinks || role == Role::kBlockTableRows || role == Role::kPageIndptr || role == Role::kCounter ||
         role == Role::kLengths || role == Role::kPlan || role == Role::kReport;
}
bool is_read_by_kernels(Role role) { return role != Role::kOut && role != Role::kLse; }

}  // namespace

const char* role_name(Role role) noexcept {
  constexpr const char* kNames[] = {"query",
                                    "key",
                                    "value",
                                    "out",
                                    "lse",
                                    "query_scale",
                                    "key_scale",
                                    "value_scale",
                                    "sinks",
                                    "block_table",
                                    "block_table_rows",
                                    "page_indptr",
                                    "page_indices",
                                    "partials",
                                    "counter",
                                    "lengths",
                                    "plan",
                                    "report"};
  return kNames[static_cast<std::size_t>(role)];
}

void GlobalMemory::add(const Buffer& buffer) {
  Region region{buffer, reinterpret_cast<std::uintptr_t>(buffer.data), 0, {}, 0, false, {}, {}};
  const Extent* const extents[] = {&buffer.pages, &buffer.tokens, &buffer.heads};
  std::int64_t elements = buffer.row_elements;
  std::int64_t rows = 1;
  for (int d = 0; d < 3; ++d) {
    const Extent& extent = *extents[d];
    rows *= extent.count;
    if (extent.count <= 1) continue;
    if (extent.stride == 0) {
      region.shares_rows |= d < 2;  // heads are the same requests' rows
      continue;
    }
    elements += (extent.count - 1) * extent.stride;
    int place = region.axis_count++;
    for (; place > 0 && region.axes[place - 1].extent.stride < extent.stride; --place) {
      region.axes[place] = region.axes[place - 1];
    }
    region.axes[place] = {extent, d};
  }
  if (rows == 0) return;
  std::int64_t inside = buffer.row_elements;
  for (int a = region.axis_count; a-- > 0;) {
    const Extent& extent = region.axes[a].extent;
    region.shares_rows |= extent.stride < inside;
    inside += (extent.count - 1) * extent.stride;
  }
  region.end = region.begin + static_cast<std::uintptr_t>(elements * buffer.element_bytes);
  if (is_written_once(buffer.role)) region.written.resize(static_cast<std::size_t>(rows * buffer.row_elements));
  if (is_read_and_written(buffer.role)) region.order = std::make_unique<OrderedWords>();
  regions_.push_back(std::move(region));
}

void GlobalMemory::set_page_numbers(const Tensors& tensors, std::int64_t page_size, const Mask& mask) {
  page_size_ = page_size;
  first_share_.assign(1, 0);
  RaggedBatch batch;
  batch.page_size = page_size;
  batch.mask = mask;
  for (std::size_t r = 0; r < requests_.size(); ++r) {
    const SeenPages seen = seen_pages(batch, requests_[r]);
    const std::optional<PageEntries> entries = page_entries(tensors, static_cast<std::int64_t>(r));
    seen_entries_.push_back({-1, 0, 0});
    if (entries && seen.begin < seen.end) {
      const std::int64_t end = std::min(seen.end, entries->size());
      seen_entries_.back() = {entries->row, entries->first + seen.begin, entries->first + end};
      for (std::int64_t place = seen.begin; place < end; ++place) {
        shares_.push_back({(*entries)[place], std::min(requests_[r].key_length - place * page_size, page_size)});
      }
    }
    std::sort(
        shares_.begin() + static_cast<std::ptrdiff_t>(first_share_.back()), shares_.end(),
        [](const PageShare& a, const PageShare& b) { return std::tie(a.page, a.slots) < std::tie(b.page, b.slots); });
    first_share_.push_back(shares_.size());
  }
}

GlobalMemory::Place GlobalMemory::locate(const Region& region, std::int64_t element) {
  Place place{{0, 0, 0}, 0};
  for (int a = 0; a < region.axis_count; ++a) {
    const Axis& axis = region.axes[a];
    const std::int64_t index = std::min(element / axis.extent.stride, axis.extent.count - 1);
    place.index[axis.dimension] = index;
    element -= index * axis.extent.stride;
  }
  place.column = element;
  return place;
}

std::size_t GlobalMemory::element_index(const Buffer& buffer, const Place& place) {
  const std::int64_t token = place.index[0] * buffer.tokens.count + place.index[1];
  return static_cast<std::size_t>((token * buffer.heads.count + place.index[2]) * buffer.row_elements + place.column);
}

bool GlobalMemory::holds(const EntryRange& range, std::int64_t row, std::int64_t place) {
  return row == range.row && place >= range.begin && place < range.end;
}

bool GlobalMemory::owns_slot(std::int64_t page, std::int64_t slot, std::int32_t request) const {
  const auto r = static_cast<std::size_t>(request);
  const auto begin = shares_.begin() + static_cast<std::ptrdiff_t>(first_share_[r]);
  const auto end = shares_.begin() + static_cast<std::ptrdiff_t>(first_share_[r + 1]);
  // A page may stand in a request's row more than once: its largest share is the last one.
  const auto after = std::upper_bound(begin, end, page, [](std::int64_t p, const PageShare& s) { return p < s.page; });
  return after != begin && std::prev(after)->page == page && slot < std::prev(after)->slots;
}

bool GlobalMemory::owns(const Buffer& buffer, const Place& place, std::int32_t request) const {
  if (is_everybodys(buffer.role)) return true;
  if (shares_results_ && (buffer.role == Role::kOut || buffer.role == Role::kLse)) return true;
  if (request < 0 || static_cast<std::size_t>(request) >= requests_.size()) return false;
  const RequestExtent& extent = requests_[static_cast<std::size_t>(request)];
  const std::int64_t token = place.index[1];
  switch (buffer.role) {
    case Role::kKey:
    case Role::kValue:
      if (page_size_ > 0) return owns_slot(place.index[0], token, request);
      return token >= extent.key_start && token < extent.key_start + extent.key_length;
    case Role::kQueryScale:
    case Role::kKeyScale:
    case Role::kValueScale:
      return token == request;
    case Role::kBlockTable:
      return holds(seen_entries_[static_cast<std::size_t>(request)], token, place.index[2]);
    case Role::kPageIndices:
      return holds(seen_entries_[static_cast<std::size_t>(request)], 0, token);
    case Role::kPartials: {
      const auto after = std::upper_bound(partial_rows_.begin(), partial_rows_.end(), token,
                                          [](std::int64_t row, const PartialRows& rows) { return row < rows.begin; });
      return after != partial_rows_.begin() && token < std::prev(after)->end && std::prev(after)->request == request;
    }
    default:
      return token >= extent.query_start && token < extent.query_start + extent.query_length;
  }
}

GlobalMemory::Verdict GlobalMemory::try_access(Region& region, std::uintptr_t begin, std::int64_t bytes,
                                               Direction direction, std::int32_t request) {
  if (begin < region.begin || begin + static_cast<std::uintptr_t>(bytes) > region.end) return Verdict::kOutside;
  const Buffer& buffer = region.buffer;
  const auto offset = static_cast<std::int64_t>(begin - region.begin);
  const std::int64_t elements = bytes / buffer.element_bytes;
  const Place place = locate(region, offset / buffer.element_bytes);
  if (region.shares_rows) return direction == Direction::kRead ? Verdict::kAllowed : Verdict::kDirection;
  if (offset % buffer.element_bytes != 0 || elements * buffer.element_bytes != bytes ||
      place.column + elements > buffer.row_elements) {
    return Verdict::kGap;
  }
  if (!owns(buffer, place, request)) return Verdict::kOtherRequest;
  const bool write = direction == Direction::kWrite;
  if (write ? !is_written_by_kernels(buffer.role) : !is_read_by_kernels(buffer.role)) return Verdict::kDirection;
  if (region.written.empty()) return Verdict::kAllowed;
  const std::size_t first = element_index(buffer, place);
  const std::size_t end = first + static_cast<std::size_t>(elements);
  for (std::size_t i = first; i < end; ++i) {
    if (region.written[i] == write) return write ? Verdict::kTwice : Verdict::kUnwritten;
  }
  for (std::size_t i = first; write && i < end; ++i) region.written[i] = true;
  return Verdict::kAllowed;
}

std::string GlobalMemory::describe(const Buffer& buffer, const Place& place) {
  const auto [page, token, head] = place.index;
  switch (buffer.role) {
    case Role::kSinks:
      return fmt::format("sinks[{}]", head);
    case Role::kBlockTableRows:
    case Role::kPageIndptr:
    case Role::kPageIndices:
      return fmt::format("{}[{}]", role_name(buffer.role), token);
    case Role::kLse:
      return fmt::format("lse[token {}, head {}]", token, head);
    case Role::kQueryScale:
    case Role::kKeyScale:
    case Role::kValueScale:
    case Role::kBlockTable:
      return fmt::format("{}[{}, {}]", role_name(buffer.role), token, head);
    case Role::kPartials:
      return fmt::format("partials[row {}, element {}]", token, place.column);
    default:
      break;
  }
  const char* const name = role_name(buffer.role);
  if (buffer.pages.stride > 0) {
    return fmt::format("{}[page {}, slot {}, head {}, element {}]", name, page, token, head, place.column);
  }
  return fmt::format("{}[token {}, head {}, element {}]", name, token, head, place.column);
}

std::optional<std::string> GlobalMemory::access_any(std::uintptr_t begin, std::int64_t bytes, Direction direction,
                                                    std::int32_t request) {
  // Tensors may interleave, as slices of one packed tensor do: what is a gap of one is a row of another.
  auto best = Verdict::kOutside;
  const Region* best_region = nullptr;
  for (std::size_t r = 0; r < regions_.size(); ++r) {
    const Verdict verdict = try_access(regions_[r], begin, bytes, direction, request);
    if (verdict == Verdict::kAllowed) {
      last_ = r;
      return std::nullopt;
    }
    if (verdict < best) {
      best = verdict;
      best_region = &regions_[r];
    }
  }
  if (best_region == nullptr) return "is outside of every tensor";
  const Buffer& buffer = best_region->buffer;
  const std::int64_t element = static_cast<std::int64_t>(begin - best_region->begin) / buffer.element_bytes;
  const std::string where = describe(buffer, locate(*best_region, element));
  switch (best) {
    case Verdict::kTwice:
      return fmt::format("is at {}, which was written before", where);
    case Verdict::kUnwritten:
      return fmt::format("is at {}, which was never written", where);
    case Verdict::kDirection:
      return fmt::format("is at {}, which kernels must not {}", where,
                         direction == Direction::kWrite ? "write" : "read");
    case Verdict::kOtherRequest:
      return fmt::format("is at {}, which is not this request's", where);
    default:
      return fmt::format("is not within a row of {}: it begins at {}", role_name(buffer.role), where);
  }
}

std::optional<std::string> GlobalMemory::first_unwritten_of(const Region& region, std::int64_t token_begin,
                                                            std::int64_t token_end) const {
  const Buffer& buffer = region.buffer;
  const std::size_t begin = element_index(buffer, {{0, token_begin, 0}, 0});
  const std::size_t end = element_index(buffer, {{0, token_end, 0}, 0});
  const auto first = region.written.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto last = region.written.begin() + static_cast<std::ptrdiff_t>(end);
  const auto found = std::find(first, last, false);
  if (found == last) return std::nullopt;
  const std::int64_t element = found - region.written.begin();
  const std::int64_t row = element / buffer.row_elements;
  return describe(buffer, {{0, row / buffer.heads.count, row % buffer.heads.count}, element % buffer.row_elements});
}

std::optional<std::string> GlobalMemory::first_unwritten(Role role) const {
  for (const Region& region : regions_) {
    if (region.buffer.role != role) continue;
    if (role == Role::kPartials) {
      for (const PartialRows& rows : partial_rows_) {
        const auto where = first_unwritten_of(region, rows.begin, rows.end);
        if (where) return fmt::format("request {}: {} was never written", rows.request, *where);
      }
      continue;
    }
    if (shares_results_) {
      const auto where = first_unwritten_of(region, 0, region.buffer.tokens.count);
      if (where) return fmt::format("without a plan: {} was never written", *where);
      continue;
    }
    for (std::size_t r = 0; r < requests_.size(); ++r) {
      const RequestExtent& extent = requests_[r];
      const auto where = first_unwritten_of(region, extent.query_start, extent.query_start + extent.query_length);
      if (where) return fmt::format("request {}: {} was never written", r, *where);
    }
  }
  return std::nullopt;
}

}  // namespace varlen::gpu::emulator
