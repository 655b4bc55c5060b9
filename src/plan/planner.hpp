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

/// `Requests` reads lengths, counts their faults and keeps what is asked for again; `Output` is where the plan goes.
template <class Team, class Requests, class Output>
class Planner {
  using Int = typename Requests::Int;
  template <class T>
  using Array = typename Team::template Array<T>;

 public:
  VARLEN_PLAN Planner(Team& team, const PlanProblem<Int>& problem, Requests& requests, Output& output)
      : team_(team), problem_(problem), requests_(requests), output_(output) {}

  /// By every thread of the team. No counts at all if a length is wrong or the output has no room.
  VARLEN_PLAN PlanCounts plan() {
    order();
    if (fault_ != kNoFault) return {};
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

  VARLEN_PLAN std::uint64_t fault() const { return fault_; }

  // For the leveller: tile `index` of those that are listed, and the run that it was in.

  VARLEN_PLAN std::int32_t listed_run(std::int32_t index) const {
    return last_at_or_below(begins_, listed_runs_, static_cast<Int>(listed_begin_ + index));
  }
  VARLEN_PLAN WorkItem listed_tile(std::int32_t index, std::int32_t run) const {
    const std::int32_t request = order_.at(run);
    const TilesOf<Int> tiles = requests_.tiles(request);
    const Int offset = listed_begin_ + index - begins_.at(run);
    const std::int32_t heads = listing_ == Listing::kEnd ? heads_per_section(tiles.key_length) : problem_.kv_heads;
    return tile_at(problem_, tiles, request, tiles.tiles, heads, offset);
  }
  /// With batch_invariant: key blocks of each part of a tile of this run.
  VARLEN_PLAN Int part_blocks(std::int32_t run, Int block_cost) const {
    const Cost share = ceil_div<Cost>(cost_of(run), problem_.invariant_shares);
    return static_cast<Int>(greatest(kInvariantPartBlocks, ceil_div<Cost>(share, block_cost)));
  }

 private:
  /// Of all requests.
  struct Totals {
    Cost cost;
    Int items;
    Int longest;  // tile's cost; kFaulty: a length is wrong
  };
  static constexpr Int kFaulty = sizeof(Int) == sizeof(std::int64_t) ? INT64_MAX : INT32_MAX;
  /// Of one request's tiles.
  struct Work {
    Cost head_cost;  // of all, for one head chunk of one KV head
    Int longest;     // of one tile
  };

  VARLEN_PLAN Int items_per_tile(std::int32_t cut) const {
    return static_cast<Int>(problem_.kv_heads) * problem_.selector.head_chunks(cut);
  }

  /// Requests with queries by the class of their longest tile, longest first: order_. Their costs: head_costs_.
  VARLEN_PLAN void order() {
    const std::int32_t count = requests_.count();
    head_costs_ = team_.template array<Cost>(count);
    order_ = team_.template array<std::int32_t>(count);
    Totals totals{0, 0, 0};
    runs_ = team_.stable_sort(
        count, problem_.cost_classes, [&](std::int32_t request) { return requests_.load(request); },
        [&](std::int32_t request, const auto& loaded) -> std::int32_t {
          const auto lengths = requests_.read(request, loaded);
          if (lengths.query == 0) return -1;
          const TileChoice<Int> choice = problem_.selector.choose(lengths.query);
          requests_.keep(request, choice);
          const Work work = work_of(problem_.selector.tiles(choice, lengths.query, lengths.key));
          head_costs_.put(request, work.head_cost);
          const Int per_tile = items_per_tile(choice.cut);
          totals.cost += work.head_cost * per_tile;
          totals.items += per_tile * choice.tiles;
          totals.longest = greatest(totals.longest, work.longest);
          return problem_.cost_classes - 1 - cost_class(work.longest);
        },
        order_);
    if (requests_.fault() != kNoFault) totals.longest = kFaulty;
    totals_ = team_.combine(totals, [](const Totals& a, const Totals& b) {
      return Totals{a.cost + b.cost, a.items + b.items, greatest(a.longest, b.longest)};
    });
    if (totals_.longest == kFaulty) {
      fault_ = team_.combine(requests_.fault(), [](std::uint64_t a, std::uint64_t b) { return least(a, b); });
    }
    mean_ = ceil_div<Cost>(totals_.cost, problem_.workers);
  }

  VARLEN_PLAN Work work_of(const TilesOf<Int>& tiles) const {
    const Int last_blocks = block_count(last_tile_keys(tiles, problem_.mask, problem_.key_block), problem_.key_block);
    const Int last = problem_.item_cost + last_blocks * problem_.block_cost[tiles.tail_shape];
    if (tiles.tiles == 1) return {last, last};
    const Int blocks = total_blocks(tiles, problem_.mask, problem_.key_block) - last_blocks;
    const Cost others =
        Cost{tiles.tiles - 1} * problem_.item_cost + Cost{blocks} * problem_.block_cost[tiles.main_shape];
    return {last + others, longest_cost(tiles)};
  }

  /// Of all tiles of a run.
  VARLEN_PLAN Cost cost_of(std::int32_t run) const {
    const std::int32_t request = order_.at(run);
    return head_costs_.at(request) * items_per_tile(requests_.choice(request).cut);
  }
  /// The cost that no tile of the main shape exceeds.
  VARLEN_PLAN Int longest_cost(const TilesOf<Int>& tiles) const {
    return problem_.item_cost +
           longest_tile_blocks(tiles, problem_.mask, problem_.key_block) * problem_.block_cost[tiles.main_shape];
  }
  VARLEN_PLAN Int tile_blocks(const TilesOf<Int>& tiles, Int tile) const {
    return block_count(tile_keys(tiles, problem_.mask, problem_.key_block, tile), problem_.key_block);
  }
  VARLEN_PLAN Int tile_cost(const TilesOf<Int>& tiles, Int tile) const {
    return problem_.item_cost + tile_blocks(tiles, tile) * problem_.block_cost[tile_shape(tiles, tile)];
  }

  /// KV heads whose keys and values fit half of L2 together.
  VARLEN_PLAN std::int32_t heads_per_section(Int key_length) const {
    if (key_length <= problem_.whole_section_keys) return problem_.kv_heads;
    return static_cast<std::int32_t>(greatest<Int>(1, quotient<Int>(problem_.section_keys, key_length)));
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
    const std::int64_t coarse_end = items_of(coarse.first_run + 1, runs_, false) + coarse.first_items;
    const std::int64_t part_of_wave = all - quotient<std::int64_t>(all, workers) * workers;
    std::int64_t end_items = least(all, greatest(coarse_end, kTailWaves * workers));
    end_items += all - end_items - quotient<std::int64_t>(all - end_items, workers) * workers;
    if (end_items <= kEndWaves * workers && all > kEndWaves * workers) {
      list_end(end_items);
    } else if (items_of(0, coarse.last_run + 1, true) <= kFrontWaves * workers) {
      listing_ = Listing::kFront;
      listed_runs_ = coarse.last_run + 1;
    } else {
      list_end(least(end_items, kFrontWaves * workers + part_of_wave));
    }
  }

  VARLEN_PLAN void list_end(std::int64_t items) {
    listing_ = Listing::kEnd;
    listed_items_ = static_cast<Int>(items);
  }

  /// The runs with coarse items, and how many items of the first run, from its first coarse one on.
  struct Coarse {
    std::int64_t first_items;
    std::int32_t first_run;
    std::int32_t last_run;  // −1: none
  };
  VARLEN_PLAN Coarse find_coarse() {
    const std::int64_t workers = problem_.workers;
    const Cost slack = mean_ / kSlackShare * workers;
    // With so much cost later than a run nothing before can be coarse.
    const Cost enough = workers * totals_.longest - slack;
    Coarse coarse{0, runs_, -1};
    if (enough <= 0) return coarse;
    team_.template scan_until<Cost>(
        runs_, [&](std::int32_t i) { return cost_of(runs_ - 1 - i); },
        [&](std::int32_t i, Cost later, Cost /*own*/) {
          if (later >= enough) return;
          const std::int32_t run = runs_ - 1 - i;
          const std::int64_t items = coarse_items(requests_.tiles(order_.at(run)), later + slack);
          if (items == 0) return;
          coarse = {items, run, greatest(coarse.last_run, run)};  // i rises: this is the first run so far
        },
        [&](Cost later) { return later >= enough; });
    if (!team_.any(coarse.last_run >= 0)) return coarse;
    return team_.combine(coarse, [](const Coarse& a, const Coarse& b) {
      const bool a_first = a.first_run < b.first_run;
      return Coarse{a_first ? a.first_items : b.first_items, least(a.first_run, b.first_run),
                    greatest(a.last_run, b.last_run)};
    });
  }

  /// How many of a request's items come from the first coarse one on, if `later` is the cost after them and the slack;
  /// 0: none is. Judged at three items: the first and the last of the last section of heads, and the one between them
  /// at which a cost that falls evenly is largest beside what follows.
  VARLEN_PLAN std::int64_t coarse_items(const TilesOf<Int>& tiles, Cost later) const {
    const std::int64_t workers = problem_.workers;
    const Int visible = tiles.tiles - blind_tiles(tiles, problem_.mask);
    const Cost longest = tiles.tiles > 1 ? longest_cost(tiles) : tile_cost(tiles, 0);
    const Cost shortest = visible == 0 ? problem_.item_cost : tile_cost(tiles, tiles.tiles - visible);
    // A single tile too short to be cut gains nothing from being listed: the runs are in order already.
    const Int cuttable = 2 * problem_.least_blocks[tiles.main_shape];
    if (visible <= 1 && longest < problem_.item_cost + cuttable * problem_.block_cost[tiles.main_shape]) return 0;
    const std::int32_t in_section = heads_per_section(tiles.key_length);
    const std::int32_t section_heads =
        in_section == problem_.kv_heads ? in_section : (problem_.kv_heads - 1) % in_section + 1;
    const Int width = static_cast<Int>(section_heads) * tiles.head_chunks;  // items of one tile
    const Cost fall = longest - shortest;
    Int rank = visible - 1;  // 0: the last visible tile of the section to be drawn
    for (int judged = 0; judged < 3 && rank >= 0; ++judged) {
      const Cost above = rank == 0 || fall == 0 ? 0 : judged == 0 ? fall : quotient<Cost>(fall * rank, visible - 1);
      const Cost cost = shortest + above;
      const Cost own = (rank + 1) * (cost + shortest) / 2 * width;
      if (workers * cost > own + later) return greatest<std::int64_t>(std::int64_t{rank + 1} * width, workers);
      if (rank == 0) break;
      rank = judged == 0 ? least<Int>(rank, quotient<Int>(problem_.workers, width)) : 0;
    }
    return 0;
  }

  /// Items of the runs [begin, end): of all their tiles, or of those that see keys.
  VARLEN_PLAN std::int64_t items_of(std::int32_t begin, std::int32_t end, bool visible) {
    std::int64_t sum = 0;
    team_.for_each(end - begin, [&](std::int32_t i) {
      const TilesOf<Int> tiles = requests_.tiles(order_.at(begin + i));
      const Int counted = visible ? tiles.tiles - blind_tiles(tiles, problem_.mask) : tiles.tiles;
      sum += static_cast<Int>(problem_.kv_heads) * tiles.head_chunks * counted;
    });
    return team_.combine(sum, [](std::int64_t a, std::int64_t b) { return a + b; });
  }

  /// batch_invariant: a request's tiles are cut by a length that only the request itself and the target decide.
  VARLEN_PLAN void cut_by_own_length() {
    listing_ = Listing::kOwn;
    listed_runs_ = runs_;
    own_tiles_ = team_.template array<Int>(runs_);
    team_.for_each(runs_, [&](std::int32_t run) {
      const TilesOf<Int> tiles = requests_.tiles(order_.at(run));
      own_tiles_.put(run, first_tile_above(tiles, part_blocks(run, problem_.block_cost[tiles.main_shape])));
    });
    team_.sync();
  }

  /// The first tile with more key blocks than `blocks`, if tiles grow towards the end, as they do up to block
  /// alignment.
  VARLEN_PLAN Int first_tile_above(const TilesOf<Int>& tiles, Int blocks) const {
    if (longest_tile_blocks(tiles, problem_.mask, problem_.key_block) <= blocks) return tiles.tiles;
    Int low = blind_tiles(tiles, problem_.mask);
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
  VARLEN_PLAN Int run_tiles(std::int32_t run, std::int32_t request, Int all) const {
    if (listing_ == Listing::kOwn) return own_tiles_.at(run);
    if (listing_ == Listing::kFront && run < listed_runs_) return blind_tiles(requests_.tiles(request), problem_.mask);
    return all;
  }

  /// Writes the runs that have items and numbers these: begins_. Returns how many runs there are.
  VARLEN_PLAN std::int32_t index() {
    const bool keeps_all = listing_ == Listing::kNone || listing_ == Listing::kEnd;
    begins_ = team_.template array<Int>(runs_);
    if (listing_ == Listing::kNone && team_.has_one_each(runs_)) {
      write_at_once();
      return runs_;
    }
    const std::int32_t own_last = keeps_all ? number_all() : number_kept();
    std::int32_t runs = runs_;
    if (listing_ == Listing::kNone) {
      team_.sync();  // begins_ are there
    } else {
      runs = team_.combine(own_last, [](std::int32_t a, std::int32_t b) { return greatest(a, b); });
    }
    team_.write(output_.runs(runs), runs, [&](std::int32_t i) {
      const std::int32_t run = keeps_all ? i : kept_.at(i);
      const std::int32_t request = order_.at(run);
      const TileChoice<Int> choice = requests_.choice(request);
      return Run{begins_.at(run), run_tiles(run, request, choice.tiles), request,
                 heads_per_section(requests_.key_length(request)), problem_.selector.cut(choice.cut)};
    });
    return runs;
  }

  /// index() where a thread has one run at most and nothing is listed: what it reads of other threads it reads before
  /// the items are numbered.
  VARLEN_PLAN void write_at_once() {
    run_items_ = totals_.items;
    const auto sections = team_.template array<std::int32_t>(runs_);
    TileChoice<Int> choice{};
    team_.template scan<Int>(
        runs_,
        [&](std::int32_t run) -> Int {
          const std::int32_t request = order_.at(run);
          choice = requests_.choice(request);
          sections.put(run, heads_per_section(requests_.key_length(request)));
          return items_per_tile(choice.cut) * choice.tiles;
        },
        [&](std::int32_t run, Int before, Int /*own*/) { begins_.put(run, before); });
    team_.part();
    team_.write(output_.runs(runs_), runs_, [&](std::int32_t run) {
      return Run{begins_.at(run), choice.tiles, order_.at(run), sections.at(run), problem_.selector.cut(choice.cut)};
    });
  }

  // Both number the items and return how many runs there are up to the last one with items that this thread has
  // numbered.

  VARLEN_PLAN std::int32_t number_all() {
    run_items_ = totals_.items - listed_items_;
    std::int32_t runs = 0;
    team_.template scan<Int>(
        runs_,
        [&](std::int32_t run) -> Int {
          const TileChoice<Int> choice = requests_.choice(order_.at(run));
          return items_per_tile(choice.cut) * choice.tiles;
        },
        [&](std::int32_t run, Int before, Int /*own*/) {
          begins_.put(run, before);
          if (before < run_items_) runs = run + 1;
        });
    return runs;
  }

  /// Where runs may be listed as a whole.
  VARLEN_PLAN std::int32_t number_kept() {
    struct Kept {
      Int items;
      std::int32_t runs;
      VARLEN_PLAN void operator+=(const Kept& other) {
        items += other.items;
        runs += other.runs;
      }
    };
    kept_ = team_.template array<std::int32_t>(runs_);
    std::int32_t runs = 0;
    const Kept all = team_.template scan<Kept>(
        runs_,
        [&](std::int32_t run) {
          const std::int32_t request = order_.at(run);
          const TileChoice<Int> choice = requests_.choice(request);
          const Int own = run_tiles(run, request, choice.tiles);
          return Kept{items_per_tile(choice.cut) * own, own > 0 ? 1 : 0};
        },
        [&](std::int32_t run, const Kept& before, const Kept& own) {
          begins_.put(run, before.items);
          if (own.runs == 0) return;
          kept_.put(before.runs, run);
          runs = before.runs + 1;
        });
    team_.scattered();
    run_items_ = all.items;
    return runs;
  }

  /// Lists what balance() or cut_by_own_length() decided. False if there is no room.
  VARLEN_PLAN bool list(PlanCounts& counts) {
    if (listing_ == Listing::kEnd) {
      listed_begin_ = run_items_;
      listed_runs_ = runs_;
    } else {
      team_.sync();  // all have read begins_
      listed_items_ = team_.template scan<Int>(
          listed_runs_,
          [&](std::int32_t run) -> Int {
            const std::int32_t request = order_.at(run);
            const TileChoice<Int> choice = requests_.choice(request);
            return items_per_tile(choice.cut) * (choice.tiles - run_tiles(run, request, choice.tiles));
          },
          [&](std::int32_t run, Int before, Int /*own*/) { begins_.put(run, before); });
      team_.sync();
    }
    if (!output_.has_room(listed_items_, 0)) return false;
    Leveller<Team, Planner, Output, Int> leveller(team_, problem_, *this, output_);
    const Listed listed = leveller.list(static_cast<std::int32_t>(listed_items_), listing_ == Listing::kOwn,
                                        listing_ == Listing::kFront ? mean_ : 0);
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
  const PlanProblem<Int>& problem_;
  Requests& requests_;
  Output& output_;

  Totals totals_{};
  std::uint64_t fault_ = kNoFault;
  Cost mean_ = 0;              // of all cost for each worker
  Array<Cost> head_costs_;     // by request
  Array<std::int32_t> order_;  // requests by run
  std::int32_t runs_ = 0;      // before any is listed as a whole
  Array<Int> own_tiles_;       // kOwn: run_tiles()
  Array<Int> begins_;          // by run: items before, among those in runs; then among those listed
  Array<std::int32_t> kept_;   // runs that have items, if some have none
  Int run_items_ = 0;          // not listed
  Listing listing_ = Listing::kNone;
  Int listed_items_ = 0;
  Int listed_begin_ = 0;  // the first listed item, as begins_ counts
  std::int32_t listed_runs_ = 0;
};

/// No sort of a Planner has more classes.
template <class Int>
VARLEN_HOST_DEVICE constexpr std::int32_t sort_classes(const PlanProblem<Int>& problem) {
  return greatest(problem.cost_classes, 1 << kListClassBits);
}

/// Bytes of the arrays that a Planner asks its team for, those of a list with these included.
template <class Int, class Array>
constexpr std::int64_t plan_scratch_bytes(std::int64_t requests, bool batch_invariant, std::int64_t tiles,
                                          std::int64_t parts, const Array& array) {
  constexpr std::int64_t kInt = sizeof(Int);
  const std::int64_t sorted = array(4 * requests);  // while requests are ordered
  const std::int64_t indexed = array(kInt * requests) + array(4 * requests) +
                               (batch_invariant ? array(kInt * requests) : 0) +
                               list_scratch_bytes<Int>(tiles, parts, array);
  return array(8 * requests) + array(4 * requests) + (sorted < indexed ? indexed : sorted);
}

}  // namespace varlen
