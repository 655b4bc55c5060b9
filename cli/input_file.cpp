#include "cli/input_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cli/failure.hpp"
#include "cli/paths.hpp"

namespace varlen::cli {
namespace {

// What a descriptor gives can be read once only.
void claim_standard_input(const std::string& path) {
  static bool claimed = false;
  if (claimed) fail_file("{}: standard input is named twice", path);
  claimed = true;
}

// The descriptor as a new one of the same open file.
int duplicate(const std::string& path, int descriptor) {
  if (descriptor == STDIN_FILENO) claim_standard_input(path);
  const int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (copy < 0) fail_file("{}: cannot be opened: {}", path, system_message(errno));
  return copy;
}

int open_file(const std::string& path) {
  const auto status = status_of(path);
  if (!status) fail_file("{}: no such file", path);
  if (S_ISFIFO(status->st_mode)) {
    fail_file("{}: is a FIFO, not a file; '-' reads standard input, which may be one", path);
  }
  if (!S_ISREG(status->st_mode)) fail_file("{}: is {}, not a file", path, kind_of(*status));
  // Without O_NONBLOCK a FIFO that has just taken the file's place would stop the program here.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail_file("{}: cannot be opened: {}", path, system_message(errno));
  return descriptor;
}

}  // namespace

InputFile::InputFile(const std::string& path) {
  const auto open_already = path == kStandardStream ? std::optional(STDIN_FILENO) : descriptor_of(path);
  struct stat status {};
  // A regular file behind /dev/fd/3 is opened again and read from its beginning, as all programs do on Linux.
  const bool again =
      path != kStandardStream && open_already && fstat(*open_already, &status) == 0 && S_ISREG(status.st_mode);
  descriptor_ = open_already && !again ? duplicate(input_name(path), *open_already) : open_file(path);
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) return;
  const off_t begin = lseek(descriptor_, 0, SEEK_CUR);
  bytes_ = static_cast<std::uint64_t>(std::max<off_t>(status.st_size - begin, 0));
}

InputFile::~InputFile() { close(descriptor_); }

std::uint64_t InputFile::read(void* to, std::uint64_t count) {
  constexpr std::uint64_t kMostAtOnce = std::uint64_t{1} << 30;
  auto* out = static_cast<char*>(to);
  std::uint64_t done = 0;
  while (done < count) {
    const ssize_t got = ::read(descriptor_, out + done, std::min(count - done, kMostAtOnce));
    if (got == 0) break;
    if (got > 0) {
      done += static_cast<std::uint64_t>(got);
    } else if (got < 0 && !try_again(descriptor_, POLLIN)) {
      fail_file("cannot be read: {}", system_message(errno));
    }
  }
  return done;
}

std::string read_text(const std::string& path, std::uint64_t most) {
  InputFile file(path);
  const auto check = [&](std::uint64_t size, const char* at_least) {
    if (size > most) {
      fail_file("{}: has {}{} bytes, more than the {} that such a file may have", input_name(path), at_least, size,
                most);
    }
  };
  check(file.bytes().value_or(0), "");
  // One byte more than is known, so that the end is seen.
  constexpr std::uint64_t kFirst = std::uint64_t{1} << 16;
  std::string text(file.bytes().value_or(kFirst - 1) + 1, '\0');
  std::uint64_t size = 0;
  try {
    while ((size += file.read(text.data() + size, text.size() - size)) == text.size() && size <= most) {
      text.resize(2 * text.size());
    }
  } catch (const Error& error) {
    fail_file("{}: {}", input_name(path), error.what());
  }
  check(size, "at least ");
  text.resize(size);
  return text;
}

}  // namespace varlen::cli
