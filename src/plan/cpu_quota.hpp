// How much of the machine the process's control groups grant: a container of two CPUs on a machine of 256 sees all of
// them in its CPU set.
#pragma once

#include <cstdint>
#include <filesystem>

namespace varlen {

/// The least limit of the process's control group and those around it (version 2 or 1), in CPUs, rounded up. 0: no
/// limit, or a system without control groups.
std::int32_t cpu_quota(const std::filesystem::path& groups_of_process = "/proc/self/cgroup",
                       const std::filesystem::path& mount = "/sys/fs/cgroup");

}  // namespace varlen
