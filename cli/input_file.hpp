// Reading a file from its beginning to its end, wherever the bytes come from.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace varlen::cli {

/// A regular file, or what this process already has open: standard input as "-" or /dev/stdin, the shell's <(command).
class InputFile {
 public:
  /// Throws Error that begins with the path and tells missing files, folders, FIFOs and devices apart.
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// Bytes from here to the end; nothing if that is not known before they have been read.
  std::optional<std::uint64_t> bytes() const { return bytes_; }

  /// Reads `count` bytes, or fewer where the file ends; returns how many. Throws Error without the path.
  std::uint64_t read(void* to, std::uint64_t count);

 private:
  int descriptor_ = -1;
  std::optional<std::uint64_t> bytes_;
};

/// The whole file. One of more than `most` bytes is refused; if its size is known, before any is read.
std::string read_text(const std::string& path, std::uint64_t most);

}  // namespace varlen::cli
