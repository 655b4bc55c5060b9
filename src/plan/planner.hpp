// From lengths to an ordered, balanced list of work items in O(requests + workers): one source for the host, where a
// team is one thread, and for a GPU, where it is a block.
//
//   order      each request's tiles, their number and cost, in closed form; requests by their longest tile, longest
//              first (counting sort)
//   balance    what is listed one by one because, drawn in order, it would not leave the workers level:
//                - tiles longer than a worker's fair share, and
//                - the last incomplete wave of tiles, or everything if there are only a few tiles for each worker
//   index      runs of what is not listed, with prefix sums, so that the cursor finds any item
//   list       the listed tiles, cut where it pays (level.hpp)
//
// Integer arithmetic only, and no step depends on how another thread's went: every team makes the same bytes.
#pragma once

#include <cstdint>

#include "plan/cursor.hpp"
#include "plan/level.hpp"
#include "plan/problem.hpp"

namespace varlen {

/// A coarse end of the order is levelled together with at least this many whole waves, and at most …
inline constexpr std::int64_t kTailWaves = 2;
inline constexpr std::int64_t kEndWaves = 4;
/// … unless the coarse items at the beginning of the order are more than this many for each worker.
inline constexpr std::int64_t kFrontWaves = 8;

/// Imbalance that is let pass without listing anything: such a part of a worker's fair share.
inline constexpr Cost kSlackShare = 64;

/// With batch_invariant a part has at least this many key blocks.
inline constexpr std::int64_t kInvariantPartBlocks = 32;

/// What is wrong with the lengths, by rank: the least is reported.
inline constexpr std::uint64_t kNoFault = ~std::uint64_t{0};

/// `Requests` tells lengths and counts faults, `Output` is where the plan goes.
template <class Team, class Requests, class Output>
class Planner {
  using Int = typename Requests::Int;
  template <class T>
  using Array = typename Team::template Array<T>;

 public:
  VARLEN_PLAN Planner(Team& team, const PlanProblem& problem, Requests& requests, Output& output)
      : team_(team), problem_(problem), requests_(requests), output_(output), rules_(tile_rules<Int>(problem)) {}

  /// By every thread of the team. No counts at all if a length is wrong or the output has no room.
  VARLEN_PLAN PlanCounts plan() {
    order();
    if (totals_.fault != kNoFault) return {};
    if (problem_.batch_invariant) {
      cut_by_own_length();
    } else {
      balance();
    }
    PlanCounts counts{};
    counts.runs = index();
    counts.run_items = run_items_;
    if (listing_ != Listing::kNone && !list(counts)) return {};
    return counts;
  }

  // For the leveller: tile `index` of those that are listed, and the run that it was in.

  VARLEN_PLAN std::int32_t listed_run(std::int32_t index) const {
    const Int item = listed_begin_ + index;
    return last_at_or_below(begins_, listed_runs_, item);
  }
  VARLEN_PLAN WorkItem listed_tile(std::int32_t index, std::int32_t run) const {
    const std::int32_t request = order_.at(run);
    const TilesOf<Int> tiles = tiles_of_request(request);
    const Int offset = listed_begin_ + index - begins_.at(run);
    const std::int32_t heads = listing_ == Listing::kEnd ? heads_per_section(tiles.key_length) : problem_.kv_heads;
    return tile_at(rules_, tiles, request, tiles.tiles, heads, offset);
  }
  /// With batch_invariant: key blocks of each part of a tile of this run.
  VARLEN_PLAN std::int64_t part_blocks(std::int32_t run, Cost block_cost) const {
    const Cost share = ceil_div<Cost>(costs_.at(order_.at(run)), problem_.workers);
    return greatest(kInvariantPartBlocks, ceil_div<Cost>(share, block_cost));
  }

 private:
  /// Of all requests.
  struct Totals {
    Cost cost;
    std::int64_t items;
    Cost longest;  // tile
    std::uint64_t fault;
  };
  /// Of one request's tiles.
  struct Work {
    Cost longest;  // of one tile
    Cost cost;     // of all
  };

  VARLEN_PLAN TilesOf<Int> tiles_of_request(std::int32_t request) const {
    const auto lengths = requests_.lengths(request);
    return problem_.selector.select(lengths.query, lengths.key);
  }

  VARLEN_PLAN Int items_per_tile(const TilesOf<Int>& tiles) const {
    return static_cast<Int>(problem_.kv_heads) * tiles.head_chunks;
  }

  /// Requests with queries by the class of their longest tile, longest first: order_. Their costs: costs_.
  VARLEN_PLAN void order() {
    const std::int32_t count = requests_.count();
    costs_ = team_.template array<Cost>(count);
    order_ = team_.template array<std::int32_t>(count);
    Totals totals{0, 0, 0, kNoFault};
    runs_ = team_.stable_sort(
        count, problem_.cost_classes,
        [&](std::int32_t request) -> std::int32_t {
          const auto lengths = requests_.read(request);
          if (lengths.query == 0) return -1;
          const TilesOf<Int> tiles = problem_.selector.select(lengths.query, lengths.key);
          const Work work = work_of(tiles);
          costs_.put(request, work.cost);
          totals.cost += work.cost;
          totals.items += std::int64_t{items_per_tile(tiles)} * tiles.tiles;
          totals.longest = greatest(totals.longest, work.longest);
          return problem_.cost_classes - 1 - cost_class(work.longest);
        },
        [&](std::int32_t request, std::int32_t place) { order_.put(place, request); });
    totals.fault = requests_.fault();
    totals_ = team_.combine(totals, [](const Totals& a, const Totals& b) {
      return Totals{a.cost + b.cost, a.items + b.items, greatest(a.longest, b.longest), least(a.fault, b.fault)};
    });
  }

  VARLEN_PLAN Work work_of(const TilesOf<Int>& tiles) const {
    const Int last_blocks = tile_blocks(tiles, tiles.tiles - 1);
    const Cost last = problem_.item_cost + last_blocks * problem_.block_cost[tiles.tail_shape];
    Work work{last, last};
    if (tiles.tiles > 1) {
      const Cost block_cost = problem_.block_cost[tiles.main_shape];
      work.longest = problem_.item_cost + longest_tile_blocks(tiles, rules_.mask, rules_.key_block) * block_cost;
      const std::int64_t blocks = total_blocks(tiles, rules_.mask, rules_.key_block) - last_blocks;
      work.cost += (tiles.tiles - 1) * problem_.item_cost + blocks * block_cost;
    }
    work.cost *= items_per_tile(tiles);
    return work;
  }

  VARLEN_PLAN Int tile_blocks(const TilesOf<Int>& tiles, Int tile) const {
    return block_count(tile_keys(tiles, rules_.mask, rules_.key_block, tile), rules_.key_block);
  }

  /// KV heads whose keys and values fit half of L2 together.
  VARLEN_PLAN std::int32_t heads_per_section(Int key_length) const {
    if (key_length <= problem_.whole_section_keys) return problem_.kv_heads;
    return static_cast<std::int32_t>(
        greatest<std::int64_t>(1, quotient<std::int64_t>(problem_.section_keys, key_length)));
  }

  /// Items drawn whole and in order level by themselves as long as each is short beside what is drawn after it: when an
  /// item is drawn, every worker has been busy until then, so no worker ends later than the mean by more than `slack`
  /// if
  ///     cost of the item ≤ (its own and all later cost) / workers + slack.
  /// Items that break this rule are coarse. They are listed, longest first, and cut where that pays.
  VARLEN_PLAN void balance() {
    const std::int64_t workers = problem_.workers;
    const Coarse coarse = find_coarse();
    if (coarse.last_run < 0) return;

    // Whole waves of coarse items leave all workers at about the same time; what is listed begins after one.
    const std::int64_t all = totals_.items;
    std::int64_t end_items =
        least(all, greatest(items_after(coarse.first_run) + coarse.first_items, kTailWaves * workers));
    end_items += (all - end_items) % workers;
    if (end_items <= kEndWaves * workers && all > kEndWaves * workers) {
      list_end(end_items);
      return;
    }
    if (visible_items_to(coarse.last_run) <= kFrontWaves * workers) {
      listing_ = Listing::kFront;
      listed_runs_ = coarse.last_run + 1;
    } else {
      list_end(least(end_items, kFrontWaves * workers + all % workers));
    }
  }

  VARLEN_PLAN void list_end(std::int64_t items) {
    listing_ = Listing::kEnd;
    listed_items_ = items;
  }

  /// The runs with coarse items, and how many items of the first run, from its first coarse one on. Judged for each run
  /// at three of its items: the first and the last of its last section of heads, and the one between them at which a
  /// cost that falls evenly is largest beside what follows.
  struct Coarse {
    std::int32_t last_run;  // −1: none
    std::int32_t first_run;
    std::int64_t first_items;
  };
  VARLEN_PLAN Coarse find_coarse() {
    const std::int64_t workers = problem_.workers;
    const Cost slack = ceil_div<Cost>(totals_.cost, workers) / kSlackShare * workers;
    Coarse coarse{-1, runs_, 0};
    team_.template scan_until<Cost>(
        runs_, [&](std::int32_t i) { return costs_.at(order_.at(runs_ - 1 - i)); },
        [&](std::int32_t i, Cost later, Cost /*own*/) {
          const std::int64_t items = coarse_items(order_.at(runs_ - 1 - i), later + slack);
          if (items == 0) return;
          coarse.last_run = greatest(coarse.last_run, runs_ - 1 - i);
          coarse.first_run = runs_ - 1 - i;  // i rises
          coarse.first_items = items;
        },
        // Before that, nothing can be coarse.
        [&](Cost later) { return later + slack >= workers * totals_.longest; });
    return team_.combine(coarse, [](const Coarse& a, const Coarse& b) {
      const Coarse& first = a.first_run < b.first_run ? a : b;
      return Coarse{greatest(a.last_run, b.last_run), first.first_run, first.first_items};
    });
  }

  /// How many of the request's items come from the first coarse one on, if `later` is the cost after them; 0: none is.
  VARLEN_PLAN std::int64_t coarse_items(std::int32_t request, Cost later) const {
    const std::int64_t workers = problem_.workers;
    if (later >= workers * totals_.longest) return 0;
    const TilesOf<Int> tiles = tiles_of_request(request);
    const Cost block_cost = problem_.block_cost[tiles.main_shape];
    const Cost longest = work_of(tiles).longest;
    const std::int64_t section_heads = (problem_.kv_heads - 1) % heads_per_section(tiles.key_length) + 1;
    const std::int64_t width = section_heads * tiles.head_chunks;  // items of one tile
    const std::int64_t visible = tiles.tiles - blind_tiles(tiles, rules_.mask);
    const Cost shortest = visible == 0 ? problem_.item_cost : tile_cost(tiles, tiles.tiles - visible);
    // A single tile too short to be cut gains nothing from being listed: the runs are in order already.
    const std::int64_t longest_blocks = quotient<Cost>(longest - problem_.item_cost, block_cost);
    if (visible <= 1 && longest_blocks < 2 * least_part_blocks(problem_, block_cost)) return 0;
    const std::int64_t ranks[] = {visible - 1, least(visible - 1, quotient<std::int64_t>(workers, width)), 0};
    for (const std::int64_t rank : ranks) {  // rank 0: the last visible tile of the section to be drawn
      if (rank < 0) continue;
      const Cost cost = shortest + (visible <= 1 ? 0 : quotient<Cost>((longest - shortest) * rank, visible - 1));
      const Cost own = width * ((rank + 1) * (cost + shortest) / 2);
      if (workers * cost > own + later) return greatest((rank + 1) * width, workers);
    }
    return 0;
  }

  VARLEN_PLAN Cost tile_cost(const TilesOf<Int>& tiles, Int tile) const {
    return problem_.item_cost + tile_blocks(tiles, tile) * problem_.block_cost[tile_shape(tiles, tile)];
  }

  template <class Items>
  VARLEN_PLAN std::int64_t sum_of_runs(std::int32_t begin, std::int32_t end, const Items& items) {
    std::int64_t sum = 0;
    team_.for_each(end - begin, [&](std::int32_t i) { sum += items(tiles_of_request(order_.at(begin + i))); });
    return team_.combine(sum, [](std::int64_t a, std::int64_t b) { return a + b; });
  }
  VARLEN_PLAN std::int64_t items_after(std::int32_t run) {
    return sum_of_runs(run + 1, runs_,
                       [&](const TilesOf<Int>& tiles) { return std::int64_t{items_per_tile(tiles)} * tiles.tiles; });
  }
  VARLEN_PLAN std::int64_t visible_items_to(std::int32_t run) {
    return sum_of_runs(0, run + 1, [&](const TilesOf<Int>& tiles) {
      return std::int64_t{items_per_tile(tiles)} * (tiles.tiles - blind_tiles(tiles, rules_.mask));
    });
  }

  /// batch_invariant: a request's tiles are cut by a length that only the request itself and the target decide.
  VARLEN_PLAN void cut_by_own_length() {
    listing_ = Listing::kOwn;
    listed_runs_ = runs_;
    own_tiles_ = team_.template array<Int>(runs_);
    team_.for_each(runs_, [&](std::int32_t run) {
      const TilesOf<Int> tiles = tiles_of_request(order_.at(run));
      own_tiles_.put(run, first_tile_above(tiles, part_blocks(run, problem_.block_cost[tiles.main_shape])));
    });
    team_.sync();
  }

  /// The first tile with more key blocks than `blocks`, if tiles grow towards the end, as they do up to block
  /// alignment.
  VARLEN_PLAN Int first_tile_above(const TilesOf<Int>& tiles, std::int64_t blocks) const {
    if (longest_tile_blocks(tiles, rules_.mask, rules_.key_block) <= blocks) return tiles.tiles;
    Int low = blind_tiles(tiles, rules_.mask);
    Int high = tiles.tiles;
    while (low < high) {
      const Int middle = low + (high - low) / 2;
      if (tile_blocks(tiles, middle) > blocks) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  /// How many of the run's tiles stay in it: the first ones.
  VARLEN_PLAN Int run_tiles(std::int32_t run, const TilesOf<Int>& tiles) const {
    if (listing_ == Listing::kOwn) return own_tiles_.at(run);
    if (listing_ == Listing::kFront && run < listed_runs_) return blind_tiles(tiles, rules_.mask);
    return tiles.tiles;
  }

  /// Writes the runs that have items and numbers these: begins_. Returns how many runs there are.
  VARLEN_PLAN std::int32_t index() {
    struct Kept {
      Int items;
      std::int32_t runs;
      VARLEN_PLAN void operator+=(const Kept& other) {
        items += other.items;
        runs += other.runs;
      }
    };
    const bool all_kept = listing_ == Listing::kNone || listing_ == Listing::kEnd;
    run_items_ = totals_.items - listed_items_;
    begins_ = team_.template array<Int>(runs_);
    if (!all_kept) kept_ = team_.template array<std::int32_t>(runs_);
    std::int32_t runs = 0;
    const Kept all = team_.template scan<Kept>(
        runs_,
        [&](std::int32_t run) {
          const TilesOf<Int> tiles = tiles_of_request(order_.at(run));
          const Int own = run_tiles(run, tiles);
          return Kept{items_per_tile(tiles) * own, own > 0 ? 1 : 0};
        },
        [&](std::int32_t run, const Kept& before, const Kept& own) {
          begins_.put(run, before.items);
          if (own.runs == 0 || before.items >= run_items_) return;
          if (!all_kept) kept_.put(before.runs, run);
          runs = before.runs + 1;
        });
    if (!all_kept) run_items_ = all.items;
    runs = team_.combine(runs, [](std::int32_t a, std::int32_t b) { return greatest(a, b); });
    team_.write(output_.runs(runs), runs, [&](std::int32_t i) {
      const std::int32_t run = all_kept ? i : kept_.at(i);
      const std::int32_t request = order_.at(run);
      const TilesOf<Int> tiles = tiles_of_request(request);
      return Run{begins_.at(run), run_tiles(run, tiles), request, heads_per_section(tiles.key_length), cut_of(tiles)};
    });
    return runs;
  }

  /// Lists what balance() or cut_by_own_length() decided. False if there is no room.
  VARLEN_PLAN bool list(PlanCounts& counts) {
    if (listing_ == Listing::kEnd) {
      listed_begin_ = static_cast<Int>(run_items_);
      listed_runs_ = runs_;
    } else {
      team_.sync();  // all have read begins_
      listed_items_ = team_.template scan<Int>(
          listed_runs_,
          [&](std::int32_t run) -> Int {
            const TilesOf<Int> tiles = tiles_of_request(order_.at(run));
            return items_per_tile(tiles) * (tiles.tiles - run_tiles(run, tiles));
          },
          [&](std::int32_t run, Int before, Int /*own*/) { begins_.put(run, before); });
      team_.sync();
    }
    if (!output_.has_room(listed_items_, 0)) return false;
    Leveller<Team, Planner, Output> leveller(team_, problem_, *this, output_);
    const auto tiles = static_cast<std::int32_t>(listed_items_);
    const Cost share = listing_ == Listing::kFront ? ceil_div<Cost>(totals_.cost, problem_.workers) : 0;
    const Listed listed = listing_ == Listing::kOwn ? leveller.cut_by_own_length(tiles) : leveller.level(tiles, share);
    if (!output_.has_room(listed.items, listed.merges)) return false;
    (listing_ == Listing::kEnd ? counts.listed_back : counts.listed_front) = listed.items;
    counts.merges = listed.merges;
    counts.partial_rows = listed.rows;
    return true;
  }

  enum class Listing : std::uint8_t {
    kNone,
    kFront,  // the visible tiles of the first runs, before all others
    kEnd,    // the last items of the order
    kOwn,    // of every run the tiles that its own length cuts
  };

  Team& team_;
  const PlanProblem& problem_;
  Requests& requests_;
  Output& output_;
  const TileRules<Int> rules_;

  Totals totals_{};
  Array<Cost> costs_;           // of all tiles, by request
  Array<std::int32_t> order_;   // requests by run
  std::int32_t runs_ = 0;       // before any is listed as a whole
  Array<Int> own_tiles_;        // kOwn: run_tiles()
  Array<Int> begins_;           // by run: items before, among those in runs; then among those listed
  Array<std::int32_t> kept_;    // runs that have items
  std::int64_t run_items_ = 0;  // not listed
  Listing listing_ = Listing::kNone;
  std::int64_t listed_items_ = 0;
  Int listed_begin_ = 0;  // the first listed item, as begins_ counts
  std::int32_t listed_runs_ = 0;
};

}  // namespace varlen
