#include "cli/output_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <vector>

#include "cli/failure.hpp"
#include "cli/paths.hpp"
#include "cli/temporary_file.hpp"

namespace varlen::cli {
namespace {

// Where "-" goes once the report has been sent to standard error.
int kept_standard_output = -1;

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// What an output is: an open descriptor, something that exists, or a name in a folder.
struct Target {
  std::optional<int> descriptor;
  std::optional<struct stat> status;
  std::string path;  ///< without links; empty for a descriptor

  bool is_device() const { return status && (S_ISCHR(status->st_mode) || S_ISBLK(status->st_mode)); }
};

Target target_of(const std::string& path) {
  Target target;
  target.descriptor = path == kStandardStream ? std::optional(STDOUT_FILENO) : descriptor_of(path);
  if (target.descriptor) {
    struct stat status {};
    if (fstat(*target.descriptor, &status) == 0) target.status = status;
    return target;
  }
  target.path = follow_links(path);
  target.status = status_of(target.path);
  return target;
}

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  fail_file("{}: cannot be written: {}", output_name(path), reason);
}

// What can be told without writing.
void check_writable(const std::string& path, const Target& target) {
  if (target.status && S_ISDIR(target.status->st_mode)) refuse(path, "it is a folder");
  if (target.descriptor) {
    if (!target.status) refuse(path, system_message(EBADF));
    return;
  }
  if (target.status && access(target.path.c_str(), W_OK) != 0) refuse(path, system_message(errno));
  if (target.status && !S_ISREG(target.status->st_mode)) return;
  if (std::filesystem::path(target.path).filename().empty()) refuse(path, "it is a folder");
  const std::string folder = folder_of(target.path);
  if (access(folder.c_str(), W_OK | X_OK) != 0) refuse(path, fmt::format("{}: {}", folder, system_message(errno)));
}

bool same_target(const Target& a, const Target& b) {
  if (a.status && b.status) return same_file(*a.status, *b.status);
  if (a.status || b.status) return false;
  const auto folder_a = status_of(folder_of(a.path));
  const auto folder_b = status_of(folder_of(b.path));
  return folder_a && folder_b && same_file(*folder_a, *folder_b) &&
         std::filesystem::path(a.path).filename() == std::filesystem::path(b.path).filename();
}

// Nothing is lost when two outputs go to the same device: /dev/null, a terminal.
bool collide(const Target& a, const Target& b) { return !a.is_device() && same_target(a, b); }

void send_report_to_stderr() {
  std::fflush(stdout);
  kept_standard_output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (kept_standard_output < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    refuse(kStandardStream, system_message(errno));
  }
}

bool is_standard_output(const Target& target) { return target.descriptor == STDOUT_FILENO; }

struct Output {
  const char* option;
  std::string path;
  Target target;
};

void refuse_input(const Output& output, const std::string& input) {
  if (input.empty()) return;
  const auto status = input == kStandardStream ? target_of("/dev/stdin").status : status_of(input);
  if (status && output.target.status && S_ISREG(status->st_mode) && same_file(*status, *output.target.status)) {
    fail("{} {}: is the input {}", output.option, output_name(output.path), input_name(input));
  }
}

// Who may not give files away keeps the group if that is possible, or else the mode alone.
bool keep_owner_and_mode(int descriptor, const struct stat& status) {
  constexpr mode_t kPermissions = 0777;
  constexpr auto kUnchanged = static_cast<uid_t>(-1);
  [[maybe_unused]] const bool kept =
      fchown(descriptor, status.st_uid, status.st_gid) == 0 || fchown(descriptor, kUnchanged, status.st_gid) == 0;
  return fchmod(descriptor, status.st_mode & kPermissions) == 0;
}

}  // namespace

std::string output_name(const std::string& path) {
  return path == kStandardStream ? "standard output" : printable(path);
}

void check_outputs(std::initializer_list<std::pair<const char*, std::string>> outputs,
                   std::initializer_list<std::string> inputs, bool report_on_stdout) {
  const Target standard_output = target_of(kStandardStream);
  std::vector<Output> seen;
  bool to_stdout = false;
  for (const auto& [option, path] : outputs) {
    if (path.empty()) continue;
    const Output output{option, path, target_of(path)};
    check_writable(path, output.target);
    for (const std::string& input : inputs) refuse_input(output, input);
    for (const Output& other : seen) {
      if (!collide(output.target, other.target)) continue;
      fail("{} {}: {} {} is the same file", option, output_name(path), other.option, output_name(other.path));
    }
    if (is_standard_output(output.target)) {
      if (report_on_stdout) fail("{} {}: --json prints there, too", option, output_name(path));
      to_stdout = true;
    } else if (collide(output.target, standard_output)) {
      fail("{} {}: standard output goes to this file, too; '-' writes nothing else there", option, output_name(path));
    }
    seen.push_back(output);
  }
  if (to_stdout) send_report_to_stderr();
}

OutputFile::OutputFile(const std::string& path) : name_(output_name(path)) {
  const Target target = target_of(path);
  check_writable(path, target);
  if (target.descriptor) {
    const bool kept = is_standard_output(target) && kept_standard_output >= 0;
    std::fflush(stdout);
    descriptor_ = fcntl(kept ? kept_standard_output : *target.descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (descriptor_ < 0) fail_writing(system_message(errno));
    return;
  }
  if (target.status && !S_ISREG(target.status->st_mode)) {
    descriptor_ = open(target.path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor_ < 0) fail_writing(system_message(errno));
    return;
  }
  target_ = target.path;
  constexpr mode_t kNewFile = 0666;
  constexpr mode_t kOwnerOnly = 0600;
  try {
    temporary_ = std::make_unique<TemporaryFile>(folder_of(target_), target.status ? kOwnerOnly : kNewFile);
  } catch (const Error& error) {
    fail_writing(error.what());
  }
  if (!target.status) return;
  if (!keep_owner_and_mode(temporary_->descriptor(), *target.status)) fail_writing(system_message(errno));
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void OutputFile::fail_writing(const std::string& reason) const {
  fail_file("{}: cannot be written: {}", name_, reason);
}

void OutputFile::write(const void* data, std::uint64_t bytes) {
  constexpr std::uint64_t kMostAtOnce = std::uint64_t{1} << 30;
  const int descriptor = temporary_ ? temporary_->descriptor() : descriptor_;
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor, from, std::min(bytes, kMostAtOnce));
    if (written < 0) {
      if (!try_again(descriptor, POLLOUT)) fail_writing(system_message(errno));
      continue;
    }
    from += written;
    bytes -= static_cast<std::uint64_t>(written);
  }
}

void OutputFile::commit() {
  if (temporary_) {
    try {
      temporary_->become(target_);
    } catch (const Error& error) {
      fail_writing(error.what());
    }
    return;
  }
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (close(descriptor) != 0 && errno != EINTR) fail_writing(system_message(errno));
}

void write_text_file(const std::string& path, std::string_view text) {
  OutputFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

}  // namespace varlen::cli
