// What an emulated kernel may touch in global memory: the tensors of a launch, and which of their rows are whose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "batch/ragged_batch.hpp"
#include "batch/seen_keys.hpp"
#include "gpu/emulator/ordered_words.hpp"

namespace varlen::gpu::emulator {

enum class Role : std::uint8_t {
  kQuery,
  kKey,
  kValue,
  kOut,
  kLse,
  kQueryScale,
  kKeyScale,
  kValueScale,
  kSinks,
  kBlockTable,
  kBlockTableRows,
  kPageIndptr,
  kPageIndices,
  kPartials,
  kCounter,
  kLengths,
  kPlan,
  kReport
};
const char* role_name(Role role) noexcept;

/// One dimension of rows: how many, and how many elements apart.
struct Extent {
  std::int64_t count = 1;
  std::int64_t stride = 0;
};

/// A tensor whose rows are contiguous. Strides of what kernels write nest: each steps over everything inside it.
struct Buffer {
  Role role = Role::kQuery;
  const void* data = nullptr;
  std::int64_t element_bytes = 1;
  std::int64_t row_elements = 1;
  Extent pages;   // paged keys and values only
  Extent tokens;  // slots of a page; rows of a block table or of partials; requests of scales; entries of page_indices
  Extent heads;   // places in a row of a block table
};

/// Rows of partials that belong to one request.
struct PartialRows {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int32_t request = -1;
};

enum class Direction : std::uint8_t { kRead, kWrite };

class GlobalMemory {
 public:
  explicit GlobalMemory(std::vector<RequestExtent> requests) : requests_(std::move(requests)) {}

  void add(const Buffer& buffer);
  /// Whose the pages of keys and values are, by the page numbers that the requests' queries see.
  void set_page_numbers(const Tensors& tensors, std::int64_t page_size, const Mask& mask);
  /// Of launches that lack a plan: all rows of out and LSE are to be written, by whichever thread.
  void share_results() { shares_results_ = true; }
  void set_partial_rows(std::vector<PartialRows> rows) { partial_rows_ = std::move(rows); }

  /// Allows a thread that works on `request` (−1: on none yet) to access these bytes, and counts writes. If it may not:
  /// why not, as the end of a sentence.
  std::optional<std::string> access(const void* address, std::int64_t bytes, Direction direction,
                                    std::int32_t request) {
    const auto begin = reinterpret_cast<std::uintptr_t>(address);
    if (last_ < regions_.size() && try_access(regions_[last_], begin, bytes, direction, request) == Verdict::kAllowed) {
      return std::nullopt;
    }
    return access_any(begin, bytes, direction, request);
  }

  /// Of an access that was allowed: whether something orders it with those of other threads before it.
  std::optional<std::string> order(const void* address, std::int64_t bytes, Direction direction,
                                   const GlobalActor& actor) {
    Region& region = regions_[last_];
    if (region.order == nullptr) return std::nullopt;
    const auto offset = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(address) - region.begin);
    return direction == Direction::kWrite ? region.order->write(offset, bytes, actor)
                                          : region.order->read(offset, bytes, actor);
  }

  /// The first element of out, LSE or partials that belongs to a request and was not written, as a sentence.
  std::optional<std::string> first_unwritten(Role role) const;

 private:
  struct Axis {
    Extent extent;
    int dimension;  // 0: pages, 1: tokens, 2: heads
  };
  struct Region {
    Buffer buffer;
    std::uintptr_t begin;
    std::uintptr_t end;
    Axis axes[3];  // those of more than one index that differ in address, by falling stride
    int axis_count;
    bool shares_rows;           // several rows have the same memory, so that an address does not tell whose it is
    std::vector<bool> written;  // [pages, tokens, heads, row_elements] of buffers that kernels write
    std::unique_ptr<OrderedWords> order;  // of buffers that they read as well
  };
  struct Place {
    std::int64_t index[3];  // page, token, head
    std::int64_t column;
  };
  /// From the most to the least telling.
  enum class Verdict : std::uint8_t { kAllowed, kTwice, kUnwritten, kDirection, kOtherRequest, kGap, kOutside };
  /// A page of a request and how many of its slots, from the first one on, are the request's.
  struct PageShare {
    std::int64_t page;
    std::int64_t slots;
  };

  /// Page numbers of a request: places [begin, end) in a row of the block table, or of page_indices (row 0).
  struct EntryRange {
    std::int64_t row;
    std::int64_t begin;
    std::int64_t end;
  };

  std::optional<std::string> access_any(std::uintptr_t begin, std::int64_t bytes, Direction direction,
                                        std::int32_t request);
  Verdict try_access(Region& region, std::uintptr_t begin, std::int64_t bytes, Direction direction,
                     std::int32_t request);
  static Place locate(const Region& region, std::int64_t element);
  static std::size_t element_index(const Buffer& buffer, const Place& place);
  static std::string describe(const Buffer& buffer, const Place& place);
  static bool holds(const EntryRange& range, std::int64_t row, std::int64_t place);
  bool owns(const Buffer& buffer, const Place& place, std::int32_t request) const;
  bool owns_slot(std::int64_t page, std::int64_t slot, std::int32_t request) const;
  std::optional<std::string> first_unwritten_of(const Region& region, std::int64_t token_begin,
                                                std::int64_t token_end) const;

  std::vector<RequestExtent> requests_;
  std::vector<Region> regions_;
  std::size_t last_ = 0;  // the region of the last access: the next one is mostly there, too
  bool shares_results_ = false;
  std::int64_t page_size_ = 0;
  std::vector<PageShare> shares_;          // of all requests, of each by page
  std::vector<std::size_t> first_share_;   // [requests + 1]
  std::vector<EntryRange> seen_entries_;   // [requests]
  std::vector<PartialRows> partial_rows_;  // by begin
};

}  // namespace varlen::gpu::emulator
