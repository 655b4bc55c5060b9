#include "gpu/emulator/tensor_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "gpu/emulator/operations.hpp"

namespace varlen::gpu::emulator {
namespace {

std::uint32_t known(const Clock& clock, std::size_t component) {
  return component < clock.size() ? clock[component] : 0;
}

}  // namespace

void TensorMemory::reset(int warps, std::size_t fences, std::size_t commits) {
  warps_ = static_cast<std::size_t>(warps);
  fences_ = fences;
  commits_ = commits;
  given_up_ = false;
  allocations_.clear();
  words_.assign(std::size_t{kTensorLanes} * kTensorColumns, 0xFFFFFFFFU);
  granules_.assign(std::size_t{kTensorQuarters} * kTensorColumns, {});
  loaded_.assign(granules_.size() * warps_, 0);
}

std::string TensorMemory::place(int quarter, int column) const {
  return fmt::format("column {} of lanes {} to {}", column, quarter * kWarpThreads, (quarter + 1) * kWarpThreads - 1);
}

/// The first place that is free: what a block gets is not said. (PTX ISA: tcgen05.alloc: columns are a power of two
/// from 32 to 512; it waits until there are as many.)
std::optional<std::string> TensorMemory::allocate(int columns, const TensorActor& actor, std::uint32_t& first) {
  if (columns < 32 || columns > kTensorColumns || !std::has_single_bit(static_cast<unsigned>(columns))) {
    return fmt::format("asks for {} columns, which is not a power of two from 32 to 512", columns);
  }
  if (given_up_) return "comes after give_up_tensor_allocation";
  int column = 0;
  for (const Allocation& each : allocations_) {
    if (each.column < column + columns && column < each.column + each.columns) column = each.column + each.columns;
  }
  if (column + columns > kTensorColumns) {
    return fmt::format("waits for {} columns for ever: the block itself has {} columns", columns, column);
  }
  const auto w = static_cast<std::size_t>(actor.warp);
  allocations_.push_back({column, columns, actor.warp, (*actor.clock)[w]});
  std::sort(allocations_.begin(), allocations_.end(),
            [](const Allocation& a, const Allocation& b) { return a.column < b.column; });
  first = static_cast<std::uint32_t>(column);
  return std::nullopt;
}

std::optional<std::string> TensorMemory::check_allocated(int column, int columns, const TensorActor& actor) const {
  for (const Allocation& each : allocations_) {
    if (column < each.column || column + columns > each.column + each.columns) continue;
    const std::uint32_t time = known(*actor.clock, static_cast<std::size_t>(each.warp));
    if (each.warp == actor.warp || time >= each.time) return std::nullopt;
    return fmt::format("is of columns that warp {} has allocated with no barrier since then", each.warp);
  }
  return fmt::format("is of columns {} to {}, which are not within an allocation", column, column + columns - 1);
}

template <class Visit>
void TensorMemory::for_each(const TensorRange& range, const Visit& visit) const {
  for (int quarter = range.first_quarter; quarter < range.first_quarter + range.quarters; ++quarter) {
    for (int column = range.column; column < range.column + range.columns; ++column) visit(index(quarter, column));
  }
}

/// Calls check(granule's index) for each granule of the range until one has a fault, and says which.
template <class Check>
std::optional<std::string> TensorMemory::first_fault(const TensorRange& range, const Check& check) const {
  for (int quarter = range.first_quarter; quarter < range.first_quarter + range.quarters; ++quarter) {
    for (int column = range.column; column < range.column + range.columns; ++column) {
      if (auto fault = check(index(quarter, column))) return place(quarter, column) + *fault;
    }
  }
  return std::nullopt;
}

bool TensorMemory::is_after_write(const Granule& granule, const TensorActor& actor) const {
  if (granule.component == fences_ + static_cast<std::size_t>(actor.warp)) return true;  // it has waited since then
  const std::uint32_t time = known(*actor.view, granule.component);
  return granule.component == commits_ ? time >= granule.write_time : time > granule.write_time;
}

std::optional<std::string> TensorMemory::check_writer(const Granule& granule, const TensorActor& actor,
                                                      const std::string& does) const {
  if (granule.stores > 0) return fmt::format(", to which a store of thread {} is in flight", granule.user);
  if (!granule.written || is_after_write(granule, actor)) return std::nullopt;
  return fmt::format(", which {} of thread {} wrote, {} with no barrier and fences since then",
                     granule.component == commits_ ? "a product" : "a store", granule.writer, does);
}

std::optional<std::string> TensorMemory::check_readers(std::size_t granule, const TensorActor& actor,
                                                       const std::string& does) const {
  if (granules_[granule].loads > 0) {
    return fmt::format(", from which a load of thread {} is in flight", granules_[granule].user);
  }
  for (std::size_t w = 0; w < warps_; ++w) {
    if (static_cast<int>(w) == actor.warp || loaded_[granule * warps_ + w] <= known(*actor.view, fences_ + w)) continue;
    return fmt::format(", which warp {} loaded, {} with no barrier and fences since then", w, does);
  }
  return std::nullopt;
}

/// The granule is written after all of them: whoever is after that is after them, too.
void TensorMemory::forget_loads(std::size_t granule) {
  std::fill_n(loaded_.begin() + static_cast<std::ptrdiff_t>(granule * warps_), warps_, 0);
}

std::optional<std::string> TensorMemory::begin_load(const TensorRange& range, const TensorActor& actor) {
  if (auto fault = check_allocated(range.column, range.columns, actor)) return fault;
  auto fault = first_fault(range, [&](std::size_t i) -> std::optional<std::string> {
    const Granule& granule = granules_[i];
    if (granule.products_writing > 0) return ", which a product in flight writes";
    if (!granule.written && granule.stores == 0) return ", which was never written";
    return check_writer(granule, actor, "read here");
  });
  if (fault) return "reads " + *fault;
  for_each(range, [&](std::size_t i) {
    ++granules_[i].loads;
    granules_[i].user = actor.thread;
  });
  return std::nullopt;
}

void TensorMemory::end_load(const TensorRange& range, const TensorActor& actor) {
  const auto w = static_cast<std::size_t>(actor.warp);
  for_each(range, [&](std::size_t i) {
    --granules_[i].loads;
    loaded_[i * warps_ + w] = known(*actor.clock, fences_ + w) + 1;
  });
}

std::optional<std::string> TensorMemory::begin_store(const TensorRange& range, const TensorActor& actor) {
  if (auto fault = check_allocated(range.column, range.columns, actor)) return fault;
  auto fault = first_fault(range, [&](std::size_t i) -> std::optional<std::string> {
    const Granule& granule = granules_[i];
    if (granule.products_writing > 0) return ", which a product in flight writes";
    if (granule.products_reading > 0) return ", which a product in flight reads";
    if (auto found = check_writer(granule, actor, "written here")) return found;
    if (granule.product_read > known(*actor.view, commits_)) {
      return ", which a product read, written here with no wait for its commit and fence since then";
    }
    return check_readers(i, actor, "written here");
  });
  if (fault) return "writes " + *fault;
  for_each(range, [&](std::size_t i) {
    ++granules_[i].stores;
    granules_[i].user = actor.thread;
    forget_loads(i);
  });
  return std::nullopt;
}

void TensorMemory::end_store(const TensorRange& range, const TensorActor& actor) {
  const std::size_t component = fences_ + static_cast<std::size_t>(actor.warp);
  for_each(range, [&](std::size_t i) {
    Granule& granule = granules_[i];
    --granule.stores;
    granule.written = true;
    granule.writer = actor.thread;
    granule.component = component;
    granule.write_time = known(*actor.clock, component);
  });
}

/// What products wrote before is there for those that come after.
std::optional<std::string> TensorMemory::begin_product_read(const TensorRange& range, const TensorActor& actor) {
  if (auto fault = check_allocated(range.column, range.columns, actor)) return fault;
  auto fault = first_fault(range, [&](std::size_t i) -> std::optional<std::string> {
    const Granule& granule = granules_[i];
    if (granule.stores == 0 && (granule.products_writing > 0 || granule.component == commits_) &&
        (granule.written || granule.products_writing > 0)) {
      return std::nullopt;
    }
    if (!granule.written && granule.stores == 0) return ", which was never written";
    return check_writer(granule, actor, "read here");
  });
  if (fault) return "reads " + *fault;
  for_each(range, [&](std::size_t i) { ++granules_[i].products_reading; });
  return std::nullopt;
}

std::optional<std::string> TensorMemory::begin_product_write(const TensorRange& range, bool adds,
                                                             const TensorActor& actor) {
  if (auto fault = check_allocated(range.column, range.columns, actor)) return fault;
  auto fault = first_fault(range, [&](std::size_t i) -> std::optional<std::string> {
    const Granule& granule = granules_[i];
    if (adds && !granule.written && granule.products_writing == 0 && granule.stores == 0) {
      return ", which was never written";
    }
    const bool by_product = granule.component == commits_;
    if (granule.stores > 0 || (granule.written && !by_product)) {
      if (auto found = check_writer(granule, actor, "written here")) return found;
    }
    return check_readers(i, actor, "written here");
  });
  if (fault) return (adds ? "adds to " : "writes ") + *fault;
  for_each(range, [&](std::size_t i) {
    ++granules_[i].products_writing;
    forget_loads(i);
  });
  return std::nullopt;
}

void TensorMemory::end_product_read(const TensorRange& range, std::uint32_t commit) {
  for_each(range, [&](std::size_t i) {
    --granules_[i].products_reading;
    granules_[i].product_read = commit;
  });
}

void TensorMemory::end_product_write(const TensorRange& range, std::uint32_t commit, int thread) {
  for_each(range, [&](std::size_t i) {
    Granule& granule = granules_[i];
    --granule.products_writing;
    granule.written = true;
    granule.writer = thread;
    granule.component = commits_;
    granule.write_time = commit;
  });
}

/// Whoever frees must be after all accesses, as if it wrote there.
std::optional<std::string> TensorMemory::free(std::uint32_t address, int columns, const TensorActor& actor) {
  const auto column = static_cast<int>(address & 0xFFFFU);
  const auto found = std::find_if(allocations_.begin(), allocations_.end(), [&](const Allocation& each) {
    return each.column == column && each.columns == columns && address >> 16 == 0;
  });
  if (found == allocations_.end()) {
    return fmt::format("is of {} columns from {:#x} on, which are no allocation", columns, address);
  }
  if (auto fault = check_allocated(column, columns, actor)) return fault;
  const TensorRange range{0, kTensorQuarters, column, columns};
  auto fault = first_fault(range, [&](std::size_t i) -> std::optional<std::string> {
    const Granule& granule = granules_[i];
    if (granule.products_writing > 0) return ", which a product in flight writes";
    if (granule.products_reading > 0) return ", which a product in flight reads";
    if (auto last = check_writer(granule, actor, "freed here")) return last;
    if (granule.product_read > known(*actor.view, commits_)) {
      return ", which a product read, freed here with no wait for its commit and fence since then";
    }
    return check_readers(i, actor, "freed here");
  });
  if (fault) return "frees " + *fault;
  for_each(range, [&](std::size_t i) {
    granules_[i] = {};
    forget_loads(i);
  });
  allocations_.erase(found);
  return std::nullopt;
}

std::optional<std::string> TensorMemory::leak() const {
  if (allocations_.empty()) return std::nullopt;
  const Allocation& first = allocations_.front();
  return fmt::format("{} columns of tensor memory from {} on, which warp {} has allocated, were never freed",
                     first.columns, first.column, first.warp);
}

}  // namespace varlen::gpu::emulator
