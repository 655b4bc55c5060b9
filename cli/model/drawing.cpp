#include "cli/model/drawing.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace varlen::cli {
namespace {

struct Worker {
  double left = 0;   // seconds of its item, at full speed
  double wants = 0;  // bytes/s at full speed
  double speed = 1;
};

/// The most bytes/s that a worker gets, so that all together get `bytes_per_second`; infinite if there is enough.
double fair_share(const std::vector<Worker>& workers, double bytes_per_second, std::vector<double>& wants) {
  wants.clear();
  double all = 0;
  for (const Worker& worker : workers) {
    if (worker.wants > 0) wants.push_back(worker.wants);
    all += worker.wants;
  }
  if (all <= bytes_per_second) return std::numeric_limits<double>::infinity();
  std::sort(wants.begin(), wants.end());
  double rest = bytes_per_second;
  for (std::size_t i = 0; i < wants.size(); ++i) {
    const double share = rest / static_cast<double>(wants.size() - i);
    if (wants[i] >= share) return share;
    rest -= wants[i];
  }
  return std::numeric_limits<double>::infinity();
}

}  // namespace

Drawn draw(const std::vector<Demand>& items, std::int32_t workers, double bytes_per_second) {
  // Items that end within so little of each other end together.
  constexpr double kTogether = 1e-12;
  Drawn drawn;
  std::vector<Worker> busy;
  std::vector<double> wants;
  std::size_t next = 0;
  const auto take = [&](Worker& worker) {
    const Demand& item = items[next++];
    worker = {item.seconds, item.bytes / item.seconds, 1};
    drawn.busy += item.seconds;
  };
  while (next < items.size() && busy.size() < static_cast<std::size_t>(workers)) take(busy.emplace_back());
  while (!busy.empty()) {
    const double share = fair_share(busy, bytes_per_second, wants);
    double step = std::numeric_limits<double>::infinity();
    for (Worker& worker : busy) {
      worker.speed = worker.wants > share ? share / worker.wants : 1;
      step = std::min(step, worker.left / worker.speed);
    }
    drawn.makespan += step;
    if (share < std::numeric_limits<double>::infinity()) drawn.memory_bound += step;
    for (std::size_t i = 0; i < busy.size();) {
      Worker& worker = busy[i];
      worker.left -= step * worker.speed;
      if (worker.left > kTogether) {
        ++i;
      } else if (next < items.size()) {
        take(worker);
        ++i;
      } else {
        worker = busy.back();
        busy.pop_back();
      }
    }
  }
  return drawn;
}

}  // namespace varlen::cli
