// What a block knows of the item that it works on: a record that one warp makes and all warps read in shared memory.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/page_entries.hpp"
#include "kernel/parameters.hpp"

namespace varlen::kernel {

/// Keys, counted from the item's first.
struct SeenKeys {
  std::int32_t begin;
  std::int32_t end;

  /// Bit i: key first + i is one of them.
  VARLEN_DEVICE std::uint32_t bits(std::int32_t first) const {
    return bits_from(begin - first) & ~bits_from(end - first);
  }

 private:
  VARLEN_DEVICE static std::uint32_t bits_from(std::int32_t bit) { return bit >= 32 ? 0U : ~0U << (bit > 0 ? bit : 0); }
};

/// Rows are token-major: row → (token of the tile, query head of those that the tile has).
struct RowPosition {
  std::int32_t token;
  std::int32_t head;
};

/// An item of the plan, looked up in everything that its work depends on, but for the tensors' layouts.
struct TileWork {
  std::int32_t request;
  std::int32_t rows;  // tokens × heads; 0: there are no more items
  std::int32_t keys;
  std::int32_t heads;  // query heads of a token

  std::uint32_t heads_reciprocal;  // ⌈2^kReciprocalBits / heads⌉
  std::int32_t query_head;         // first
  std::int32_t kv_head;
  std::int16_t box;        // index into QueryBoxes::query
  std::int16_t boxed_out;  // 1: the results are stored as a box

  std::int64_t query_token;  // first, in the tensors
  std::int64_t key_token;    // first, in the tensors; of paged keys, where first_page is in PageTable::entries

  std::int32_t first_seen_begin;  // the keys that the first token would see if there were any number of them; each
  std::int32_t first_seen_end;    // further token sees those one further on
  std::int64_t partial_row;       // first, in the workspace; −1: results go to out

  std::int32_t item;        // the low half of its index in the plan, for the emulator's messages
  std::int32_t run;         // where to look for the block's next item
  std::int32_t first_page;  // of paged keys, the first one's page of the request's
  std::int32_t first_slot;  // of paged keys, where in its page the first one is

  static constexpr int kReciprocalBits = 28;  // rows and heads of a tile are at most 2^12

  VARLEN_DEVICE RowPosition position(std::int32_t row) const {
    const auto token = static_cast<std::int32_t>(
        static_cast<std::uint64_t>(static_cast<std::uint32_t>(row)) * heads_reciprocal >> kReciprocalBits);
    return {token, row - token * heads};
  }
  VARLEN_DEVICE std::int32_t tokens() const { return position(rows).token; }

  /// Keys that a row sees; none for rows that the tile does not have.
  VARLEN_DEVICE SeenKeys seen_keys(std::int32_t row) const {
    if (row >= rows) return {0, 0};
    const std::int32_t token = position(row).token;
    const std::int32_t begin = first_seen_begin + token;
    const std::int32_t end = first_seen_end + token;
    return {begin < 0 ? 0 : begin, end < 0 ? 0 : end > keys ? keys : end};
  }
  /// Keys before this one are hidden from every row of the tile: they come before the first row's window, and other
  /// rows' windows begin later. They may be anything, NaN included, and their pages need not exist.
  VARLEN_DEVICE std::int32_t hidden_keys() const { return least(keys, first_seen_begin < 0 ? 0 : first_seen_begin); }
  /// Keys that all of the rows [first, first + count) see, of those that exist: what rows see only moves on from row to
  /// row.
  VARLEN_DEVICE SeenKeys seen_by_all(std::int32_t first, std::int32_t count) const {
    const std::int32_t last = first + count - 1;
    return {seen_keys(last < rows ? last : rows - 1).begin, seen_keys(first).end};
  }

  /// Element offset of a row's data in a tensor [query tokens, query heads, …].
  VARLEN_DEVICE std::int64_t query_offset(const RowAddresses& tensor, std::int32_t row) const {
    const RowPosition at = position(row);
    return (query_token + at.token) * tensor.token_stride + (query_head + at.head) * tensor.head_stride;
  }
  /// Element offset of a key's data, ragged or paged. `key` counts from the item's first.
  VARLEN_DEVICE std::int64_t key_offset(const ForwardParameters& parameters, const RowAddresses& tensor,
                                        std::int32_t key) const {
    if (!parameters.is_paged) return (key_token + key) * tensor.token_stride + kv_head * tensor.head_stride;
    const PagedKey at = paged_key(parameters, key);
    return at.page * tensor.page_stride + at.slot * tensor.token_stride + kv_head * tensor.head_stride;
  }

  struct PagedKey {
    std::int64_t page;
    std::int32_t slot;
    std::int32_t slots;  // of the page that the item has
  };
  VARLEN_DEVICE PagedKey paged_key(const ForwardParameters& parameters, std::int32_t key) const {
    const std::int32_t slot = first_slot + key;
    const std::int32_t pages = quotient(slot, parameters.page_size);
    const std::int32_t page_begin = pages * parameters.page_size;
    return {gpu::load_global(parameters.page_table.entries + key_token + pages * parameters.page_table.entry_stride),
            slot - page_begin, least<std::int32_t>(first_slot + keys - page_begin, parameters.page_size)};
  }
};
inline constexpr int kWorkChunks = sizeof(TileWork) / sizeof(gpu::Words4);
static_assert(kWorkChunks * sizeof(gpu::Words4) == sizeof(TileWork));

VARLEN_DEVICE void store_work(gpu::SharedAddress to, const TileWork& work) {
  gpu::Words4 words[kWorkChunks];
  __builtin_memcpy(words, &work, sizeof(words));
  VARLEN_UNROLL
  for (int i = 0; i < kWorkChunks; ++i) gpu::store_shared(to + static_cast<std::uint32_t>(16 * i), words[i]);
}
VARLEN_DEVICE TileWork load_work(gpu::SharedAddress from) {
  gpu::Words4 words[kWorkChunks];
  VARLEN_UNROLL
  for (int i = 0; i < kWorkChunks; ++i) words[i] = gpu::load_shared(from + static_cast<std::uint32_t>(16 * i));
  TileWork work;
  __builtin_memcpy(&work, words, sizeof(work));
  return work;
}

/// Whether tiles may have hidden keys (TileWork::hidden_keys()).
VARLEN_DEVICE bool may_hide_keys(const ForwardParameters& parameters) {
  return parameters.plan.mask.left != Mask::kUnlimited;
}

/// A position among keys as 32 bits, far ones as if they were closer: no item has nearly as many keys.
VARLEN_DEVICE constexpr std::int32_t clamped_position(std::int64_t position) {
  constexpr std::int64_t kFar = 0x7FFF0000;
  return static_cast<std::int32_t>(position < -kFar ? -kFar : position > kFar ? kFar : position);
}

VARLEN_DEVICE TileWork describe_work(const ForwardParameters& parameters, const WorkItem& item, std::int64_t index,
                                     std::int32_t run) {
  const RequestExtent& extent = parameters.requests[item.request];
  const Mask& mask = parameters.plan.mask;
  TileWork work{};
  work.request = item.request;
  work.rows = static_cast<std::int32_t>(item.query_count) * item.query_head_count;
  work.keys = static_cast<std::int32_t>(item.key_end - item.key_begin);
  work.heads = item.query_head_count;
  work.heads_reciprocal = ((1U << TileWork::kReciprocalBits) + static_cast<std::uint32_t>(work.heads) - 1) /
                          static_cast<std::uint32_t>(work.heads);
  work.query_head = item.query_head_begin;
  work.kv_head = item.kv_head;
  const bool packed = work.heads > 1 || parameters.plan.group == 1;
  work.box = static_cast<std::int16_t>(QueryBoxes::index(item.tile_shape, packed));
  work.boxed_out =
      item.partial_row < 0 && parameters.boxes.stores_out && parameters.boxes.queries.heads[work.box] == work.heads;
  work.query_token = extent.query_start + item.query_begin;
  if (parameters.is_paged) {
    const PageTable& table = parameters.page_table;
    const std::int64_t page = quotient<std::int64_t>(item.key_begin, parameters.page_size.value);
    work.first_page = clamped_position(page);
    work.first_slot = static_cast<std::int32_t>(item.key_begin - page * parameters.page_size);
    work.key_token = page_row(table, item.request) * table.row_stride + page * table.entry_stride;
  } else {
    work.key_token = extent.key_start + item.key_begin;
  }
  // The first token stands at this key of the item (bottom-right alignment).
  const std::int64_t stand = extent.key_length - extent.query_length + item.query_begin - item.key_begin;
  constexpr std::int64_t kNoLimit = std::int64_t{1} << 62;
  work.first_seen_begin = clamped_position(mask.left == Mask::kUnlimited ? -kNoLimit : stand - mask.left);
  work.first_seen_end = clamped_position(mask.right == Mask::kUnlimited ? kNoLimit : stand + mask.right + 1);
  work.partial_row = item.partial_row;
  work.item = static_cast<std::int32_t>(index);
  work.run = run;
  return work;
}

}  // namespace varlen::kernel
