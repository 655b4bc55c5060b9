// Which keys of a request its queries see together, and which entries of the block table hold them. Nothing else of the
// request's keys is validated, and no entry of the block table but these is read.
#pragma once

#include <algorithm>
#include <cstdint>

#include "batch/ragged_batch.hpp"

namespace varlen {

/// Keys [begin, end) of a request.
struct SeenKeys {
  std::int64_t begin;
  std::int64_t end;
};

/// From the first key that the request's first query sees to the last one that its last query sees; queries in between
/// leave no gap. Empty without queries or keys. `mask` is a canonical batch's.
inline SeenKeys seen_keys(const Mask& mask, const RequestExtent& request) {
  if (request.query_length == 0 || request.key_length == 0) return {0, 0};
  const std::int64_t first_position = request.key_length - request.query_length;
  const std::int64_t begin = mask.left == Mask::kUnlimited ? 0 : first_position - mask.left;
  return {std::max<std::int64_t>(0, begin), request.key_length};  // the last query stands at the last key and sees it
}

/// Entries [begin, end) of a request's row of the block table.
struct SeenPages {
  std::int64_t begin;
  std::int64_t end;
};

/// Those of the seen keys, for paged keys.
inline SeenPages seen_pages(const RaggedBatch& batch, const RequestExtent& request) {
  const SeenKeys keys = seen_keys(batch.mask, request);
  if (keys.begin == keys.end) return {0, 0};
  return {keys.begin / batch.page_size, (keys.end - 1) / batch.page_size + 1};
}

}  // namespace varlen
