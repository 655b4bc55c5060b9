// What surrounds the products of a kernel that works with boxes: a warp that draws items, one that loads, and one that
// stores results. Memory says where things are and which barriers tell of them (WgmmaMemory, Tcgen05Memory).
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"
#include "kernel/pipeline.hpp"
#include "kernel/work_queue.hpp"

namespace varlen::kernel {

/// Draws items and says what they are to all others.
template <class Memory>
struct Scheduler {
  using Shape = typename Memory::Shape;

  VARLEN_DEVICE static void run(const ForwardParameters& parameters) {
    Ring<Shape::kWorkSlots> slots;
    std::int32_t run = kFirst;
    for (;;) {
      {
        const TileWork work = next_work(parameters, run);
        wait_together(Memory::work_empty(slots.stage()), slots.parity() ^ 1U);
        if (gpu::lane_index() == 0) store_work(Memory::work(slots.stage()), work);
        run = work.rows == 0 ? kNoRun : work.run;
      }
      if (run != kNoRun && !is_sound(parameters, Memory::work(slots.stage()))) continue;
      if (gpu::lane_index() == 0) gpu::arrive(Memory::work_full(slots.stage()));
      if (run == kNoRun) return;
      gpu::wait_for(Memory::work_wanted(), static_cast<std::uint32_t>(slots.stage()) % 2);
      slots.advance();
    }
  }
};

/// Brings queries, keys and values.
template <class Memory>
class Loader {
  using Shape = typename Memory::Shape;
  // The next item is drawn when so many steps of this one are left to load: then about twice as many are left to
  // compute, which takes longer than drawing and looking up.
  static constexpr int kStepsBeforeNext = 2;

 public:
  VARLEN_DEVICE explicit Loader(const ForwardParameters& parameters)
      : parameters_(parameters), keys_(parameters.boxes.keys) {}

  VARLEN_DEVICE void run() {
    for_each_work<Memory>([&](const TileWork& work, gpu::SharedAddress) {
      if (work.keys > 0) load_queries(work);
      const std::int32_t order_at = work.keys - kStepsBeforeNext * Shape::kKeys;
      if (order_at <= 0) order_next();
      for (std::int32_t begin = 0; begin < work.keys; begin += Shape::kKeys) {
        load_step(work, begin);
        if (begin < order_at && begin + Shape::kKeys >= order_at) order_next();
      }
    });
  }

 private:
  VARLEN_DEVICE static void order_next() {
    if (gpu::lane_index() == 0) gpu::arrive(Memory::work_wanted());
  }

  VARLEN_DEVICE void load_queries(const TileWork& work) {
    const QueryBoxes& boxes = parameters_.boxes.queries;
    const auto stage = Memory::loaded_queries(queries_);
    gpu::wait_for(stage.empty, stage.parity ^ 1U);
    if (gpu::elect_one()) {
      gpu::arrive_expecting(stage.full,
                            static_cast<std::uint32_t>(boxes.rows[work.box]) * stage.matrix.kPanels * kRowBytes);
      VARLEN_UNROLL
      for (int panel = 0; panel < stage.matrix.kPanels; ++panel) {
        // As if the request ended with the tile.
        const gpu::BoxPlace place = {panel * 64, work.query_head, boxes.bound - work.tokens(),
                                     static_cast<std::int32_t>(work.query_token) + work.tokens(), 0};
        gpu::load_box(stage.matrix.panel(panel), boxes.query[work.box], place, stage.full);
      }
    }
    queries_.advance();
  }

  /// Each lane loads a box. If keys are ragged, there is just one.
  VARLEN_DEVICE void load_step(const TileWork& work, std::int32_t begin) {
    const std::int32_t row = gpu::lane_index() * keys_.rows;  // of the step
    const bool has_box = row < Shape::kKeys;
    // Boxes past the item's end would be empty, which no box may be: they are the last one again, and masked. Those of
    // hidden keys alone may have no page: they are the first of the others.
    const std::int32_t hidden = work.hidden_keys();
    const std::int32_t key = least(greatest(begin + row, keys_.box_begin(hidden)), keys_.box_begin(work.keys - 1));
    gpu::BoxPlace place = {0, work.kv_head, 0, 0, 0};
    if (!parameters_.is_paged) {
      // As if the request ended with the item's keys.
      place[2] = keys_.bound - work.keys + key;
      place[3] = static_cast<std::int32_t>(work.key_token) + work.keys;
    } else if (has_box) {
      const TileWork::PagedKey at = work.paged_key(parameters_, key);
      place[2] = keys_.bound - at.slots + at.slot;
      place[3] = at.slots;
      place[4] = static_cast<std::int32_t>(at.page);
    }
    const auto keys = steps_.keys();
    load_matrix(keys, keys.full, keys_.key, has_box, row, place);
    const auto values = steps_.values();
    const bool to_clear = Shape::kClearsValues && begin < hidden;
    load_matrix(values, to_clear ? Memory::value_landed(steps_.value_stage()) : values.full, keys_.value, has_box, row,
                place);
    steps_.advance();
  }

  /// The copies arrive at `landed`.
  template <class Matrix>
  VARLEN_DEVICE static void load_matrix(const Stage<Matrix>& stage, gpu::SharedAddress landed,
                                        const gpu::TensorMap& map, bool has_box, std::int32_t row,
                                        gpu::BoxPlace& place) {
    wait_together(stage.empty, stage.parity ^ 1U);
    // A commit of products tells of their end, but not of a warp that has cleared what they read: the last phase does.
    if constexpr (Shape::kClearsValues && Memory::kEmptiedByCommits) wait_together(stage.full, stage.parity ^ 1U);
    if (gpu::lane_index() == 0) gpu::arrive_expecting(landed, Matrix::kBytes);
    if (!has_box) return;
    VARLEN_UNROLL
    for (int panel = 0; panel < Matrix::kPanels; ++panel) {
      place[0] = panel * 64;
      gpu::load_box(stage.matrix.panel(panel) + static_cast<std::uint32_t>(row) * kRowBytes, map, place, landed);
    }
  }

  static constexpr std::uint32_t kRowBytes = 128;

  const ForwardParameters& parameters_;
  const KeyBoxes& keys_;
  Ring<Shape::kQueryStages> queries_;
  typename Memory::Steps steps_;
};

/// Stores results that consumers left in place of the queries, and gives the place back to the loader.
template <class Memory>
struct Storer {
  using Shape = typename Memory::Shape;

  VARLEN_DEVICE static void run(const ForwardParameters& parameters) {
    Ring<Shape::kQueryStages> queries;
    for_each_work<Memory>([&](const TileWork& work, gpu::SharedAddress) {
      if (work.keys == 0) return;  // has no queries
      gpu::wait_for(Memory::result_full(queries.stage()), queries.parity());
      if (gpu::elect_one()) {
        if (work.boxed_out != 0) store(parameters, work, Memory::results(queries.stage()));
        gpu::arrive(Memory::query_empty(queries.stage()));
      }
      queries.advance();
    });
  }

 private:
  VARLEN_DEVICE static void store(const ForwardParameters& parameters, const TileWork& work,
                                  const typename Shape::Results& matrix) {
    const QueryBoxes& boxes = parameters.boxes.queries;
    VARLEN_UNROLL
    for (int panel = 0; panel < Shape::Results::kPanels; ++panel) {
      const gpu::BoxPlace place = {panel * 64, work.query_head, boxes.bound - work.tokens(),
                                   static_cast<std::int32_t>(work.query_token) + work.tokens(), 0};
      gpu::store_box(boxes.out[work.box], place, matrix.panel(panel));
    }
    gpu::store_box_wait();
  }
};

}  // namespace varlen::kernel
