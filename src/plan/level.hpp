// Levelling: a short list of tiles is laid on equal shares of work and cut where a share ends, if that shortens the
// schedule.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/plan_data.hpp"

namespace varlen {

/// A tile that the planner lists explicitly.
struct ListedTile {
  Cost cost;                     // of `item`, whole
  std::int64_t part_blocks = 0;  // append_fixed: key blocks of each part
  WorkItem item;
};

class Leveller {
 public:
  explicit Leveller(PlanData& plan) : plan_(plan) {}

  ListedTile listed(const WorkItem& item) const;

  /// A part has at least so many key blocks that its work is worth its overhead.
  std::int64_t least_blocks(Cost block_cost) const;

  /// Appends `tiles` to the plan's list, longest first, cut so that `workers` finish together if that pays.
  /// Each of them is to take at least `share`.
  void append(const std::vector<ListedTile>& tiles, std::int64_t workers, Cost share);

  /// Appends `tiles`, each cut into parts of its own `part_blocks`, longest part first.
  void append_fixed(const std::vector<ListedTile>& tiles);

 private:
  std::vector<ListedTile> cut_at_shares(const std::vector<ListedTile>& tiles, const std::vector<std::int32_t>& order,
                                        std::size_t whole, Cost share);
  void cut(const ListedTile& tile, const std::vector<std::int64_t>& cuts, std::vector<ListedTile>& out);
  void emit(const std::vector<ListedTile>& tiles, const std::vector<std::int32_t>& order);
  Cost block_cost(const WorkItem& item) const;
  Cost part_cost() const;

  PlanData& plan_;
};

}  // namespace varlen
