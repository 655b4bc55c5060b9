// What a path on the command line leads to, and what the system says about it.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

namespace varlen::cli {

/// On the command line: standard input or standard output.
inline constexpr const char* kStandardStream = "-";

/// An input's path for messages: "standard input" or the path.
std::string input_name(const std::string& path);

/// The path without symbolic links in its last part, which need not exist. Throws Error if they run in a circle.
std::string follow_links(const std::string& path);

/// The descriptor of this process that a path such as /dev/stdout or /dev/fd/63 stands for.
std::optional<int> descriptor_of(const std::string& path);

/// Null if nothing is there. Throws Error, which begins with the path, if the system does not say.
std::optional<struct stat> status_of(const std::string& path);

/// Whether both are the same file.
bool same_file(const struct stat& a, const struct stat& b);

/// "a folder", "a FIFO", "a device", "a socket" or "a file".
const char* kind_of(const struct stat& status);

/// Whether to try again to read or write, given errno: after a signal at once, and where a descriptor is set not to
/// wait, once it has `events` (as of poll()).
bool try_again(int descriptor, short events);

/// What the system says about an errno: "No space left on device".
std::string system_message(int error);

}  // namespace varlen::cli
