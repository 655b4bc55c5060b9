// The one way in which the program writes files: all or nothing, and never over something that is no file.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace varlen::cli {

class TemporaryFile;

/// Checks the outputs of a command before it computes: that each can be written as far as can be told without writing,
/// and that none is an input, standard output, or another output. Options are given with their values; an empty value
/// means "not given". If one is "-", the program's report goes to standard error from here on, which `report_on_stdout`
/// (as --json has it) contradicts. Throws Error.
void check_outputs(std::initializer_list<std::pair<const char*, std::string>> outputs,
                   std::initializer_list<std::string> inputs, bool report_on_stdout);

/// A file that is being written. A regular file keeps its old content until commit(), its mode and owner, and the links
/// that lead to it. Devices, FIFOs and open descriptors ("-", /dev/stdout) are written directly.
class OutputFile {
 public:
  /// Throws Error that begins with the path, as every member does.
  explicit OutputFile(const std::string& path);
  /// Without commit(): what was there stays.
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(const void* data, std::uint64_t bytes);
  void commit();

 private:
  [[noreturn]] void fail_writing(const std::string& reason) const;

  std::string name_;    ///< for messages
  std::string target_;  ///< of a temporary file
  std::unique_ptr<TemporaryFile> temporary_;
  int descriptor_ = -1;
};

void write_text_file(const std::string& path, std::string_view text);

/// An output's path for messages: "standard output" or the path, printable.
std::string output_name(const std::string& path);

}  // namespace varlen::cli
