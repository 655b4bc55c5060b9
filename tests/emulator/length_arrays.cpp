#include "emulator/length_arrays.hpp"

#include <numeric>

namespace varlen::emulator::test {
namespace {

SideArrays side_of(const std::vector<std::int64_t>& lengths, bool paged,
                   const std::function<std::int64_t(std::int64_t)>& below) {
  SideArrays side;
  side.lengths = lengths;
  const std::int64_t form = paged ? 1 : below(3);  // offsets, lengths, both
  side.has_indptr = form != 1;
  side.has_lengths = form != 0;
  side.wide = below(2) == 0;
  side.indptr = {0};
  for (const std::int64_t length : lengths) {
    side.indptr.push_back(side.indptr.back() + length + (form == 2 ? below(20) : 0));
  }
  side.narrow();
  return side;
}

std::int64_t tokens_of(const SideArrays& side) {
  if (side.has_indptr) return side.indptr.back();
  return std::accumulate(side.lengths.begin(), side.lengths.end(), std::int64_t{0});
}

}  // namespace

LengthArrays::LengthArrays(const std::vector<std::int64_t>& query_lengths, const std::vector<std::int64_t>& key_lengths,
                           const std::function<std::int64_t(std::int64_t)>& below) {
  page_size = below(4) == 0 ? 1 + below(64) : 0;
  query = side_of(query_lengths, false, below);
  key = side_of(key_lengths, page_size > 0, below);
  request_count = static_cast<std::int32_t>(query_lengths.size());
}

void LengthArrays::update() {
  query.narrow();
  key.narrow();
}

void LengthArrays::describe(Batch& batch) const {
  batch.query_indptr = query.view(true);
  batch.query_lengths = query.view(false);
  batch.key_indptr = key.view(true);
  batch.key_lengths = key.view(false);
  batch.page_size = page_size;
}

DeviceLengths LengthArrays::on_device() const {
  return {query.indices(true), query.indices(false), key.indices(true), key.indices(false),
          counted_ ? &request_count : nullptr};
}

Limits LengthArrays::limits() const { return {request_count, tokens_of(query), tokens_of(key)}; }

}  // namespace varlen::emulator::test
