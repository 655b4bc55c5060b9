#include "plan/timeline_panel.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

namespace varlen::timeline {
namespace {

struct Span {
  double begin;
  double end;
  std::int64_t source;  // index of the item or padded tile
  std::int64_t merge;
  std::int32_t request;
  bool wasted;
  bool odd_head;
};

using Lanes = std::vector<std::vector<Span>>;

double blocks(Cost cost) { return static_cast<double>(cost) / static_cast<double>(kCostPerBlock); }

/// Draws the spans [first, last) of one lane as one box, coloured by the request that fills most of it; and their
/// padding, if any, as another box behind it, so that its share stays true.
void add_cluster(const std::vector<Span>& lane, std::size_t first, std::size_t last, std::int32_t worker,
                 std::vector<Box>& boxes) {
  std::map<std::int32_t, double> useful;  // time by request
  double wasted = 0;
  for (std::size_t i = first; i < last; ++i) {
    (lane[i].wasted ? wasted : useful[lane[i].request]) += lane[i].end - lane[i].begin;
  }
  const double end = lane[last - 1].end;
  const std::string label = fmt::format("{} neighbours drawn as one", last - first);
  if (!useful.empty()) {
    const auto most = std::max_element(useful.begin(), useful.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    std::string requests = fmt::format("\nrequest {}", most->first);
    if (useful.size() > 1) requests += fmt::format(" and {} others", useful.size() - 1);
    boxes.push_back({lane[first].begin, end - wasted, -1, worker, most->first, false, false, label + requests});
  }
  if (wasted > 0)
    boxes.push_back({end - wasted, end, -1, worker, lane[first].request, true, false, label + "\npadding"});
}

/// End of the box that begins with span `first`: that span alone, or it and its neighbours if they are slivers
/// together.
std::size_t box_end(const std::vector<Span>& lane, std::size_t first, double sliver) {
  std::size_t last = first + 1;
  while (last < lane.size() && lane[last - 1].end - lane[first].begin < sliver &&
         lane[last].end - lane[last].begin < sliver) {
    ++last;
  }
  return last;
}

template <typename Label>
void draw_lane(const std::vector<Span>& lane, std::int32_t worker, double sliver, const Label& label, Panel& panel) {
  std::size_t first = 0;
  while (first < lane.size()) {
    const std::size_t last = box_end(lane, first, sliver);
    const Span& span = lane[first];
    if (last - first == 1) {
      panel.boxes.push_back(
          {span.begin, span.end, span.merge, worker, span.request, span.wasted, span.odd_head, label(span)});
    } else {
      add_cluster(lane, first, last, worker, panel.boxes);
      panel.merged_items += static_cast<std::int64_t>(last - first);
    }
    first = last;
  }
}

std::size_t box_count(const Lanes& lanes, double sliver) {
  std::size_t count = 0;
  for (const auto& lane : lanes) {
    for (std::size_t first = 0; first < lane.size(); first = box_end(lane, first, sliver)) ++count;
  }
  return count;
}

/// Fills panel.boxes, merging slivers just as far as `max_boxes` demands.
template <typename Label>
void draw(const Lanes& lanes, std::size_t max_boxes, const Label& label, Panel& panel) {
  double sliver = 0;
  if (box_count(lanes, sliver) > max_boxes) {
    sliver = panel.scale_end / 2000;  // about half a pixel
    // Every box is now followed by one that is not shorter than a sliver, so this ends.
    for (int round = 0; round < 40 && box_count(lanes, sliver) > max_boxes; ++round) sliver *= 1.5;
  }
  for (std::size_t worker = 0; worker < lanes.size(); ++worker) {
    draw_lane(lanes[worker], static_cast<std::int32_t>(worker), sliver, label, panel);
  }
}

Span item_span(const WorkItem& item, std::int64_t index, double begin, double end) {
  return {begin, end, index, item.merge, item.request, false, item.kv_head % 2 == 1};
}

std::string rows_and_keys(std::int64_t query_begin, std::int64_t query_count, std::int64_t key_begin,
                          std::int64_t key_end) {
  const std::string rows = fmt::format("\nquery rows {}–{}", query_begin, query_begin + query_count - 1);
  return rows + (key_begin < key_end ? fmt::format(" · keys {}–{}", key_begin, key_end - 1) : " · see no key");
}

std::string item_label(const Plan& plan, const Span& span, const char* unit) {
  const WorkItem item = plan.item(span.source);
  std::string text = fmt::format("request {} · KV head {}", item.request, item.kv_head);
  if (item.query_head_count > 1) {
    text +=
        fmt::format(" (query heads {}–{})", item.query_head_begin, item.query_head_begin + item.query_head_count - 1);
  }
  text += rows_and_keys(item.query_begin, item.query_count, item.key_begin, item.key_end);
  text += fmt::format("\ncost {:.4g} blocks", blocks(plan.item_cost(item)));
  if (item.parts > 1) text += fmt::format(" · part {} of {}", item.part + 1, item.parts);
  if (unit != nullptr) text += fmt::format("\n{:.4g} {}", span.end - span.begin, unit);
  return text;
}

/// One mark per split tile, where and when the last of its parts ends.
std::vector<MergeMark> merge_marks(const Lanes& lanes, std::size_t merges) {
  std::vector<MergeMark> marks(merges, MergeMark{-1, -1, -1});
  for (std::size_t worker = 0; worker < lanes.size(); ++worker) {
    for (const Span& span : lanes[worker]) {
      if (span.merge < 0) continue;
      MergeMark& mark = marks[static_cast<std::size_t>(span.merge)];
      if (span.end > mark.time) mark = {span.end, span.merge, static_cast<std::int32_t>(worker)};
    }
  }
  std::erase_if(marks, [](const MergeMark& mark) { return mark.worker < 0; });
  return marks;
}

std::string key_blocks_of(const PlanTarget& target) {
  return fmt::format("key blocks of {} rows × {} keys", target.tile_shapes.front().rows, target.key_block);
}

}  // namespace

Panel plan_panel(const Plan& plan, const std::vector<ScheduledItem>& schedule, std::size_t max_boxes) {
  Panel panel;
  panel.heading = "varlen’s plan";
  panel.unit = key_blocks_of(plan.target());
  panel.workers = plan.target().workers;
  Lanes lanes(static_cast<std::size_t>(panel.workers));
  double total = 0;
  for (const ScheduledItem& scheduled : schedule) {
    const WorkItem item = plan.item(scheduled.item);
    lanes[static_cast<std::size_t>(scheduled.worker)].push_back(
        item_span(item, scheduled.item, blocks(scheduled.begin), blocks(scheduled.end)));
    panel.makespan = std::max(panel.makespan, blocks(scheduled.end));
    total += blocks(scheduled.end - scheduled.begin);
  }
  panel.mean = total / panel.workers;
  panel.scale_end = panel.makespan;
  panel.marks = merge_marks(lanes, plan.merges().size());
  draw(
      lanes, max_boxes, [&](const Span& span) { return item_label(plan, span, nullptr); }, panel);
  return panel;
}

Panel measured_panel(const Plan& plan, const std::vector<TimelineOptions::MeasuredItem>& measured,
                     std::size_t max_boxes) {
  Panel panel;
  panel.heading = "as it ran";
  panel.unit = "ms";
  for (const auto& item : measured) panel.workers = std::max(panel.workers, item.worker + 1);
  Lanes lanes(static_cast<std::size_t>(panel.workers));
  double total = 0;
  const auto count = std::min(plan.item_count(), std::ssize(measured));
  for (std::int64_t index = 0; index < count; ++index) {
    const auto& time = measured[static_cast<std::size_t>(index)];
    if (time.worker < 0) continue;  // did not run
    lanes[static_cast<std::size_t>(time.worker)].push_back(
        item_span(plan.item(index), index, time.begin * 1e3, time.end * 1e3));
    panel.makespan = std::max(panel.makespan, time.end * 1e3);
    total += (time.end - time.begin) * 1e3;
  }
  for (auto& lane : lanes) {
    std::sort(lane.begin(), lane.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
  }
  panel.mean = panel.workers == 0 ? 0 : total / panel.workers;
  panel.scale_end = panel.makespan;
  panel.marks = merge_marks(lanes, plan.merges().size());
  draw(
      lanes, max_boxes, [&](const Span& span) { return item_label(plan, span, "ms"); }, panel);
  return panel;
}

Panel padded_panel(const PaddedGrid& grid, const PlanTarget& target, double scale_end, std::size_t max_boxes) {
  Panel panel;
  panel.heading = "the same batch as a padded grid";
  panel.unit = key_blocks_of(target);
  panel.workers = target.workers;
  panel.makespan = blocks(grid.makespan);
  panel.mean = blocks(grid.useful_cost) / target.workers;
  panel.scale_end = scale_end;
  Lanes lanes(static_cast<std::size_t>(panel.workers));
  for (std::size_t index = 0; index < grid.tiles.size(); ++index) {
    const PaddedTile& tile = grid.tiles[index];
    auto& lane = lanes[static_cast<std::size_t>(tile.worker)];
    const auto add = [&](Cost from, Cost to, bool wasted) {
      const double begin = blocks(from);
      const double end = std::min(blocks(to), scale_end);
      if (begin < end) {
        lane.push_back({begin, end, static_cast<std::int64_t>(index), -1, tile.request, wasted, tile.kv_head % 2 == 1});
      }
    };
    add(tile.begin, tile.useful_end, false);
    add(tile.useful_end, tile.end, true);
  }
  const auto label = [&](const Span& span) {
    const PaddedTile& tile = grid.tiles[static_cast<std::size_t>(span.source)];
    std::string text = fmt::format("request {} · KV head {}", tile.request, tile.kv_head);
    if (tile.query_count == 0) {
      return text + fmt::format("\nno rows: the tile begins at token {}, after the request’s end", tile.query_begin);
    }
    text += rows_and_keys(tile.query_begin, tile.query_count, tile.key_begin, tile.key_end);
    if (span.wasted) text += "\nand then padding";
    return text + fmt::format("\ncost {:.4g} blocks", blocks(tile.end - tile.begin));
  };
  draw(lanes, max_boxes, label, panel);
  return panel;
}

}  // namespace varlen::timeline
