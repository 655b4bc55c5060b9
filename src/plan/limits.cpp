#include "plan/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <string>

#include "batch/length_fault.hpp"
#include "plan/planner.hpp"

namespace varlen {
namespace {

[[noreturn]] void refuse_limits(const char* field, std::int64_t value, const std::string& rule) {
  throw Error(ErrorCode::kUnsupported, field, Error::kNoIndex, fmt::format("{}", value),
              fmt::format("{} = {} {}", field, value, rule));
}

void check_limits(const Limits& limits) {
  constexpr std::int64_t kMostRequests = std::int64_t{1} << 22;  // a block's sort numbers so many
  constexpr std::int64_t kMostTokens = std::int64_t{1} << 48;
  const auto check = [](const char* field, std::int64_t value, std::int64_t most) {
    if (value < 0) {
      throw Error(ErrorCode::kInvalidArgument, field, Error::kNoIndex, fmt::format("{}", value),
                  fmt::format("{} = {} must not be negative", field, value));
    }
    if (value > most) refuse_limits(field, value, fmt::format("is more than {}, the most for plans on a device", most));
  };
  check("limits.requests", limits.requests, kMostRequests);
  check("limits.query_tokens", limits.query_tokens, kMostTokens);
  check("limits.key_tokens", limits.key_tokens, kMostTokens);
  check("limits.query_length", limits.query_length, kMostTokens);
  check("limits.key_length", limits.key_length, kMostTokens);
}

double as_double(std::int64_t value) { return static_cast<double>(value); }

/// Tiles of a request that needs many. Those of others have no more chunks of heads each.
RequestTiles tallest_tiles(const PlanProblem<std::int64_t>& problem) {
  constexpr std::int64_t kMany = std::int64_t{1} << 40;
  return problem.selector.select(kMany, 0);
}

/// Items of requests that have so many queries together, if none is cut. A request has one tile, and one more for each
/// time that its queries fill one of the tallest shape.
double most_items(const PlanProblem<std::int64_t>& problem, double requests, double query_tokens) {
  const RequestTiles tallest = tallest_tiles(problem);
  return as_double(problem.kv_heads) * tallest.head_chunks *
         (requests + query_tokens / as_double(tallest.tile_tokens.value));
}

/// Without batch_invariant: what the planner lists at most (planner.hpp), and one more part for each share but the
/// last.
void size_lists(const PlanProblem<std::int64_t>& problem, std::int64_t tile_rows, PlanSizes& sizes) {
  const std::int64_t workers = problem.workers;
  sizes.listed_tiles = std::min(sizes.items, (kFrontWaves + 1) * workers - 1);
  sizes.listed = sizes.listed_tiles + workers - 1;
  sizes.merges = std::min(sizes.listed_tiles, workers - 1);
  sizes.partial_rows = 2 * (workers - 1) * tile_rows;
}

/// With batch_invariant tiles of more than kInvariantPartBlocks are cut into parts of at least so many. A request's
/// parts of split tiles are at most twice the shares: together they cost no more than the request, each as much as a
/// share of it but for the last one of each tile. And a tile's are at most three times its whole kInvariantPartBlocks.
void size_own_lists(const PlanProblem<std::int64_t>& problem, const Limits& limits, std::int64_t tile_rows,
                    PlanSizes& sizes) {
  const double pieces =
      as_double(limits.key_tokens) / (as_double(kInvariantPartBlocks) * as_double(problem.key_block.value));
  const double requests = std::min(as_double(limits.requests), pieces);  // that are long enough
  const double tiles = most_items(problem, requests, as_double(limits.query_tokens));
  const double per_request = 2.0 * problem.invariant_shares;
  // Σ min(2 shares, 3 tiles · pieces) over the requests is at most its Σ of geometric means, and that is at most the
  // geometric mean of the sums (Cauchy and Schwarz).
  const double parts =
      std::min({requests * per_request, 3 * tiles * pieces, std::sqrt(per_request * 3 * tiles * pieces)});
  constexpr double kMostListed = 0x1p30;
  if (tiles + parts > kMostListed) {
    refuse_limits("limits.key_tokens", limits.key_tokens, "with batch_invariant may list more than 2^30 items");
  }
  sizes.listed_tiles = std::min(sizes.items, static_cast<std::int64_t>(std::ceil(tiles)));
  const auto split_parts = static_cast<std::int64_t>(std::ceil(parts));
  sizes.listed = sizes.listed_tiles + split_parts;
  sizes.merges = std::min(sizes.listed_tiles, split_parts / 2);
  sizes.partial_rows = split_parts * tile_rows;
}

/// Of one side of the requests.
struct LimitedSide {
  LengthField indptr_field;
  LengthField lengths_field;
  const IndexView* indptr;
  std::int64_t RequestExtent::*length;
  std::int64_t tokens;  // of the batch
  std::int64_t most_tokens;
  std::int64_t most_length;
};

void check_side(const RaggedBatch& batch, const LimitedSide& side) {
  std::int64_t sum = 0;
  for (std::int64_t r = 0; r < std::ssize(batch.requests); ++r) {
    const std::int64_t length = batch.requests[static_cast<std::size_t>(r)].*side.length;
    sum += length;
    if (!side.indptr->present() && sum > side.most_tokens) {
      refuse({LengthRule::kMostTokens, side.lengths_field, r, length, side.most_tokens});
    }
    if (length > side.most_length) refuse({LengthRule::kMostLength, side.lengths_field, r, length, side.most_length});
  }
  if (side.tokens > side.most_tokens) {
    refuse({LengthRule::kMostTokens, side.indptr_field, std::ssize(batch.requests), side.tokens, side.most_tokens});
  }
}

}  // namespace

void check_within(const RaggedBatch& batch, const Requests& requests, const Limits& limits) {
  const Limits most = resolved(limits);
  if (std::ssize(batch.requests) > most.requests) {
    refuse({LengthRule::kMostRequests, LengthField::kRequests, -1, std::ssize(batch.requests), most.requests});
  }
  check_side(batch, {LengthField::kQueryIndptr, LengthField::kQueryLengths, &requests.query_indptr,
                     &RequestExtent::query_length, batch.query_tokens, most.query_tokens, most.query_length});
  check_side(batch, {LengthField::kKeyIndptr, LengthField::kKeyLengths, &requests.key_indptr,
                     &RequestExtent::key_length, batch.key_tokens, most.key_tokens, most.key_length});
}

Limits resolved(const Limits& limits) {
  check_limits(limits);
  Limits result = limits;
  const auto resolve = [](std::int64_t length, std::int64_t tokens) {
    return length == 0 ? tokens : std::min(length, tokens);
  };
  result.query_length = resolve(limits.query_length, limits.query_tokens);
  result.key_length = resolve(limits.key_length, limits.key_tokens);
  return result;
}

PlanSizes plan_sizes(const PlanProblem<std::int64_t>& problem, const PlanTarget& target, const Limits& limits) {
  check_costs(problem, limits);
  PlanSizes sizes;
  sizes.requests = limits.requests;
  if (limits.requests == 0 || limits.query_tokens == 0) return sizes;
  const double items = most_items(problem, std::min(as_double(limits.requests), as_double(limits.query_tokens)),
                                  as_double(limits.query_tokens));
  sizes.items = static_cast<std::int64_t>(std::ceil(items));
  const std::int64_t tile_rows = target.tile_shapes.front().rows;
  if (problem.batch_invariant) {
    size_own_lists(problem, limits, tile_rows, sizes);
  } else {
    size_lists(problem, tile_rows, sizes);
  }
  return sizes;
}

bool is_narrow(const PlanProblem<std::int64_t>& problem, const PlanSizes& sizes, const Limits& limits) {
  constexpr double kMost = 0x1p31;
  constexpr double kMostTiles = kMost / TileSelector::kCuts;  // kept together with their cut
  const double tiles = 1 + as_double(limits.query_length) / as_double(tallest_tiles(problem).tile_tokens.value);
  const double blocks = 1 + as_double(limits.key_length) / as_double(problem.key_block.value);
  const double tile_cost = as_double(problem.item_cost) + blocks * as_double(problem.most_block_cost);
  return limits.query_tokens <= kNarrowTokens && limits.key_tokens <= kNarrowTokens && as_double(sizes.items) < kMost &&
         tiles < kMostTiles && tiles * blocks < kMost && tile_cost < kMost;
}

}  // namespace varlen
