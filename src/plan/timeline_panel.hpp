// What a timeline picture shows, before it is drawn: panels of boxes (who works on what when), without pixels or
// markup.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plan/padded_grid.hpp"
#include "varlen/plan.hpp"

namespace varlen::timeline {

/// One coloured stretch of one worker's time: an item, or neighbouring items too small to draw one by one.
struct Box {
  double begin;
  double end;
  std::int64_t merge;  // of a part of a split tile; −1 otherwise
  std::int32_t worker;
  std::int32_t request;
  bool wasted;    // padding: rows or keys that do not exist
  bool odd_head;  // drawn a shade lighter, so that neighbouring heads can be told apart
  std::string label;
};

/// Where the last part of a split tile ends: from here on its parts can be merged.
struct MergeMark {
  double time;
  std::int64_t merge;
  std::int32_t worker;
};

struct Panel {
  std::string heading;
  std::string figures;  // one line of numbers
  std::string unit;     // what the axis is called
  std::int32_t workers = 0;
  double makespan = 0;
  double mean = 0;
  double scale_end = 0;      // time at the right edge
  std::string continues_to;  // if work goes on beyond the right edge: until when
  std::vector<Box> boxes;    // by worker, then by time
  std::vector<MergeMark> marks;
  std::int64_t merged_items = 0;  // drawn together with a neighbour
};

/// The plan in the simulation that report() runs; times in key blocks.
Panel plan_panel(const Plan& plan, const std::vector<ScheduledItem>& schedule, std::size_t max_boxes);
/// The plan as it ran; times in milliseconds.
Panel measured_panel(const Plan& plan, const std::vector<TimelineOptions::MeasuredItem>& measured,
                     std::size_t max_boxes);
/// The padded grid up to `scale_end` key blocks.
Panel padded_panel(const PaddedGrid& grid, const PlanTarget& target, double scale_end, std::size_t max_boxes);

}  // namespace varlen::timeline
