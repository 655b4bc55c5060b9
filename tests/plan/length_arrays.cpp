#include "length_arrays.hpp"

#include <numeric>

namespace varlen::plan_test {
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

void LengthArrays::spoil(const std::function<std::int64_t(std::int64_t)>& below) {
  SideArrays& side = below(2) == 0 ? query : key;
  const bool of_indptr = side.has_indptr && (!side.has_lengths || below(2) == 0);
  std::vector<std::int64_t>& numbers = of_indptr ? side.indptr : side.lengths;
  if (numbers.empty()) return;
  const std::int64_t places = std::ssize(numbers);
  std::int64_t& number = numbers[static_cast<std::size_t>(below(4) == 0 ? places - 1 : below(places))];
  const std::int64_t by = 1 + below(std::int64_t{1} << below(20));
  number = below(4) == 0 ? -by : number + (below(2) == 0 ? by : -by);
  side.narrow();
}

void LengthArrays::describe(Batch& batch) const {
  batch.query_indptr = query.view(true);
  batch.query_lengths = query.view(false);
  batch.key_indptr = key.view(true);
  batch.key_lengths = key.view(false);
  batch.page_size = page_size;
}

DeviceRequests LengthArrays::on_device(const Upload& upload) const {
  const auto indices = [&](const SideArrays& side, bool of_indptr) -> DeviceIndices {
    const IndexView host = side.view(of_indptr);
    if (!host.present()) return {};
    static const std::int64_t kNothing = 0;
    const void* const data = upload(host.size() > 0 ? host.data() : &kNothing, host.size() * (side.wide ? 8 : 4));
    if (side.wide) return static_cast<const std::int64_t*>(data);
    return static_cast<const std::int32_t*>(data);
  };
  DeviceRequests lengths{indices(query, true), indices(query, false), indices(key, true), indices(key, false)};
  if (counted_) {
    lengths.request_count = static_cast<const std::int32_t*>(upload(&request_count, sizeof(request_count)));
  }
  return lengths;
}

Limits LengthArrays::limits() const { return {request_count, tokens_of(query), tokens_of(key)}; }

}  // namespace varlen::plan_test
