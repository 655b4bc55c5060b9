// make_plan(): from lengths to an ordered, balanced list of work items in O(requests + workers).
//
//   describe   each request's tiles, their number and cost, in closed form
//   order      requests by their longest tile, longest first (counting sort)
//   balance    what remains in runs is drawn whole and in order; listed explicitly, cut where it pays, are
//                - tiles longer than a worker's fair share, and
//                - the last incomplete wave of tiles, or everything if there are only a few tiles per worker
//   index      prefix sums, so that the cursor finds any item
//
// Integer arithmetic only, no step depends on how a simulation went: the planner on the device repeats it bit for bit.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <limits>
#include <utility>

#include "plan/level.hpp"
#include "plan/plan_data.hpp"
#include "plan/select_tiles.hpp"
#include "plan/target.hpp"

namespace varlen {
namespace {

/// A coarse end of the order is levelled together with at least this many whole waves, and at most …
constexpr std::int64_t kTailWaves = 2;
constexpr std::int64_t kEndWaves = 4;

/// … unless the coarse items at the beginning of the order are more than this many for each worker.
constexpr std::int64_t kFrontWaves = 8;

/// Imbalance that is let pass without listing anything: such a part of a worker's fair share.
constexpr Cost kSlackShare = 64;

/// With batch_invariant a part has at least this many key blocks.
constexpr std::int64_t kInvariantPartBlocks = 32;

/// Costs within an eighth of a power of two share a class. 512 classes hold every 64-bit cost.
constexpr int kClassBits = 3;
constexpr int kClasses = 64 << kClassBits;
int cost_class(Cost cost) {
  const auto value = static_cast<std::uint64_t>(cost) | (1U << kClassBits);
  const int shift = static_cast<int>(std::bit_width(value)) - 1 - kClassBits;
  return (shift << kClassBits) + static_cast<int>((value >> shift) & ((1U << kClassBits) - 1));
}

class Planner {
 public:
  explicit Planner(PlanData& plan)
      : plan_(plan),
        view_(plan.view()),
        selector_(plan.target, plan.batch.group),
        level_(plan),
        section_keys_(plan.target.l2_bytes / 2 /
                      (dtype_size(plan.batch.input_dtype) * (plan.batch.head_dim_qk + plan.batch.head_dim_vo))),
        whole_section_keys_(section_keys_ / plan.batch.kv_heads) {}

  void build() {
    describe();
    if (plan_.batch.batch_invariant) {
      cut_by_own_length();
    } else {
      balance();
    }
    index_runs();
  }

 private:
  /// What balancing needs to know of one request, besides its run.
  struct Work {
    Cost longest;  // of one tile
    Cost cost;     // of all
  };

  /// Fills the plan's runs, longest tile first, and work_.
  void describe() {
    const auto& requests = plan_.batch.requests;
    work_.resize(requests.size());
    std::array<std::int32_t, kClasses + 1> next{};
    const auto place = [](Cost longest) { return static_cast<std::size_t>(kClasses - 1 - cost_class(longest)); };
    Wide total = 0;
    for (std::size_t r = 0; r < requests.size(); ++r) {
      if (requests[r].query_length == 0) continue;
      work_[r] = work(run(static_cast<std::int32_t>(r)), total);
      ++next[place(work_[r].longest) + 1];
    }
    if (total > std::numeric_limits<Cost>::max() / 4) {
      throw Error(ErrorCode::kUnsupported, "batch", Error::kNoIndex, "",
                  "batch: its query-key pairs exceed what a plan can count (2^61 sixteenths of a key block)");
    }
    total_cost_ = static_cast<Cost>(total);
    for (std::size_t c = 1; c < next.size(); ++c) next[c] += next[c - 1];
    std::vector<std::int32_t> order(static_cast<std::size_t>(next.back()));
    for (std::size_t r = 0; r < requests.size(); ++r) {
      if (requests[r].query_length == 0) continue;
      order[static_cast<std::size_t>(next[place(work_[r].longest)]++)] = static_cast<std::int32_t>(r);
    }
    // Runs are made again here rather than kept above: that is cheaper than memory for a second copy.
    plan_.runs.reserve(order.size());
    for (const std::int32_t r : order) {
      const Run& run = plan_.runs.emplace_back(this->run(r));
      total_items_ += items_per_tile(run) * run.tiles;
    }
  }

  Run run(std::int32_t request) const {
    const RequestExtent& extent = plan_.batch.requests[static_cast<std::size_t>(request)];
    Run run;
    run.geometry = selector_.select(extent.query_length, extent.key_length);
    run.item_begin = 0;
    run.tiles = run.geometry.tiles;
    run.request = request;
    run.heads_per_section = heads_per_section(extent.key_length);
    return run;
  }

  Work work(const Run& run, Wide& total) const {
    const PlanTarget& target = plan_.target;
    const RequestTiles& tiles = run.geometry;
    const Cost last = tile_cost(run, tiles.tiles - 1);
    const Cost block_cost = this->block_cost(run);
    Work work{last, last};
    Wide cost = last;
    if (tiles.tiles > 1) {
      work.longest = target.item_cost + block_cost * longest_tile_blocks(tiles, plan_.batch.mask, target.key_block);
      // All tiles as if of the main shape, but the last.
      const KeyRange last_keys = tile_keys(tiles, plan_.batch.mask, target.key_block, tiles.tiles - 1);
      const Wide blocks =
          total_blocks(tiles, plan_.batch.mask, target.key_block) - block_count(last_keys, target.key_block);
      cost += static_cast<Wide>(tiles.tiles - 1) * target.item_cost + blocks * block_cost;
    }
    cost *= items_per_tile(run);
    work.cost = static_cast<Cost>(cost);
    total += cost;
    return work;
  }

  const Work& work_of(const Run& run) const { return work_[static_cast<std::size_t>(run.request)]; }

  /// KV heads whose keys and values fit half of L2 together.
  std::int32_t heads_per_section(std::int64_t key_length) const {
    if (key_length <= whole_section_keys_) return plan_.batch.kv_heads;
    return static_cast<std::int32_t>(std::max<std::int64_t>(1, section_keys_ / key_length));
  }

  std::int64_t items_per_tile(const Run& run) const {
    return std::int64_t{plan_.batch.kv_heads} * run.geometry.head_chunks;
  }

  /// Items drawn whole and in order level by themselves as long as each is short beside what is drawn after it: when an
  /// item is drawn, every worker has been busy until then, so no worker ends later than the mean by more than `slack`
  /// if
  ///     cost of the item ≤ (its own and all later cost) / workers + slack.
  /// Items that break this rule are coarse. They are listed, longest first, and cut where that pays.
  void balance() {
    const std::int64_t workers = plan_.target.workers;
    const Cost mean = ceil_div(total_cost_, workers);
    run_items_ = total_items_;
    const Coarse coarse = find_coarse(mean);
    if (coarse.last_run < 0) return;

    // Whole waves of coarse items leave all workers at about the same time; what is listed begins after one.
    std::int64_t end_items = std::min(total_items_, std::max(coarse.items_to_end, kTailWaves * workers));
    end_items += (total_items_ - end_items) % workers;
    if (end_items <= kEndWaves * workers && total_items_ > kEndWaves * workers) {
      list_end(end_items);
      return;
    }
    std::int64_t front_items = 0;
    for (std::int64_t r = 0; r <= coarse.last_run; ++r)
      front_items += visible_items(plan_.runs[static_cast<std::size_t>(r)]);
    if (front_items <= kFrontWaves * workers) {
      list_front(coarse.last_run, mean);
      run_items_ -= front_items;
    } else {
      list_end(std::min(end_items, (kFrontWaves * workers + total_items_ % workers)));
    }
  }

  /// Where coarse items are. Judged for each run at three of its items: the first and the last of its last section of
  /// heads, and the one between them at which a cost that falls evenly is largest beside what follows.
  struct Coarse {
    std::int64_t last_run = -1;     // −1: none
    std::int64_t items_to_end = 0;  // from the first coarse item to the end of the order
  };
  Coarse find_coarse(Cost mean) const {
    const std::int64_t workers = plan_.target.workers;
    const Cost slack = mean / kSlackShare * workers;
    Coarse coarse;
    Cost later_cost = 0;
    std::int64_t later_items = 0;
    const Cost longest = plan_.runs.empty() ? 0 : work_of(plan_.runs.front()).longest;
    for (std::int64_t r = std::ssize(plan_.runs) - 1; r >= 0; --r) {
      const Run& run = plan_.runs[static_cast<std::size_t>(r)];
      const Work& request = work_of(run);
      if (later_cost + slack >= workers * longest) break;  // nothing before can be coarse
      const std::int64_t section_heads = (plan_.batch.kv_heads - 1) % run.heads_per_section + 1;
      const std::int64_t width = section_heads * run.geometry.head_chunks;  // items of one tile
      const std::int64_t visible = run.tiles - blind_tiles(run.geometry, plan_.batch.mask);
      const Cost shortest = visible == 0 ? plan_.target.item_cost : tile_cost(run, run.tiles - visible);
      // A single tile too short to be cut gains nothing from being listed: the runs are in order already.
      const std::int64_t longest_blocks = (request.longest - plan_.target.item_cost) / block_cost(run);
      const bool listing_helps = visible > 1 || longest_blocks >= 2 * level_.least_blocks(block_cost(run));
      const auto is_coarse = [&](std::int64_t rank) {  // rank 0: the last visible tile of the section to be drawn
        const Cost cost = shortest + (visible <= 1 ? 0 : (request.longest - shortest) * rank / (visible - 1));
        const Cost own = width * ((rank + 1) * (cost + shortest) / 2);
        return workers * cost > own + later_cost + slack;
      };
      for (const std::int64_t rank : {visible - 1, std::min(visible - 1, workers / width), std::int64_t{0}}) {
        if (!listing_helps || rank < 0 || !is_coarse(rank)) continue;
        if (coarse.last_run < 0) coarse.last_run = r;
        coarse.items_to_end = later_items + std::max((rank + 1) * width, workers);
        break;
      }
      later_cost += request.cost;
      later_items += items_per_tile(run) * run.tiles;
    }
    return coarse;
  }

  Cost block_cost(const Run& run) const {
    return plan_.target.tile_shapes[static_cast<std::size_t>(run.geometry.main_shape)].block_cost;
  }

  Cost tile_cost(const Run& run, std::int64_t tile) const {
    const KeyRange keys = tile_keys(run.geometry, plan_.batch.mask, plan_.target.key_block, tile);
    return cost_of(plan_.target, tile_shape(run.geometry, tile), block_count(keys, plan_.target.key_block), false);
  }

  std::int64_t visible_items(const Run& run) const {
    return items_per_tile(run) * (run.tiles - blind_tiles(run.geometry, plan_.batch.mask));
  }

  /// Lists and levels the runs up to `last_run`, but for tiles that see no key.
  void list_front(std::int64_t last_run, Cost mean) {
    std::vector<ListedTile> front;
    for (std::int64_t r = 0; r <= last_run; ++r) {
      Run& run = plan_.runs[static_cast<std::size_t>(r)];
      list_tiles(run, blind_tiles(run.geometry, plan_.batch.mask), front);
    }
    level_.append(front, plan_.target.workers, mean);
    plan_.listed_front = static_cast<std::int64_t>(plan_.listed.size());
  }

  /// Lists and levels the last `items` of the order.
  void list_end(std::int64_t items) {
    run_items_ -= items;
    std::vector<ListedTile> back;
    for (auto run = plan_.runs.rbegin(); items > 0; ++run) {
      const std::int64_t count = std::min(items, items_per_tile(*run) * run->tiles);
      list_last_items(*run, count, back);
      items -= count;
    }
    level_.append(back, plan_.target.workers, 0);
  }

  /// batch_invariant: a request's tiles are cut by a length that only the request itself and the target decide.
  void cut_by_own_length() {
    const std::int64_t workers = plan_.target.workers;
    std::vector<ListedTile> listed;
    std::int64_t listed_items = 0;
    for (Run& run : plan_.runs) {
      const Work& request = work_of(run);
      const Cost share = ceil_div(request.cost, workers);
      const Cost block_cost = this->block_cost(run);
      const std::int64_t part_blocks = std::max(kInvariantPartBlocks, ceil_div(share, block_cost));
      if (request.longest <= plan_.target.item_cost + part_blocks * block_cost) continue;
      const std::size_t first = listed.size();
      list_tiles(run, first_tile_above(run, part_blocks), listed);
      listed_items += static_cast<std::int64_t>(listed.size() - first);
      for (std::size_t i = first; i < listed.size(); ++i) listed[i].part_blocks = part_blocks;
    }
    level_.append_fixed(listed);
    plan_.listed_front = static_cast<std::int64_t>(plan_.listed.size());
    run_items_ = total_items_ - listed_items;
  }

  /// The first tile with more key blocks than `blocks`, if tiles grow towards the end, as they do up to block
  /// alignment.
  std::int64_t first_tile_above(const Run& run, std::int64_t blocks) const {
    std::int64_t low = blind_tiles(run.geometry, plan_.batch.mask);
    std::int64_t high = run.tiles;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      const KeyRange keys = tile_keys(run.geometry, plan_.batch.mask, plan_.target.key_block, middle);
      if (block_count(keys, plan_.target.key_block) > blocks) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  /// Moves the tiles of a run from `first` on to the list.
  void list_tiles(Run& run, std::int64_t first, std::vector<ListedTile>& out) {
    out.reserve(out.size() + static_cast<std::size_t>(items_per_tile(run) * (run.tiles - first)));
    for (std::int64_t tile = run.tiles - 1; tile >= first; --tile) {
      const ListedTile whole = level_.listed(whole_tile(view_, run.geometry, run.request, 0, 0, tile));
      for (std::int32_t head = 0; head < plan_.batch.kv_heads; ++head) {
        for (std::int32_t chunk = 0; chunk < run.geometry.head_chunks; ++chunk) {
          out.push_back(whole);
          set_heads(view_, run.geometry, head, chunk, out.back().item);
        }
      }
    }
    run.tiles = first;
  }

  /// Copies the last `count` items of a run to the list; the runs' end moves before them.
  void list_last_items(const Run& run, std::int64_t count, std::vector<ListedTile>& out) {
    const std::int64_t all = items_per_tile(run) * run.tiles;
    out.reserve(out.size() + static_cast<std::size_t>(count));
    for (std::int64_t i = all - count; i < all; ++i) out.push_back(level_.listed(run_item(view_, run, i)));
  }

  /// Numbers the items that stay in runs and drops the runs that have none.
  void index_runs() {
    std::int64_t begin = 0;
    std::size_t kept = 0;
    for (std::size_t r = 0; r < plan_.runs.size() && begin < run_items_; ++r) {
      if (plan_.runs[r].tiles == 0) continue;
      if (kept != r) plan_.runs[kept] = plan_.runs[r];
      Run& run = plan_.runs[kept++];
      run.item_begin = begin;
      begin += items_per_tile(run) * run.tiles;
    }
    plan_.runs.resize(kept);
    plan_.run_items = run_items_;
  }

  PlanData& plan_;
  PlanView view_;
  TileSelector selector_;
  Leveller level_;
  std::vector<Work> work_;           // by request
  std::int64_t section_keys_;        // keys of one head that half of L2 holds
  std::int64_t whole_section_keys_;  // and of all heads
  Cost total_cost_ = 0;
  std::int64_t total_items_ = 0;
  std::int64_t run_items_ = 0;
};

}  // namespace

Plan make_plan(const Batch& batch, const PlanTarget& target) {
  const auto start = std::chrono::steady_clock::now();
  validate(target);
  auto data = std::make_shared<PlanData>();
  data->batch = canonical(batch);
  data->target = target;
  Planner(*data).build();
  data->plan_us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  return Plan(std::move(data));
}

}  // namespace varlen
