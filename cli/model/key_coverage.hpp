// Which keys have been read before, so that the L2 cache has them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>

namespace varlen::cli {

/// Ranges of keys of one (request, KV head), joined where they touch.
class KeyCoverage {
 public:
  /// How many of [begin, end) are new; afterwards all of them are known.
  std::int64_t add(std::int64_t begin, std::int64_t end) {
    if (begin >= end) return 0;
    std::int64_t fresh = end - begin;
    auto range = ranges_.upper_bound(begin);
    if (range != ranges_.begin() && std::prev(range)->second >= begin) --range;
    while (range != ranges_.end() && range->first <= end) {
      fresh -= std::max<std::int64_t>(0, std::min(end, range->second) - std::max(begin, range->first));
      begin = std::min(begin, range->first);
      end = std::max(end, range->second);
      range = ranges_.erase(range);
    }
    ranges_[begin] = end;
    return fresh;
  }

 private:
  std::map<std::int64_t, std::int64_t> ranges_;  // begin → end
};

}  // namespace varlen::cli
