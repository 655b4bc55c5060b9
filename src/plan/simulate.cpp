#include "plan/simulate.hpp"

namespace varlen {

std::vector<ScheduledItem> Plan::simulate() const {
  std::vector<ScheduledItem> schedule;
  schedule.reserve(static_cast<std::size_t>(item_count()));
  draw_items(*data_, 0, [&](const ScheduledItem& scheduled, const WorkItem&) { schedule.push_back(scheduled); });
  return schedule;
}

}  // namespace varlen
