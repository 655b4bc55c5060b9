// Levelling: a short list of tiles is laid on equal shares of work and cut where a share ends, if that shortens the
// schedule. Every tile's cuts follow from where it begins on that line, so all tiles are cut at once.
#pragma once

#include <cstdint>

#include "plan/problem.hpp"
#include "plan/team.hpp"

namespace varlen {

/// Tiles are cut only if that shortens their schedule by more than such a part of it.
inline constexpr Cost kGain = 64;

/// Lists are sorted by this many classes of cost.
inline constexpr int kListClassBits = 8;

/// What a list adds to a plan.
struct Listed {
  std::int64_t items;
  std::int64_t merges;
  std::int64_t rows;  // partial ones
  VARLEN_PLAN void operator+=(const Listed& other) {
    items += other.items;
    merges += other.merges;
    rows += other.rows;
  }
};

/// A part has at least so many key blocks that its work is worth its overhead.
VARLEN_HOST_DEVICE inline std::int64_t least_part_blocks(const PlanProblem& problem, Cost block_cost) {
  return greatest<std::int64_t>(1, ceil_div<Cost>(problem.part_cost(), block_cost));
}

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

/// `Tiles` tells the tiles: listed_run(i), listed_tile(i, run), part_blocks(run).
template <class Team, class Tiles, class Output>
class Leveller {
  template <class T>
  using Array = typename Team::template Array<T>;

 public:
  VARLEN_PLAN Leveller(Team& team, const PlanProblem& problem, const Tiles& tiles, Output& output)
      : team_(team), problem_(problem), tiles_(tiles), output_(output) {}

  /// Writes the tiles to the plan's list, longest first, cut so that all workers finish together if that pays. Each of
  /// them is to take at least `share`.
  VARLEN_PLAN Listed level(std::int32_t count, Cost share) {
    count_ = count;
    const Cost longest = measure();
    order_ = team_.template array<std::int32_t>(count);
    sort(costs_, count, longest, order_);
    const Cut cut = choose(share);
    if (!cut.pays) {
      team_.write(output_.listed(count), count, [&](std::int32_t i) { return tile(i); });
      return {count, 0, 0};
    }
    cut_at_shares(cut);
    return write_parts(cut.length);
  }

  /// Writes the tiles, each cut into parts of its own run's length, longest part first.
  VARLEN_PLAN Listed cut_by_own_length(std::int32_t count) {
    count_ = count;
    measure();
    order_ = team_.template array<std::int32_t>(count);
    before_ = team_.template array<std::int64_t>(count);
    parts_ = team_.template array<std::int32_t>(count + 1);
    first_cuts_ = team_.template array<Cost>(count);
    team_.for_each(count, [&](std::int32_t i) {
      const WorkItem whole = tiles_.listed_tile(i, runs_.at(i));
      const Cost block_cost = cost_of_block(whole);
      const std::int64_t part_blocks = tiles_.part_blocks(runs_.at(i), block_cost);
      order_.put(i, i);
      parts_.put(i, static_cast<std::int32_t>(ceil_div<std::int64_t>(blocks_of(whole), part_blocks)));
      first_cuts_.put(i, part_blocks * block_cost);
    });
    return write_parts(0);
  }

 private:
  /// Costs and runs of the tiles. Returns the longest's cost.
  VARLEN_PLAN Cost measure() {
    costs_ = team_.template array<Cost>(count_);
    runs_ = team_.template array<std::int32_t>(count_);
    Cost longest = 0;
    team_.for_each(count_, [&](std::int32_t i) {
      const std::int32_t run = tiles_.listed_run(i);
      const WorkItem item = tiles_.listed_tile(i, run);
      const Cost cost = problem_.item_cost + blocks_of(item) * cost_of_block(item);
      runs_.put(i, run);
      costs_.put(i, cost);
      longest = greatest(longest, cost);
    });
    return team_.combine(longest, [](Cost a, Cost b) { return greatest(a, b); });
  }

  /// Indices by cost, longest first: by the upper bits of what each lacks to the longest.
  VARLEN_PLAN void sort(const Array<Cost>& costs, std::int32_t count, Cost longest, const Array<std::int32_t>& order) {
    const int shift = greatest(0, bit_width(longest) - kListClassBits);
    team_.stable_sort(
        count, 1 << kListClassBits,
        [&](std::int32_t i) { return static_cast<std::int32_t>((longest - costs.at(i)) >> shift); },
        [&](std::int32_t i, std::int32_t place) { order.put(place, i); });
    team_.sync();
  }

  /// From here on, tiles are counted longest first.
  VARLEN_PLAN WorkItem tile(std::int32_t i) const { return tiles_.listed_tile(order_.at(i), runs_.at(order_.at(i))); }
  VARLEN_PLAN Cost cost(std::int32_t i) const { return costs_.at(order_.at(i)); }

  struct Cut {
    Cost makespan;
    std::int32_t whole;  // the first tiles stay whole
    Cost length;         // of a share, without what a part costs besides its blocks
    bool pays;
  };
  /// The best cut, and whether it pays.
  VARLEN_PLAN Cut choose(Cost share) {
    const Cost workers = problem_.workers;
    const auto wave = static_cast<std::int32_t>(least<Cost>(workers, count_));
    before_ = team_.template array<std::int64_t>(count_);
    // The makespan of tiles drawn whole is estimated twice. Graham's bound: when a tile is drawn, all workers have been
    // busy until then. And dealt out forth and back, exact for up to two tiles each.
    struct Makespans {
      Cost bound;  // times workers
      Cost dealt;
    };
    Makespans makespans{0, 0};
    const Cost total = team_.template scan<Cost>(
        count_, [&](std::int32_t i) { return cost(i); },
        [&](std::int32_t i, Cost before, Cost own) {
          before_.put(i, before);
          makespans.bound = greatest(makespans.bound, before + workers * own);
        });
    team_.for_each(wave, [&](std::int32_t worker) {
      Cost load = 0;
      bool forth = true;
      for (std::int32_t begin = 0; begin < count_; begin += wave, forth = !forth) {
        const std::int32_t i = begin + (forth ? worker : wave - 1 - worker);
        if (i < count_) load += cost(i);
      }
      makespans.dealt = greatest(makespans.dealt, load);
    });
    makespans = team_.combine(makespans, [](const Makespans& a, const Makespans& b) {
      return Makespans{greatest(a.bound, b.bound), greatest(a.dealt, b.dealt)};
    });

    // The first waves may stay whole: then everybody waits for the longest tile of each, and the others share what is
    // left. A share is long enough for two parts' overhead and the least part, so that borders lie apart.
    const Cost least_share = 2 * problem_.part_cost() + problem_.most_block_cost;
    Cut best{INT64_MAX, 0, 0, false};
    team_.for_each(wave == 0 ? 0 : ceil_div(count_, wave), [&](std::int32_t w) {
      const std::int32_t whole = w * wave;
      Cost waves = 0;
      for (std::int32_t i = 0; i < whole; i += wave) waves += cost(i);
      const Cost left = total - before_.at(whole) + (count_ - whole) * problem_.split_cost;
      const Cost fair =
          greatest(greatest(ceil_div<Cost>(left, workers) + problem_.part_cost(), share - waves), least_share);
      if (waves + fair < best.makespan) best = {waves + fair, whole, fair - problem_.part_cost(), false};
    });
    best = team_.combine(best, [](const Cut& a, const Cut& b) {
      if (a.makespan != b.makespan) return a.makespan < b.makespan ? a : b;
      return a.whole < b.whole ? a : b;
    });
    const Cost uncut = least(makespans.dealt, quotient<Cost>(makespans.bound, workers));
    best.pays = best.makespan != INT64_MAX && best.makespan + best.makespan / kGain < uncut;
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
    parts_ = team_.template array<std::int32_t>(count_ + 1);
    first_cuts_ = team_.template array<Cost>(count_);
    const Cost whole_before = cut.whole < count_ ? before_.at(cut.whole) : 0;
    team_.for_each(count_, [&](std::int32_t i) {
      parts_.put(i, 1);
      if (i < cut.whole) return;
      const WorkItem whole = tile(i);
      const Cost block_cost = cost_of_block(whole);
      const std::int64_t blocks = blocks_of(whole);
      const std::int64_t least_blocks = least_part_blocks(problem_, block_cost);
      if (blocks < 2 * least_blocks) return;
      // Work 0 of the tile, rounded: border k cuts at block (k · length − zero) / block_cost.
      const Cost zero =
          before_.at(i) - whole_before + (i - cut.whole) * problem_.split_cost + problem_.part_cost() - block_cost / 2;
      const Cost first = ceil_div<Cost>(greatest<Cost>(0, zero + least_blocks * block_cost), cut.length);
      const Cost last = quotient<Cost>(zero + (blocks - least_blocks + 1) * block_cost - 1, cut.length);
      if (first <= last) {
        parts_.put(i, static_cast<std::int32_t>(last - first + 2));
        first_cuts_.put(i, first * cut.length - zero);
      } else if (blocks * block_cost > cut.length + problem_.part_cost()) {
        // Borders near both edges: the tile is longer than a share.
        parts_.put(i, 2);
        first_cuts_.put(i, (blocks - least_blocks) * block_cost);
      }
    });
  }

  /// Writes the tiles cut into parts_, at blocks (first_cuts_ + j · length) / block_cost; `length` 0: the first cut's
  /// work.
  VARLEN_PLAN Listed write_parts(Cost length) {
    length_ = length;
    merges_ = team_.template array<std::int32_t>(count_);
    team_.sync();
    const Listed all = team_.template scan<Listed>(
        count_,
        [&](std::int32_t i) {
          const std::int32_t parts = parts_.at(i);
          if (parts == 1) return Listed{1, 0, 0};
          return Listed{parts, 1, parts * rows_of(tile(i))};
        },
        // What was the number of parts becomes the number of the first.
        [&](std::int32_t i, const Listed& before, const Listed& own) {
          parts_.put(i, static_cast<std::int32_t>(before.items));
          if (i == count_ - 1) parts_.put(count_, static_cast<std::int32_t>(before.items + own.items));
          merges_.put(i, static_cast<std::int32_t>(before.merges));
          before_.put(i, before.rows);
        });
    team_.sync();
    if (!output_.has_room(all.items, all.merges)) return all;
    write_merges(static_cast<std::int32_t>(all.merges));

    const auto parts = static_cast<std::int32_t>(all.items);
    part_tiles_ = team_.template array<std::int32_t>(parts);
    const auto part_costs = team_.template array<Cost>(parts);
    const auto part_order = team_.template array<std::int32_t>(parts);
    Cost longest = 0;
    team_.for_each(parts, [&](std::int32_t p) {
      const std::int32_t i = last_at_or_below(parts_, count_, p);
      part_tiles_.put(p, i);
      const WorkItem item = part(p);
      Cost cost = problem_.item_cost + blocks_of(item) * cost_of_block(item);
      if (item.parts > 1) cost += problem_.split_cost;
      part_costs.put(p, cost);
      longest = greatest(longest, cost);
    });
    longest = team_.combine(longest, [](Cost a, Cost b) { return greatest(a, b); });
    sort(part_costs, parts, longest, part_order);
    team_.write(output_.listed(parts), parts, [&](std::int32_t i) { return part(part_order.at(i)); });
    return all;
  }

  VARLEN_PLAN void write_merges(std::int32_t count) {
    Merge* const merges = output_.merges(count);
    team_.for_each(count_, [&](std::int32_t i) {
      const std::int32_t parts = parts_.at(i + 1) - parts_.at(i);
      if (parts == 1) return;
      const WorkItem whole = tile(i);
      team_.store(merges + merges_.at(i),
                  Merge{whole.query_begin, whole.query_count, before_.at(i), whole.request, whole.kv_head,
                        whole.query_head_begin, whole.query_head_count, parts, whole.tile_shape});
    });
  }

  /// Part p of all parts of all tiles.
  VARLEN_PLAN WorkItem part(std::int32_t p) const {
    const std::int32_t i = part_tiles_.at(p);
    WorkItem item = tile(i);
    item.parts = parts_.at(i + 1) - parts_.at(i);
    if (item.parts == 1) return item;
    item.part = p - parts_.at(i);
    const Cost block_cost = cost_of_block(item);
    const std::int64_t key_begin = item.key_begin;
    const Cost first_cut = first_cuts_.at(i);
    const Cost length = length_ > 0 ? length_ : first_cut;
    // The cut before part j.
    const auto cut = [&](std::int32_t j) {
      return key_begin + quotient<Cost>(first_cut + (j - 1) * length, block_cost) * problem_.key_block;
    };
    if (item.part > 0) item.key_begin = cut(item.part);
    if (item.part + 1 < item.parts) item.key_end = cut(item.part + 1);
    item.partial_row = before_.at(i) + item.part * rows_of(item);
    item.merge = merges_.at(i);
    return item;
  }

  VARLEN_PLAN static std::int64_t rows_of(const WorkItem& item) { return item.query_count * item.query_head_count; }
  VARLEN_PLAN Cost cost_of_block(const WorkItem& item) const { return problem_.block_cost[item.tile_shape]; }
  VARLEN_PLAN std::int64_t blocks_of(const WorkItem& item) const {
    return block_count(KeyRange{item.key_begin, item.key_end}, problem_.key_block);
  }

  Team& team_;
  const PlanProblem& problem_;
  const Tiles& tiles_;
  Output& output_;
  std::int32_t count_ = 0;
  Array<std::int32_t> runs_;
  Array<Cost> costs_;
  // Longest first.
  Array<std::int32_t> order_;
  Array<std::int64_t> before_;  // costs of all tiles before; then their partial rows
  Array<std::int32_t> parts_;
  Array<Cost> first_cuts_;
  Array<std::int32_t> merges_;
  // Of the parts.
  Array<std::int32_t> part_tiles_;
  Cost length_ = 0;
};

}  // namespace varlen
