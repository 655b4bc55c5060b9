#include "plan/cpu_quota.hpp"

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <limits>
#include <string>
#include <system_error>

namespace varlen {
namespace {

namespace fs = std::filesystem;

constexpr std::int32_t kNoLimit = std::numeric_limits<std::int32_t>::max();

std::int32_t whole_cpus(double quota, double period) {
  if (!(quota > 0) || !(period > 0)) return kNoLimit;
  const double cpus = quota / period;
  if (cpus >= kNoLimit) return kNoLimit;
  const auto whole = static_cast<std::int32_t>(cpus);
  return whole < cpus ? whole + 1 : whole;
}

/// "200000 100000": microseconds in each so many. "max 100000": no limit.
std::int32_t limit_v2(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  double quota = 0;
  double period = 0;
  return file >> quota >> period ? whole_cpus(quota, period) : kNoLimit;
}

/// The same in two files; a quota of −1: no limit.
std::int32_t limit_v1(const fs::path& group) {
  double quota = 0;
  double period = 0;
  std::ifstream(group / "cpu.cfs_quota_us") >> quota;
  std::ifstream(group / "cpu.cfs_period_us") >> period;
  return whole_cpus(quota, period);
}

/// The least limit of a group and those around it. In a container the group's own path may not be mounted; what is
/// mounted then is the container's group.
template <typename Limit>
std::int32_t least_limit(const fs::path& mount, const std::string& path, const Limit& limit) {
  std::int32_t least = limit(mount);
  for (fs::path group = fs::path(path).relative_path(); !group.empty(); group = group.parent_path()) {
    least = std::min(least, limit(mount / group));
  }
  return least;
}

bool names_cpu(const std::string& controllers) { return ("," + controllers + ",").find(",cpu,") != std::string::npos; }

}  // namespace

std::int32_t cpu_quota(const fs::path& groups_of_process, const fs::path& mount) {
  std::ifstream file(groups_of_process);
  std::int32_t least = kNoLimit;
  // Each line is number:controllers:path; version 2 has one without controllers.
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      least = std::min(least, least_limit(mount, path, limit_v2));
    } else if (names_cpu(controllers)) {
      least = std::min(least, least_limit(mount / "cpu", path, limit_v1));
    }
  }
  return least == kNoLimit ? 0 : least;
}

}  // namespace varlen
