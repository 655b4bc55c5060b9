// The machines that plans are made for: the one table of tile shapes and costs.

#include "plan/target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "plan/cpu_quota.hpp"
#include "varlen/plan.hpp"

namespace varlen {

PlanTarget PlanTarget::h100() {
  PlanTarget target;
  target.name = "h100";
  target.tile_shapes = {{128, kCostPerBlock}, {64, kCostPerBlock}};
  target.key_block = 128;
  target.workers = 132;
  target.l2_bytes = std::int64_t{50} << 20;
  return target;
}

PlanTarget PlanTarget::b200() {
  PlanTarget target;
  target.name = "b200";
  target.tile_shapes = {{256, kCostPerBlock}, {128, kCostPerBlock}};
  target.key_block = 128;
  target.workers = 148;
  target.l2_bytes = std::int64_t{126} << 20;
  return target;
}

PlanTarget PlanTarget::cpu(std::int32_t threads) {
  if (threads <= 0) {
    static const std::int32_t kQuota = cpu_quota();
    threads = static_cast<std::int32_t>(std::max(1U, std::thread::hardware_concurrency()));
    if (kQuota > 0) threads = std::min(threads, kQuota);
  }
  PlanTarget target;
  target.name = "cpu";
  // A CPU tile's cost follows its rows; packing the keys and values of a block costs as much as some 17 of them.
  target.tile_shapes = {{768, 16}, {256, 6}, {64, 2}, {16, 1}};
  target.key_block = 256;
  target.workers = threads;
  target.item_cost = 1;
  target.split_cost = 2;
  target.l2_bytes = std::int64_t{32} << 20;
  return target;
}

PlanTarget PlanTarget::named(const std::string& name) {
  if (name == "cpu") return cpu(0);
  if (name == "h100") return h100();
  if (name == "b200") return b200();
  throw Error(ErrorCode::kInvalidArgument, "target", Error::kNoIndex, name,
              fmt::format("target = {}: no such target; there are cpu, h100 and b200", name));
}

void validate(const PlanTarget& target) {
  const auto refuse = [](const std::string& field, std::int64_t index, std::int64_t value, const char* rule) {
    const std::string place = index < 0 ? field : fmt::format("{}[{}]", field, index);
    throw Error(ErrorCode::kInvalidArgument, field, index, fmt::format("{}", value),
                fmt::format("{} = {}: {}", place, value, rule));
  };
  constexpr std::int32_t kMaxTileRows = 4096;
  constexpr std::int32_t kMaxKeyBlock = 4096;
  constexpr std::int32_t kMaxWorkers = 1 << 16;
  constexpr Cost kMaxCost = 1 << 16;
  const auto shapes = static_cast<std::int64_t>(target.tile_shapes.size());
  if (shapes < 1 || shapes > PlanTarget::kMaxTileShapes) {
    refuse("target.tile_shapes.size", Error::kNoIndex, shapes, "a target has 1 to 4 tile shapes");
  }
  for (std::int64_t i = 0; i < shapes; ++i) {
    const TileShape& shape = target.tile_shapes[static_cast<std::size_t>(i)];
    if (shape.rows < 1 || shape.rows > kMaxTileRows) {
      refuse("target.tile_shapes.rows", i, shape.rows, "must be from 1 to 4096");
    }
    if (i > 0 && shape.rows >= target.tile_shapes[static_cast<std::size_t>(i - 1)].rows) {
      refuse("target.tile_shapes.rows", i, shape.rows, "must be less than the shape's before it");
    }
    if (shape.block_cost < 1 || shape.block_cost > kMaxCost) {
      refuse("target.tile_shapes.block_cost", i, shape.block_cost, "must be from 1 to 65536");
    }
  }
  if (target.key_block < 1 || target.key_block > kMaxKeyBlock) {
    refuse("target.key_block", Error::kNoIndex, target.key_block, "must be from 1 to 4096");
  }
  if (target.workers < 1 || target.workers > kMaxWorkers) {
    refuse("target.workers", Error::kNoIndex, target.workers, "must be from 1 to 65536");
  }
  if (target.item_cost < 0 || target.item_cost > kMaxCost) {
    refuse("target.item_cost", Error::kNoIndex, target.item_cost, "must be from 0 to 65536");
  }
  if (target.split_cost < 0 || target.split_cost > kMaxCost) {
    refuse("target.split_cost", Error::kNoIndex, target.split_cost, "must be from 0 to 65536");
  }
  if (target.l2_bytes < 0) refuse("target.l2_bytes", Error::kNoIndex, target.l2_bytes, "must not be negative");
}

}  // namespace varlen
