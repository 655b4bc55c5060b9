// The lengths of a batch in memory of the device: checked, and made into extents. By all threads of a block.
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/planning_parameters.hpp"
#include "plan/planner.hpp"

namespace varlen::kernel {

VARLEN_DEVICE std::int64_t load_length(const LengthArray& array, std::int64_t index) {
  if (array.wide) return gpu::load_global(static_cast<const std::int64_t*>(array.data) + index);
  return gpu::load_global(static_cast<const std::int32_t*>(array.data) + index);
}

/// Faults of lengths by rank, so that the one which the host would name is the least: by side, then as the host goes
/// through the arrays, then what only limits forbid.
struct FaultRank {
  VARLEN_DEVICE static std::uint64_t of(LengthRule rule, bool key_side, std::int64_t index) {
    const bool of_limits = rule == LengthRule::kMostTokens;
    return std::uint64_t{of_limits} << 63 | std::uint64_t{key_side} << 62 | static_cast<std::uint64_t>(index) << 8 |
           static_cast<std::uint64_t>(rule);
  }
  VARLEN_DEVICE static LengthRule rule(std::uint64_t rank) { return static_cast<LengthRule>(rank & 0xFFU); }
  VARLEN_DEVICE static bool key_side(std::uint64_t rank) { return (rank >> 62 & 1U) != 0; }
  VARLEN_DEVICE static std::int64_t index(std::uint64_t rank) {
    return static_cast<std::int64_t>(rank >> 8 & ((std::uint64_t{1} << 54) - 1));
  }
};

/// As a planner wants them (plan/planner.hpp).
template <class IntType, class Team>
class DeviceRequests {
 public:
  using Int = IntType;
  struct Lengths {
    Int query;
    Int key;
  };

  VARLEN_DEVICE DeviceRequests(const PlanningParameters<Int>& parameters, Team& team)
      : parameters_(parameters), team_(team) {}

  /// Reads, checks and writes the extents. Ends with a barrier.
  VARLEN_DEVICE void take() {
    count_ = parameters_.most_requests;
    if (parameters_.request_count != nullptr) {
      count_ = gpu::load_global(parameters_.request_count);
      if (count_ < 0 || count_ > parameters_.most_requests) {
        fault_ = FaultRank::of(count_ < 0 ? LengthRule::kNegative : LengthRule::kMostRequests, false, 0);
        count_ = 0;
        return;
      }
    }
    query_ = team_.template array<Int>(count_);
    key_ = team_.template array<Int>(count_);
    const auto mark = team_.mark();
    const Side query{parameters_.query, false, sum_up(parameters_.query, false, query_tokens_)};
    const Side key{parameters_.key, true, sum_up(parameters_.key, true, key_tokens_)};
    if (team_.leads()) {
      check_ends(query, query_tokens_);
      check_ends(key, key_tokens_);
    }
    team_.write(parameters_.requests, count_, [&](std::int32_t request) {
      const Piece queries = piece_of(query, request);
      const Piece keys = piece_of(key, request);
      query_.put(request, static_cast<Int>(queries.length));
      key_.put(request, static_cast<Int>(keys.length));
      return RequestExtent{queries.start, queries.length, keys.start, keys.length};
    });
    team_.release(mark);
    team_.sync();
  }

  VARLEN_DEVICE std::int32_t count() const { return count_; }
  // The last offsets, or sums of lengths. The leading thread knows them.
  VARLEN_DEVICE std::int64_t query_tokens() const { return query_tokens_; }
  VARLEN_DEVICE std::int64_t key_tokens() const { return key_tokens_; }
  VARLEN_DEVICE Lengths lengths(std::int32_t request) const { return {query_.at(request), key_.at(request)}; }
  /// The first fault that this thread has found.
  VARLEN_DEVICE std::uint64_t fault() const { return fault_; }

  /// What a fault is about. By one thread.
  VARLEN_DEVICE LengthFault describe(std::uint64_t rank) const {
    const LengthRule rule = FaultRank::rule(rank);
    const bool is_key = FaultRank::key_side(rank);
    const std::int64_t index = FaultRank::index(rank);
    if (count_ == 0 && parameters_.request_count != nullptr) {
      const std::int32_t requests = gpu::load_global(parameters_.request_count);
      if (requests != 0) return {rule, LengthField::kRequests, -1, requests, parameters_.most_requests};
    }
    const LengthSide& side = is_key ? parameters_.key : parameters_.query;
    const LengthField indptr = is_key ? LengthField::kKeyIndptr : LengthField::kQueryIndptr;
    const LengthField lengths = is_key ? LengthField::kKeyLengths : LengthField::kQueryLengths;
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
      default:
        return {rule, lengths, index, load_length(side.lengths, index), 0};
    }
  }

 private:
  template <class T>
  using Array = typename Team::template Array<T>;
  struct Side {
    const LengthSide& arrays;
    bool is_key;
    Array<Int> starts;  // only of requests that lie end to end
  };
  struct Piece {
    std::int64_t start;
    std::int64_t length;
  };

  VARLEN_DEVICE void report(LengthRule rule, bool key_side, std::int64_t index) {
    fault_ = least(fault_, FaultRank::of(rule, key_side, index));
  }

  /// Of a side without offsets: where its requests start, and all of its tokens. A length beyond the limits counts as
  /// one more than they allow.
  VARLEN_DEVICE Array<Int> sum_up(const LengthSide& side, bool key_side, std::int64_t& tokens) {
    Array<Int> starts{};
    if (side.indptr.data != nullptr) return starts;
    starts = team_.template array<Int>(count_);
    tokens = team_.template scan<std::int64_t>(
        count_,
        [&](std::int32_t request) -> std::int64_t {
          return within(load_length(side.lengths, request), side.most_tokens + 1);
        },
        [&](std::int32_t request, std::int64_t before, std::int64_t own) {
          if (before <= side.most_tokens && before + own > side.most_tokens) {
            report(LengthRule::kMostTokens, key_side, request);
          }
          starts.put(request, side.laid_out ? static_cast<Int>(within(before, side.most_tokens)) : 0);
        });
    team_.sync();
    return starts;
  }

  VARLEN_DEVICE void check_ends(const Side& side, std::int64_t& tokens) {
    if (side.arrays.indptr.data == nullptr) return;
    if (load_length(side.arrays.indptr, 0) != 0) report(LengthRule::kFirstOffset, side.is_key, 0);
    tokens = load_length(side.arrays.indptr, count_);
    if (tokens > side.arrays.most_tokens) report(LengthRule::kMostTokens, side.is_key, count_);
  }

  /// Where a request's tokens are. What is wrong is reported and made right, so that planning may go on until all know.
  VARLEN_DEVICE Piece piece_of(const Side& side, std::int32_t request) {
    const LengthSide& arrays = side.arrays;
    Piece piece{0, 0};
    if (arrays.indptr.data != nullptr) {
      piece.start = load_length(arrays.indptr, request);
      const std::int64_t end = load_length(arrays.indptr, request + 1);
      if (end < piece.start) report(LengthRule::kDecreasing, side.is_key, request);
      piece.length =
          static_cast<std::int64_t>(static_cast<std::uint64_t>(end) - static_cast<std::uint64_t>(piece.start));
    } else {
      piece.start = side.starts.at(request);
    }
    if (arrays.lengths.data != nullptr) {
      const std::int64_t length = load_length(arrays.lengths, request);
      if (length < 0) report(LengthRule::kNegative, side.is_key, request);
      if (arrays.indptr.data != nullptr && length > piece.length) {
        report(LengthRule::kBeyondRange, side.is_key, request);
      }
      piece.length = length;
    }
    piece.length = within(piece.length, arrays.most_tokens);
    return piece;
  }

  VARLEN_DEVICE static std::int64_t within(std::int64_t length, std::int64_t most) {
    return greatest<std::int64_t>(0, least(length, most));
  }

  const PlanningParameters<Int>& parameters_;
  Team& team_;
  std::int32_t count_ = 0;
  Array<Int> query_;
  Array<Int> key_;
  std::int64_t query_tokens_ = 0;
  std::int64_t key_tokens_ = 0;
  std::uint64_t fault_ = kNoFault;
};

}  // namespace varlen::kernel
