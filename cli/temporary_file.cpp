#include "cli/temporary_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <random>

#include "cli/failure.hpp"
#include "cli/paths.hpp"

namespace varlen::cli {
namespace {

// Names that a handler of signals can read at any time.
struct Slot {
  std::atomic<bool> used{false};
  std::array<char, PATH_MAX> path{};
};
std::array<Slot, 4> slots;
static_assert(std::atomic<bool>::is_always_lock_free);

constexpr int kEndingSignals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGXCPU};

extern "C" void remove_and_end(int signal) {
  remove_temporary_files();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

// Signals that would end the process remove its temporary files first. What is ignored stays ignored (nohup).
void watch_signals() {
  static bool watching = false;
  if (watching) return;
  watching = true;
  for (const int signal : kEndingSignals) {
    struct sigaction present {};
    if (sigaction(signal, nullptr, &present) != 0 || present.sa_handler != SIG_DFL) continue;
    struct sigaction action {};
    action.sa_handler = remove_and_end;
    sigaction(signal, &action, nullptr);
  }
}

// A name is known to the handler before its file exists; nobody else has a file of a name that has just been drawn.
int claim_slot(const std::string& path) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].used.load() || path.size() >= slots[i].path.size()) continue;
    std::memcpy(slots[i].path.data(), path.c_str(), path.size() + 1);
    slots[i].used.store(true);
    return static_cast<int>(i);
  }
  fail_file("{}", system_message(ENAMETOOLONG));
}

std::string new_name(const std::string& folder) {
  std::random_device random;
  const std::string separator = folder.empty() || folder.back() == '/' ? "" : "/";
  return fmt::format("{}{}.varlen-{:08x}{:08x}", folder, separator, random(), random());
}

}  // namespace

TemporaryFile::TemporaryFile(const std::string& folder, mode_t mode)
    : path_(new_name(folder)), slot_(claim_slot(path_)) {
  watch_signals();
  descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (descriptor_ < 0) {
    const int error = errno;
    slots[static_cast<std::size_t>(slot_)].used.store(false);
    fail_file("no temporary file can be made beside it: {}", system_message(error));
  }
}

TemporaryFile::~TemporaryFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!path_.empty()) unlink(path_.c_str());
  slots[static_cast<std::size_t>(slot_)].used.store(false);
}

void TemporaryFile::become(const std::string& path) {
  const int descriptor = descriptor_;
  if (fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP) fail_file("{}", system_message(errno));
  descriptor_ = -1;
  if (close(descriptor) != 0 && errno != EINTR) fail_file("{}", system_message(errno));
  if (std::rename(path_.c_str(), path.c_str()) != 0) fail_file("{}", system_message(errno));
  path_.clear();
}

void remove_temporary_files() noexcept {
  for (const Slot& slot : slots) {
    if (slot.used.load()) unlink(slot.path.data());
  }
}

}  // namespace varlen::cli
