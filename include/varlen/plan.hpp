// Plan: who computes what. An ordered list of work items that covers every query row of every request exactly once,
// contains nothing empty, and is balanced over the target's workers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "varlen/batch.hpp"
#include "varlen/export.hpp"

namespace varlen {

/// Costs are integers in sixteenths of a key block of the tallest tile, so that every planner computes the same plan.
using Cost = std::int64_t;
inline constexpr Cost kCostPerBlock = 16;

/// The rows of one tile and what one key block costs it.
struct TileShape {
  std::int32_t rows = 0;            ///< (query token, head) pairs, token-major
  Cost block_cost = kCostPerBlock;  ///< of one key block
};

/// The machine a plan is made for.
struct PlanTarget {
  std::string name;
  std::vector<TileShape> tile_shapes;  ///< 1 to kMaxTileShapes, tallest first, strictly decreasing rows
  std::int32_t key_block = 128;        ///< keys per key block
  std::int32_t workers = 1;            ///< thread blocks resident at once, or CPU threads
  Cost item_cost = 24;                 ///< every item: 1.5 blocks
  Cost split_cost = 32;                ///< an item that is a part of a split tile: 2 blocks more
  std::int64_t l2_bytes = 0;           ///< cache shared by all workers
  std::int32_t invariant_shares = 0;   ///< with batch_invariant, tiles are cut as for so many workers; 0: for `workers`

  static constexpr int kMaxTileShapes = 4;

  static VARLEN_API PlanTarget h100();                     ///< 132 workers; 128 and 64 rows × 128 keys; 50 MB of L2
  static VARLEN_API PlanTarget b200();                     ///< 148 workers; 256 and 128 rows × 128 keys; 126 MB of L2
  static VARLEN_API PlanTarget cpu(std::int32_t threads);  ///< 0: as many as OMP_NUM_THREADS says,
                                                           ///< else one for each CPU that the process may use,
                                                           ///< no more than its control group grants
  /// "cpu", "h100" or "b200".
  static VARLEN_API PlanTarget named(const std::string& name);
};

/// What every batch that a plan is made for on a device keeps to: its memory is set aside before lengths are known.
struct Limits {
  std::int64_t requests = 0;
  std::int64_t query_tokens = 0;  ///< the last query offset; with query_lengths alone their sum
  std::int64_t key_tokens = 0;    ///< the last key offset; with key_lengths alone, as for pages, their sum
  std::int64_t query_length = 0;  ///< of one request; 0: as many as of all. A limit here makes planning faster
  std::int64_t key_length = 0;    ///< of one request; 0: as many as of all
};

/// A tile (some query tokens of one request × some query heads of one KV head's group) and the range of keys it
/// computes here. Positions are tokens within the request. A whole tile's range is every key block that its rows may
/// see.
struct WorkItem {
  std::int64_t query_begin;  ///< first query token
  std::int64_t query_count;  ///< > 0
  std::int64_t key_begin;    ///< a multiple of the target's key_block
  std::int64_t key_end;      ///< ≤ key length; == key_begin: the rows see no key. They get zeros and LSE = −inf
  std::int64_t partial_row;  ///< split tiles: first row of this part in the workspace; −1 for whole tiles
  std::int32_t request;
  std::int32_t kv_head;
  std::int32_t query_head_begin;  ///< first query head; all belong to kv_head's group
  std::int32_t query_head_count;  ///< > 0; rows = query_count × query_head_count, token-major
  std::int32_t tile_shape;        ///< index into PlanTarget::tile_shapes
  std::int32_t part;              ///< 0 … parts − 1
  std::int32_t parts;             ///< 1: whole
  std::int32_t merge;             ///< index of the split tile among Plan::merges(); −1 for whole tiles
};

/// A split tile: its parts lie one after another in the workspace, each `query_count × query_head_count` rows, and are
/// merged in this order.
struct Merge {
  std::int64_t query_begin;
  std::int64_t query_count;
  std::int64_t partial_row;  ///< first workspace row of part 0
  std::int32_t request;
  std::int32_t kv_head;
  std::int32_t query_head_begin;
  std::int32_t query_head_count;
  std::int32_t parts;
  std::int32_t tile_shape;
};

/// What walking the emitted items and simulating the workers shows. Nothing here is taken from the planner's own sums.
///
/// Of a plan of more than 2^20 items only the last 2^20 are simulated, drawn by workers that begin together; the cost
/// of all before them counts as spread evenly. `simulated_items` tells. Then `makespan` and what follows from it are
/// within the longest item's cost of the whole simulation, the L2 footprints are those of the simulated items, and all
/// counts and `mean` are exact, but computed by closed forms for each request instead of item by item.
struct PlanReport {
  std::int64_t requests = 0;
  std::int64_t tiles = 0;
  std::int64_t empty_tiles = 0;  ///< tiles without rows. Always 0: counted, not assumed
  std::int64_t blind_tiles = 0;  ///< tiles whose rows see no key (written as zeros, nothing loaded)
  std::int64_t items = 0;
  std::int64_t splits = 0;         ///< tiles cut by key range
  std::int64_t partial_slots = 0;  ///< parts of cut tiles
  std::int64_t partial_rows = 0;   ///< workspace rows of all parts
  std::int64_t live_rows = 0;      ///< (query token, query head) pairs computed
  std::int64_t tile_rows = 0;      ///< rows of all tile shapes used, dead ones included
  std::int64_t key_blocks = 0;     ///< summed over items
  std::int64_t padded_tiles = 0;   ///< requests × the tiles of the longest one: the grid of a kernel without a plan
  std::int32_t workers = 0;
  double mean = 0;                        ///< total cost / workers, in key blocks
  double makespan = 0;                    ///< of dynamic drawing in order, in key blocks
  double makespan_over_mean = 1;          ///< 1 for a plan without items
  double makespan_over_unsplit_mean = 1;  ///< the same against the cost without the overhead of splitting
  double l2_footprint_mean = 0;  ///< bytes of distinct (request, KV head) keys and values in flight, time average
  std::int64_t l2_footprint_max = 0;
  std::int64_t plan_bytes = 0;
  double plan_us = 0;                ///< host time that making the plan took
  std::int64_t simulated_items = 0;  ///< the last ones; items, unless there are more than 2^20
};

/// One item on one worker of the simulation that report() runs, in cost units.
struct ScheduledItem {
  std::int64_t item;
  std::int32_t worker;
  Cost begin;
  Cost end;
};

struct PlanData;  // src/plan/plan_data.hpp

/// Immutable, cheap to copy (shared), usable for every layer and from several threads at once. Holds no tensor
/// pointers.
class VARLEN_API Plan {
 public:
  /// Items in order; workers draw indices 0, 1, 2, … from one counter.
  std::int64_t item_count() const noexcept;
  /// The item at `index` (0 ≤ index < item_count()). O(log requests).
  WorkItem item(std::int64_t index) const noexcept;
  /// Its cost by the target's cost model.
  Cost item_cost(const WorkItem& item) const noexcept;
  const std::vector<Merge>& merges() const noexcept;
  std::int64_t partial_rows() const noexcept;

  const PlanTarget& target() const noexcept;
  /// O(requests + workers) memory, and time for 2^20 items at most.
  PlanReport report() const;
  /// Which worker draws which item when, in the simulation of all items: ordered by item. O(items) memory.
  std::vector<ScheduledItem> simulate() const;

  const PlanData& data() const noexcept { return *data_; }
  explicit Plan(std::shared_ptr<const PlanData> data) noexcept;

 private:
  std::shared_ptr<const PlanData> data_;
};

/// Plans a batch. O(requests + workers) time and memory, whatever the heads and lengths. Throws Error for an invalid
/// spec, request or target.
VARLEN_API Plan make_plan(const AttentionSpec& spec, const Requests& requests, const PlanTarget& target);
inline Plan make_plan(const Batch& batch, const PlanTarget& target) { return make_plan(batch, batch, target); }

/// The report and the item list's summary as one JSON object (keys are the fields of PlanReport).
VARLEN_API std::string report_json(const PlanReport& report);

struct TimelineOptions {
  std::string title;
  bool padded_contrast = true;  ///< draw the padded grid's timeline beside the plan's
  /// Measured (begin, end) of each item in seconds and the worker that ran it, ordered by item; empty: the simulation
  /// only.
  struct MeasuredItem {
    std::int32_t worker;
    double begin;
    double end;
  };
  std::vector<MeasuredItem> measured;
};
/// Workers × time, coloured by request; self-contained. Throws Error(kUnsupported) for plans of more than 2^22 items.
VARLEN_API std::string timeline_svg(const Plan& plan, const TimelineOptions& options);
VARLEN_API std::string timeline_html(const Plan& plan, const TimelineOptions& options);

}  // namespace varlen
