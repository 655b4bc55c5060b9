#include "cli/process.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>

#include "cli/temporary_file.hpp"
#include "cli/text.hpp"

namespace varlen::cli {
namespace {

constexpr std::size_t kMessageBytes = 6000;  // a path has up to 4,096

int status_without_memory = 0;

void write_to_stderr(std::string_view text) noexcept {
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) return;  // there is no other place to say so
}

// An exception would end the process as well where none may leave: destructors, threads. And to build a message or to
// unwind may need memory itself.
[[noreturn]] void end_without_memory() {
  remove_temporary_files();
  write_to_stderr("varlen: out of memory\n");
  _exit(status_without_memory);
}

// Output to a closed descriptor 1 must fail; messages to a closed 2 go nowhere.
void open_standard_descriptors() {
  constexpr int kModes[] = {O_WRONLY, O_RDONLY, O_WRONLY};
  for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    if (open("/dev/null", kModes[descriptor]) != descriptor) _exit(status_without_memory);
  }
}

}  // namespace

void prepare_process(int out_of_memory_status) {
  status_without_memory = out_of_memory_status;
  open_standard_descriptors();
  std::signal(SIGXFSZ, SIG_IGN);
  std::set_new_handler(end_without_memory);
}

void complain(const std::string& message) noexcept {
  try {
    write_to_stderr("varlen: " + shortened(printable(message), kMessageBytes) + "\n");
  } catch (const std::exception&) {
    write_to_stderr("varlen: out of memory\n");
  }
}

bool flush_standard_output() noexcept {
  // A failure that an earlier flush has met is kept in the stream.
  return std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
}

}  // namespace varlen::cli
