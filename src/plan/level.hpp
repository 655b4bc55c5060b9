// Levelling: a short list of tiles is laid on equal shares of work and cut where a share ends, if that shortens the
// schedule. Every tile's cuts follow from where it begins on that line, so all tiles are cut at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plan/problem.hpp"

namespace varlen {

/// Tiles are cut only if that shortens their schedule by more than such a part of it.
inline constexpr Cost kGain = 64;

/// Lists are sorted by so many bits of cost.
inline constexpr int kListClassBits = 8;

/// What a list adds to a plan.
struct Listed {
  std::int64_t rows;  // partial ones
  std::int32_t items;
  std::int32_t merges;
  VARLEN_PLAN void operator+=(const Listed& other) {
    rows += other.rows;
    items += other.items;
    merges += other.merges;
  }
};

/// The last index below `count` at which rising `values`, the first of which is 0, are at most `value`.
template <class Values, class Value>
VARLEN_PLAN std::int32_t last_at_or_below(const Values& values, std::int32_t count, Value value) {
  std::int32_t low = 0;
  std::int32_t high = count;
  while (high - low > 1) {
    const std::int32_t middle = low + (high - low) / 2;
    if (values.at(middle) <= value) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

/// `Tiles` tells the tiles: listed_run(i), listed_tile(i, run), part_blocks(run, block_cost).
template <class Team, class Tiles, class Output, class Int>
class Leveller {
  template <class T>
  using Array = typename Team::template Array<T>;

 public:
  VARLEN_PLAN Leveller(Team& team, const PlanProblem<Int>& problem, const Tiles& tiles, Output& output)
      : team_(team), problem_(problem), tiles_(tiles), output_(output) {}

  /// Writes the tiles to the plan's list, longest part first. Either each is cut into parts of its run's own length; or
  /// they are cut so that all workers finish together, if that pays, and each of them takes at least `share`.
  VARLEN_PLAN Listed list(std::int32_t count, bool by_own_length, Cost share) {
    count_ = count;
    measure(by_own_length);
    if (!by_own_length) {
      order_ = team_.template array<std::int32_t>(count);
      sort(
          count, [&](std::int32_t i) { return cost_of(blocks_.at(i), shapes_.at(i), false); }, order_);
      const Cut cut = choose(share);
      if (cut.makespan == kNever) {
        write({0, count, 0});
        return {0, count, 0};
      }
      cut_at_shares(cut);
    }
    return write_parts();
  }

 private:
  static constexpr Cost kNever = INT64_MAX;
  static constexpr Cost kMostWork = sizeof(Int) == sizeof(std::int64_t) ? INT64_MAX : INT32_MAX;

  /// What the tiles cost and, with batch_invariant, where they are cut.
  VARLEN_PLAN void measure(bool by_own_length) {
    runs_ = team_.template array<std::int32_t>(count_);
    blocks_ = team_.template array<Int>(count_);
    shapes_ = team_.template array<std::int32_t>(count_);
    if (by_own_length) make_cuts();
    team_.for_each(count_, [&](std::int32_t i) {
      const std::int32_t run = tiles_.listed_run(i);
      const WorkItem item = tiles_.listed_tile(i, run);
      const Int blocks = block_count(KeyRangeOf<Int>{static_cast<Int>(item.key_begin), static_cast<Int>(item.key_end)},
                                     problem_.key_block);
      runs_.put(i, run);
      blocks_.put(i, blocks);
      shapes_.put(i, item.tile_shape);
      if (!by_own_length) return;
      const Int block_cost = problem_.block_cost[item.tile_shape];
      const Int part_blocks = tiles_.part_blocks(run, block_cost);
      cuts_.put(i, static_cast<std::int32_t>(ceil_div<Int>(blocks, part_blocks)) - 1);
      first_cuts_.put(i, part_blocks * block_cost);
    });
    team_.sync();
  }

  VARLEN_PLAN void make_cuts() {
    cuts_ = team_.template array<std::int32_t>(count_);
    first_cuts_ = team_.template array<Int>(count_);
  }

  VARLEN_PLAN Int cost_of(Int blocks, std::int32_t shape, bool split) const {
    return problem_.item_cost + blocks * problem_.block_cost[shape] + (split ? problem_.split_cost : 0);
  }

  /// Indices by cost, longest first: by the upper bits of what each lacks to the longest.
  template <class CostOf>
  VARLEN_PLAN void sort(std::int32_t count, const CostOf& cost, const Array<std::int32_t>& order) {
    Int longest = 0;
    team_.for_each(count, [&](std::int32_t i) { longest = greatest(longest, cost(i)); });
    longest = team_.combine(longest, [](Int a, Int b) { return greatest(a, b); });
    const int shift = greatest(0, bit_width(longest) - kListClassBits);
    team_.stable_sort(
        count, 1 << kListClassBits, [](std::int32_t /*i*/) { return nullptr; },
        [&](std::int32_t i, std::nullptr_t) { return static_cast<std::int32_t>((longest - cost(i)) >> shift); }, order);
    team_.sync();
  }

  /// Where a tile is among those that are listed. From here on tiles are counted longest first, unless each is cut by
  /// its own length.
  VARLEN_PLAN std::int32_t listed(std::int32_t i) const { return order_.is_null() ? i : order_.at(i); }
  VARLEN_PLAN Int cost(std::int32_t i) const { return cost_of(blocks_.at(listed(i)), shapes_.at(listed(i)), false); }

  struct Cut {
    Cost makespan;
    Cost length;         // of a share, without what a part costs besides its blocks
    std::int32_t whole;  // the first tiles stay whole
  };
  /// The best cut. Its makespan is kNever if none pays.
  VARLEN_PLAN Cut choose(Cost share) {
    const Cost workers = problem_.workers;
    const std::int32_t wave = least(problem_.workers, count_);
    before_ = team_.template array<std::int64_t>(count_);
    // The makespan of tiles drawn whole is estimated twice. Graham's bound: when a tile is drawn, all workers have been
    // busy until then. And dealt out forth and back, exact for up to two tiles each.
    struct Makespans {
      Cost bound;  // times workers
      Cost dealt;
    };
    Makespans makespans{0, 0};
    const Cost total = team_.template scan<Cost>(
        count_, [&](std::int32_t i) -> Cost { return cost(i); },
        [&](std::int32_t i, Cost before, Cost own) {
          before_.put(i, before);
          makespans.bound = greatest(makespans.bound, before + workers * own);
        });
    team_.for_each(wave, [&](std::int32_t worker) {
      Cost load = 0;
      std::int32_t i = worker;
      for (std::int32_t begin = 0; i < count_;) {
        load += cost(i);
        begin += wave;
        i = 2 * begin - 1 - i;  // the next wave the other way round
      }
      makespans.dealt = greatest(makespans.dealt, load);
    });
    makespans = team_.combine(makespans, [](const Makespans& a, const Makespans& b) {
      return Makespans{greatest(a.bound, b.bound), greatest(a.dealt, b.dealt)};
    });

    // The first waves may stay whole: then everybody waits for the longest tile of each, and the others share what is
    // left. A share is long enough for two parts' overhead and the least part, so that borders lie apart.
    const Cost least_share = 2 * problem_.part_cost() + problem_.most_block_cost;
    Cut best{kNever, 0, 0};
    team_.for_each(count_ == 0 ? 0 : ceil_div<std::int32_t>(count_, wave), [&](std::int32_t w) {
      const std::int32_t whole = w * wave;
      Cost waves = 0;
      for (std::int32_t i = 0; i < whole; i += wave) waves += cost(i);
      const Cost left = total - before_.at(whole) + (count_ - whole) * static_cast<Cost>(problem_.split_cost);
      const Cost fair =
          greatest(greatest(ceil_div<Cost>(left, workers) + problem_.part_cost(), share - waves), least_share);
      if (waves + fair < best.makespan) best = {waves + fair, fair - problem_.part_cost(), whole};
    });
    best = team_.combine(best, [](const Cut& a, const Cut& b) {
      const bool a_is_better = a.makespan < b.makespan || (a.makespan == b.makespan && a.whole < b.whole);
      return a_is_better ? a : b;
    });
    const Cost uncut = least(makespans.dealt, quotient<Cost>(makespans.bound, workers));
    if (best.makespan == kNever || best.makespan + best.makespan / kGain >= uncut) best.makespan = kNever;
    return best;
  }

  // McNaughton's wrap-around rule (Management Science 6, 1959): the tiles lie end to end on a line, a worker's share is
  // an equal length of it, and a tile is cut where a share ends. A tile's own length includes the cost of its first
  // part; a share that begins inside a tile pays for one more part, so the line is ruled in lengths without that.
  //
  // With a border at work w into a tile, the cut is at block ⌊w / block_cost + 1/2⌋. It is made unless it would leave
  // less than the least part on a side: what such a border parts mostly fits into one share. So a tile's cuts are those
  // of consecutive borders, two of which are a share's work apart.
  VARLEN_PLAN void cut_at_shares(const Cut& cut) {
    make_cuts();
    length_ = static_cast<Int>(least<Cost>(cut.length, kMostWork));  // no tile with two cuts is longer
    const Cost whole_before = before_.at(cut.whole);
    team_.for_each(count_, [&](std::int32_t i) {
      cuts_.put(i, 0);
      const Int blocks = blocks_.at(listed(i));
      const std::int32_t shape = shapes_.at(listed(i));
      const Int least_blocks = problem_.least_blocks[shape];
      if (i < cut.whole || blocks < 2 * least_blocks) return;
      // Work 0 of the tile, rounded: border k cuts at block (k · length − zero) / block_cost.
      const Cost block_cost = problem_.block_cost[shape];
      const Cost zero = before_.at(i) - whole_before + (i - cut.whole) * static_cast<Cost>(problem_.split_cost) +
                        problem_.part_cost() - block_cost / 2;
      const Cost first = ceil_div<Cost>(zero + least_blocks * block_cost, cut.length);
      const Cost last = quotient<Cost>(zero + (blocks - least_blocks + 1) * block_cost - 1, cut.length);
      if (first <= last) {
        cuts_.put(i, static_cast<std::int32_t>(last - first + 1));
        first_cuts_.put(i, static_cast<Int>(first * cut.length - zero));
      } else if (blocks * block_cost > cut.length + problem_.part_cost()) {
        // Borders near both edges: the tile is longer than a share.
        cuts_.put(i, 1);
        first_cuts_.put(i, (blocks - least_blocks) * static_cast<Int>(block_cost));
      }
    });
    team_.sync();
  }

  /// Writes the tiles with cuts_, which are at blocks (first_cuts_ + j · length_) / block_cost.
  VARLEN_PLAN Listed write_parts() {
    if (before_.is_null()) before_ = team_.template array<std::int64_t>(count_);
    first_parts_ = team_.template array<std::int32_t>(count_);
    merges_ = team_.template array<std::int32_t>(count_);
    const Listed all = team_.template scan<Listed>(
        count_,
        [&](std::int32_t i) {
          const std::int32_t parts = cuts_.at(i) + 1;
          if (parts == 1) return Listed{0, 1, 0};
          return Listed{parts * rows_of(tiles_.listed_tile(listed(i), runs_.at(listed(i)))), parts, 1};
        },
        [&](std::int32_t i, const Listed& before, const Listed& /*own*/) {
          before_.put(i, before.rows);
          first_parts_.put(i, before.items);
          merges_.put(i, before.merges);
        });
    team_.sync();
    if (!output_.has_room(all.items, all.merges)) return all;

    part_tiles_ = team_.template array<std::int32_t>(all.items);
    part_order_ = team_.template array<std::int32_t>(all.items);
    team_.for_each(all.items, [&](std::int32_t p) { part_tiles_.put(p, last_at_or_below(first_parts_, count_, p)); });
    team_.sync();
    sort(
        all.items, [&](std::int32_t p) { return part_cost(p); }, part_order_);
    write(all);
    return all;
  }

  /// A part's blocks, counted from the tile's first.
  struct Part {
    Int begin;
    Int end;
  };
  VARLEN_PLAN Part part_of(std::int32_t p, std::int32_t i) const {
    Part blocks{0, blocks_.at(listed(i))};
    const std::int32_t cuts = cuts_.at(i);
    if (cuts == 0) return blocks;
    const std::int32_t part = p - first_parts_.at(i);
    const Int block_cost = problem_.block_cost[shapes_.at(listed(i))];
    const Int first_cut = first_cuts_.at(i);
    const Int length = length_ > 0 ? length_ : first_cut;
    if (part > 0) blocks.begin = quotient<Int>(first_cut + (part - 1) * length, block_cost);
    if (part < cuts) blocks.end = quotient<Int>(first_cut + part * length, block_cost);
    return blocks;
  }
  VARLEN_PLAN Int part_cost(std::int32_t p) const {
    const std::int32_t i = part_tiles_.at(p);
    const Part blocks = part_of(p, i);
    return cost_of(blocks.end - blocks.begin, shapes_.at(listed(i)), cuts_.at(i) > 0);
  }

  /// Writes parts by part_order_ and the merges of split tiles; or, where nothing is cut, the tiles.
  VARLEN_PLAN void write(const Listed& all) {
    Merge* const merges = output_.merges(all.merges);
    team_.write(output_.listed(all.items), all.items, [&](std::int32_t place) {
      const bool in_parts = !part_order_.is_null();
      const std::int32_t p = in_parts ? part_order_.at(place) : place;
      const std::int32_t i = in_parts ? part_tiles_.at(p) : place;
      WorkItem item = tiles_.listed_tile(listed(i), runs_.at(listed(i)));
      const std::int32_t cuts = in_parts ? cuts_.at(i) : 0;
      if (cuts == 0) return item;
      item.part = p - first_parts_.at(i);
      item.parts = cuts + 1;
      item.merge = merges_.at(i);
      item.partial_row = before_.at(i) + item.part * rows_of(item);
      const Part blocks = part_of(p, i);
      const std::int64_t key_begin = item.key_begin;
      item.key_begin = key_begin + blocks.begin * std::int64_t{problem_.key_block.value};
      if (item.part < cuts) item.key_end = key_begin + blocks.end * std::int64_t{problem_.key_block.value};
      if (item.part == 0) {
        team_.store(merges + item.merge,
                    Merge{item.query_begin, item.query_count, item.partial_row, item.request, item.kv_head,
                          item.query_head_begin, item.query_head_count, item.parts, item.tile_shape});
      }
      return item;
    });
  }

  VARLEN_PLAN static std::int64_t rows_of(const WorkItem& item) { return item.query_count * item.query_head_count; }

  Team& team_;
  const PlanProblem<Int>& problem_;
  const Tiles& tiles_;
  Output& output_;
  std::int32_t count_ = 0;
  // By listed tile.
  Array<std::int32_t> runs_;
  Array<Int> blocks_;
  Array<std::int32_t> shapes_;
  // By tile, longest first.
  Array<std::int32_t> order_;
  Array<std::int64_t> before_;  // costs of all tiles before; then their partial rows
  Array<std::int32_t> cuts_;    // how many
  Array<Int> first_cuts_;       // work before the first one
  Array<std::int32_t> first_parts_;
  Array<std::int32_t> merges_;
  // By part.
  Array<std::int32_t> part_tiles_;
  Array<std::int32_t> part_order_;
  Int length_ = 0;  // work between cuts; 0: as much as before the first
};

/// Bytes of the arrays that a Leveller asks its team for. `array` tells what one of so many bytes takes.
template <class Int, class Array>
constexpr std::int64_t list_scratch_bytes(std::int64_t tiles, std::int64_t parts, const Array& array) {
  constexpr std::int64_t kInt = sizeof(Int);
  return 6 * array(4 * tiles) + 2 * array(kInt * tiles) + array(8 * tiles) + 2 * array(4 * parts) + array(4 * parts);
}

}  // namespace varlen
