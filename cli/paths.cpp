#include "cli/paths.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "cli/failure.hpp"

namespace varlen::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxLinks = 40;  // as Linux

// A link's target, or nothing if the path is no link.
std::optional<fs::path> link_target(const fs::path& path) {
  std::error_code error;
  if (!fs::is_symlink(fs::symlink_status(path, error))) return std::nullopt;
  const fs::path target = fs::read_symlink(path, error);
  if (error) return std::nullopt;
  return target.is_absolute() ? target : path.parent_path() / target;
}

// Whether the folder lists the descriptors of this process.
bool lists_descriptors(const fs::path& folder) {
  std::error_code error;
  const fs::path real = fs::canonical(folder, error);
  return !error && real == fmt::format("/proc/{}/fd", getpid());
}

}  // namespace

std::string input_name(const std::string& path) { return path == kStandardStream ? "standard input" : path; }

std::string follow_links(const std::string& path) {
  fs::path followed = path;
  for (int links = 0; const auto target = link_target(followed); ++links) {
    if (links == kMaxLinks) fail_file("{}: {}", path, system_message(ELOOP));
    followed = *target;
  }
  return followed.string();
}

std::optional<int> descriptor_of(const std::string& path) {
  fs::path followed = path;
  for (int links = 0; links < kMaxLinks; ++links) {
    const std::string name = followed.filename().string();
    int number = 0;
    const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && stop == name.data() + name.size() && lists_descriptors(followed.parent_path())) {
      return number;
    }
    const auto target = link_target(followed);
    if (!target) break;
    followed = *target;
  }
  return std::nullopt;
}

std::optional<struct stat> status_of(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) return status;
  if (errno == ENOENT) return std::nullopt;
  fail_file("{}: {}", path, system_message(errno));
}

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

const char* kind_of(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) return "a folder";
  if (S_ISFIFO(status.st_mode)) return "a FIFO";
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) return "a device";
  if (S_ISSOCK(status.st_mode)) return "a socket";
  return "a file";
}

bool try_again(int descriptor, short events) {
  if (errno == EINTR) return true;
  if (errno != EAGAIN) return false;
  struct pollfd ready {
    descriptor, events, 0
  };
  return poll(&ready, 1, -1) >= 0 || errno == EINTR;
}

std::string system_message(int error) { return std::generic_category().message(error); }

}  // namespace varlen::cli
