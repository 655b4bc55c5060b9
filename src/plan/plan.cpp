#include "varlen/plan.hpp"

#include <utility>

#include "plan/cursor.hpp"
#include "plan/plan_data.hpp"

namespace varlen {

Plan::Plan(std::shared_ptr<const PlanData> data) noexcept : data_(std::move(data)) {}

std::int64_t Plan::item_count() const noexcept { return varlen::item_count(data_->view()); }

WorkItem Plan::item(std::int64_t index) const noexcept { return item_at(data_->view(), index); }

Cost Plan::item_cost(const WorkItem& item) const noexcept {
  return cost_of(data_->target, item.tile_shape, block_count({item.key_begin, item.key_end}, data_->target.key_block),
                 item.parts > 1);
}

const std::vector<Merge>& Plan::merges() const noexcept { return data_->merges; }

std::int64_t Plan::partial_rows() const noexcept { return data_->partial_rows; }

const PlanTarget& Plan::target() const noexcept { return data_->target; }

}  // namespace varlen
