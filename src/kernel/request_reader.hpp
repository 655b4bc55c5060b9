// The lengths of a batch in memory of the device: checked, made into extents, and kept for the planner. By all threads
// of a block.
#pragma once

#include <cstdint>
#include <type_traits>

#include "gpu/operations.hpp"
#include "kernel/block_team.hpp"
#include "kernel/planning_parameters.hpp"
#include "plan/planner.hpp"

namespace varlen::kernel {

/// Faults of lengths by rank, so that the one which the host would name is the least: by side, then as the host goes
/// through the arrays. Faults that only limits know come after those.
struct FaultRank {
  VARLEN_DEVICE static std::uint64_t of(LengthRule rule, bool of_keys, std::int64_t index) {
    const int after = rule == LengthRule::kMostTokens ? 1 : rule == LengthRule::kMostLength ? 2 : 0;
    return static_cast<std::uint64_t>(after) << 62 | std::uint64_t{of_keys} << 61 |
           static_cast<std::uint64_t>(index) << 8 | static_cast<std::uint64_t>(rule);
  }
  VARLEN_DEVICE static LengthRule rule(std::uint64_t rank) { return static_cast<LengthRule>(rank & 0xFFU); }
  VARLEN_DEVICE static bool of_keys(std::uint64_t rank) { return (rank >> 61 & 1U) != 0; }
  VARLEN_DEVICE static std::int64_t index(std::uint64_t rank) {
    return static_cast<std::int64_t>(rank >> 8 & ((std::uint64_t{1} << 53) - 1));
  }
};

VARLEN_DEVICE std::int64_t load_length(const LengthArray& array, std::int64_t index) {
  if (array.wide) return gpu::load_global(static_cast<const std::int64_t*>(array.data) + index);
  return gpu::load_global(static_cast<const std::int32_t*>(array.data) + index);
}

/// As a planner wants them (plan/planner.hpp).
template <class IntType, class Team>
class RequestReader {
 public:
  using Int = IntType;
  struct Lengths {
    Int query;
    Int key;
  };
  /// Two numbers of 32 bits, of which a side's tokens are the range: what most batches have.
  struct Range {
    std::int32_t begin;
    std::int32_t end;
    VARLEN_DEVICE std::uint32_t length() const {
      return static_cast<std::uint32_t>(end) - static_cast<std::uint32_t>(begin);
    }
  };
  struct Ranges {
    Range query;
    Range key;
  };

  VARLEN_DEVICE RequestReader(const PlanningParameters<Int>& parameters, Team& team)
      : parameters_(parameters), team_(team) {}

  /// Before anything is read: how many requests there are, and where they start if only lengths tell.
  VARLEN_DEVICE void prepare() {
    count_ = parameters_.most_requests;
    if (parameters_.request_count != nullptr) {
      count_ = gpu::load_global(parameters_.request_count);
      if (count_ < 0 || count_ > parameters_.most_requests) {
        fault_ = FaultRank::of(count_ < 0 ? LengthRule::kNegative : LengthRule::kMostRequests, false, 0);
        count_ = 0;
        return;
      }
    }
    queries_ = team_.template array<Int>(count_);
    keys_ = team_.template array<Int>(count_);
    choices_ = team_.template array<Int>(count_);
    has_ranges_ = is_range(parameters_.query) && is_range(parameters_.key);
    prepare_side(parameters_.query, false);
    prepare_side(parameters_.key, true);
  }

  VARLEN_DEVICE std::int32_t count() const { return count_; }

  /// What read() wants of a request, if that is ranges; nothing waits for it here.
  VARLEN_DEVICE Ranges load(std::int32_t request) const {
    if (!has_ranges_) return {};
    return {load_range(parameters_.query, request), load_range(parameters_.key, request)};
  }
  /// Reads and checks a request's lengths and writes its extent. What is wrong is reported and made right, so that
  /// planning may go on until all threads know.
  VARLEN_DEVICE Lengths read(std::int32_t request, const Ranges& ranges) {
    RequestExtent extent{ranges.query.begin, ranges.query.length(), ranges.key.begin, ranges.key.length()};
    if (!has_ranges_ || !is_right(parameters_.query, ranges.query) || !is_right(parameters_.key, ranges.key)) {
      const Numbers queries = numbers(parameters_.query, false, request);
      const Numbers keys = numbers(parameters_.key, true, request);
      extent = {queries.begin, check(parameters_.query, false, request, queries), keys.begin,
                check(parameters_.key, true, request, keys)};
    } else if (request == 0 || request == count_ - 1) {
      check_ends(parameters_.query, false, request, ranges.query.begin, ranges.query.end);
      check_ends(parameters_.key, true, request, ranges.key.begin, ranges.key.end);
    }
    const Lengths lengths{static_cast<Int>(extent.query_length), static_cast<Int>(extent.key_length)};
    queries_.put(request, lengths.query);
    keys_.put(request, lengths.key);
    write_extent(request, extent);
    return lengths;
  }
  VARLEN_DEVICE void keep(std::int32_t request, const TileChoice<Int>& choice) {
    choices_.put(request, choice.tiles * kCuts + choice.cut);
  }
  /// The first fault that this thread has found.
  VARLEN_DEVICE std::uint64_t fault() const { return fault_; }

  // Of a request with queries, once it has been read and kept.
  VARLEN_DEVICE TileChoice<Int> choice(std::int32_t request) const {
    const auto both = static_cast<std::make_unsigned_t<Int>>(choices_.at(request));
    return {static_cast<Int>(both / kCuts), static_cast<std::int32_t>(both % kCuts)};
  }
  VARLEN_DEVICE Int key_length(std::int32_t request) const { return keys_.at(request); }
  VARLEN_DEVICE TilesOf<Int> tiles(std::int32_t request) const {
    return parameters_.problem.selector.tiles(choice(request), queries_.at(request), keys_.at(request));
  }

  /// What a fault is about. By one thread.
  VARLEN_DEVICE LengthFault describe(std::uint64_t rank) const {
    const LengthRule rule = FaultRank::rule(rank);
    const bool of_keys = FaultRank::of_keys(rank);
    const std::int64_t index = FaultRank::index(rank);
    if (count_ == 0 && parameters_.request_count != nullptr) {
      const std::int32_t requests = gpu::load_global(parameters_.request_count);
      if (requests != 0) return {rule, LengthField::kRequests, -1, requests, parameters_.most_requests};
    }
    const LengthSide& side = of_keys ? parameters_.key : parameters_.query;
    const LengthField indptr = of_keys ? LengthField::kKeyIndptr : LengthField::kQueryIndptr;
    const LengthField lengths = of_keys ? LengthField::kKeyLengths : LengthField::kQueryLengths;
    switch (rule) {
      case LengthRule::kFirstOffset:
        return {rule, indptr, 0, load_length(side.indptr, 0), 0};
      case LengthRule::kDecreasing:
        return {rule, indptr, index + 1, load_length(side.indptr, index + 1), load_length(side.indptr, index)};
      case LengthRule::kBeyondRange:
        return {rule, lengths, index, load_length(side.lengths, index),
                load_length(side.indptr, index + 1) - load_length(side.indptr, index)};
      case LengthRule::kMostTokens:
        if (side.indptr.data != nullptr) {
          return {rule, indptr, index, load_length(side.indptr, index), side.most_tokens};
        }
        return {rule, lengths, index, load_length(side.lengths, index), side.most_tokens};
      case LengthRule::kMostLength:
        if (side.lengths.data == nullptr) {
          return {rule, lengths, index, load_length(side.indptr, index + 1) - load_length(side.indptr, index),
                  side.most_length};
        }
        return {rule, lengths, index, load_length(side.lengths, index), side.most_length};
      default:
        return {rule, lengths, index, load_length(side.lengths, index), 0};
    }
  }

 private:
  template <class T>
  using Array = typename Team::template Array<T>;
  static constexpr std::int32_t kCuts = TileSelectorOf<Int>::kCuts;

  /// One side's numbers of a request: where its tokens are and how many it has.
  struct Numbers {
    std::int64_t begin;
    std::int64_t end;
    std::int64_t length;
    VARLEN_DEVICE std::int64_t range() const {
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(begin));
    }
  };

  VARLEN_DEVICE void report(LengthRule rule, bool of_keys, std::int64_t index) {
    fault_ = least(fault_, FaultRank::of(rule, of_keys, index));
  }

  template <class Value>
  VARLEN_DEVICE static Value within(Value length, std::type_identity_t<Value> most) {
    return greatest<Value>(0, least(length, most));
  }

  /// Where requests lie end to end, their starts go to the extents, for read(). Offsets are left to it, which has the
  /// first and the last one in hand, unless there are no requests.
  VARLEN_DEVICE void prepare_side(const LengthSide& side, bool of_keys) {
    if (side.indptr.data != nullptr) {
      if (count_ > 0 || !team_.leads()) return;
      const std::int64_t only = load_length(side.indptr, 0);
      check_first(of_keys, only);
      take_last(side, of_keys, only);
      return;
    }
    const std::int64_t tokens = team_.template scan<std::int64_t>(
        count_,
        [&](std::int32_t request) -> std::int64_t {
          // One beyond the limits counts as one more than they allow: the sum fits.
          return within(load_length(side.lengths, request), side.most_tokens + 1);
        },
        [&](std::int32_t request, std::int64_t before, std::int64_t own) {
          if (before <= side.most_tokens && before + own > side.most_tokens) {
            report(LengthRule::kMostTokens, of_keys, request);
          }
          if (side.laid_out) gpu::store_global(start_of(request, of_keys), before);
        });
    if (team_.leads()) note_tokens(of_keys, tokens);
    team_.sync();
  }
  VARLEN_DEVICE void check_first(bool of_keys, std::int64_t offset) {
    if (offset != 0) report(LengthRule::kFirstOffset, of_keys, 0);
  }
  VARLEN_DEVICE void take_last(const LengthSide& side, bool of_keys, std::int64_t offset) {
    if (offset > side.most_tokens) report(LengthRule::kMostTokens, of_keys, count_);
    note_tokens(of_keys, offset);
  }
  VARLEN_DEVICE void check_ends(const LengthSide& side, bool of_keys, std::int32_t request, std::int64_t begin,
                                std::int64_t end) {
    if (side.indptr.data == nullptr) return;
    if (request == 0) check_first(of_keys, begin);
    if (request == count_ - 1) take_last(side, of_keys, end);
  }
  VARLEN_DEVICE void note_tokens(bool of_keys, std::int64_t tokens) const {
    gpu::store_global(of_keys ? &parameters_.status->key_tokens : &parameters_.status->query_tokens, tokens);
  }
  VARLEN_DEVICE std::int64_t* start_of(std::int32_t request, bool of_keys) const {
    RequestExtent& extent = parameters_.requests[request];
    return of_keys ? &extent.key_start : &extent.query_start;
  }

  /// Offsets alone, or lengths alone of what begins at 0.
  VARLEN_DEVICE static bool is_range(const LengthSide& side) {
    if (side.indptr.data != nullptr) return !side.indptr.wide && side.lengths.data == nullptr;
    return !side.lengths.wide && !side.laid_out;
  }
  VARLEN_DEVICE static Range load_range(const LengthSide& side, std::int32_t request) {
    if (side.indptr.data == nullptr) {
      return {0, gpu::load_global(static_cast<const std::int32_t*>(side.lengths.data) + request)};
    }
    const auto* const offsets = static_cast<const std::int32_t*>(side.indptr.data) + request;
    return {gpu::load_global(offsets), gpu::load_global(offsets + 1)};
  }
  VARLEN_DEVICE static bool is_right(const LengthSide& side, const Range& range) {
    return range.begin <= range.end && range.length() <= static_cast<std::uint64_t>(side.most_length);
  }
  VARLEN_DEVICE Numbers numbers(const LengthSide& side, bool of_keys, std::int32_t request) const {
    Numbers numbers{0, INT64_MAX, 0};
    if (side.indptr.data != nullptr) {
      numbers.begin = load_length(side.indptr, request);
      numbers.end = load_length(side.indptr, request + 1);
      numbers.length = numbers.range();
    } else if (side.laid_out) {
      numbers.begin = gpu::load_global(start_of(request, of_keys));
    }
    if (side.lengths.data != nullptr) numbers.length = load_length(side.lengths, request);
    return numbers;
  }
  /// The length, right or made right.
  VARLEN_DEVICE Int check(const LengthSide& side, bool of_keys, std::int32_t request, const Numbers& numbers) {
    using Unsigned = std::uint64_t;  // what is negative is too much as well
    const bool is_end = request == 0 || request == count_ - 1;
    if (is_end || numbers.range() < 0 || numbers.length > numbers.range() ||
        static_cast<Unsigned>(numbers.length) > static_cast<Unsigned>(side.most_length)) {
      return static_cast<Int>(check_each(side, of_keys, request, numbers));
    }
    return static_cast<Int>(numbers.length);
  }
  VARLEN_DEVICE std::int64_t check_each(const LengthSide& side, bool of_keys, std::int32_t request,
                                        const Numbers& numbers) {
    check_ends(side, of_keys, request, numbers.begin, numbers.end);
    if (side.indptr.data != nullptr && numbers.end < numbers.begin) report(LengthRule::kDecreasing, of_keys, request);
    if (side.lengths.data != nullptr) {
      if (numbers.length < 0) report(LengthRule::kNegative, of_keys, request);
      if (numbers.length > numbers.range()) report(LengthRule::kBeyondRange, of_keys, request);
    }
    if (numbers.length > side.most_length) report(LengthRule::kMostLength, of_keys, request);
    return within(numbers.length, side.most_length);
  }

  VARLEN_DEVICE void write_extent(std::int32_t request, const RequestExtent& extent) const {
    struct alignas(16) Half {
      std::int64_t start;
      std::int64_t length;
    };
    static_assert(2 * sizeof(Half) == sizeof(RequestExtent));
    auto* const halves = reinterpret_cast<Half*>(parameters_.requests + request);
    gpu::store_global(halves, Half{extent.query_start, extent.query_length});
    gpu::store_global(halves + 1, Half{extent.key_start, extent.key_length});
  }

  const PlanningParameters<Int>& parameters_;
  Team& team_;
  std::int32_t count_ = 0;
  bool has_ranges_ = false;
  Array<Int> queries_;
  Array<Int> keys_;
  Array<Int> choices_;  // tiles × kCuts + cut
  std::uint64_t fault_ = kNoFault;
};

}  // namespace varlen::kernel
