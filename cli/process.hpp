// What the process does about its streams, its signals and the end of memory, and how it says what is wrong.
#pragma once

#include <string>

namespace varlen::cli {

/// To be called first. Afterwards descriptors 0 to 2 are open, so that no file takes their place; a file that may grow
/// no further is an error, not a signal; and where memory ends, the program ends with one line and
/// `out_of_memory_status`.
void prepare_process(int out_of_memory_status);

/// One line `varlen: …` on standard error: printable and bounded. Whether it can be written does not matter.
void complain(const std::string& message) noexcept;

/// Writes out what standard output still holds. Returns whether all of it has been written.
bool flush_standard_output() noexcept;

}  // namespace varlen::cli
