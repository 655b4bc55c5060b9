// A file that becomes another one when it is complete, and is gone if the program ends before that.
#pragma once

#include <sys/types.h>

#include <string>

namespace varlen::cli {

class TemporaryFile {
 public:
  /// Creates a file of a new name in `folder`, with the mode less the process's umask. Throws Error without a path.
  TemporaryFile(const std::string& folder, mode_t mode);
  /// Removes it, unless it has become another.
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  int descriptor() const { return descriptor_; }

  /// Writes everything to the disk and takes the place of `path`. Throws Error without a path.
  void become(const std::string& path);

 private:
  std::string path_;
  int slot_;
  int descriptor_ = -1;
};

/// Removes all temporary files of the process. For handlers of signals: it allocates nothing and takes no lock.
void remove_temporary_files() noexcept;

}  // namespace varlen::cli
