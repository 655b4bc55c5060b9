// Any bytes as a safetensors file: refused with an Error, or read into tensors that hold exactly their bytes.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cli/safetensors.hpp"
#include "varlen/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int file = memfd_create("fuzz_safetensors", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  try {
    std::uint64_t header_bytes = 0;
    if (size >= sizeof header_bytes) std::memcpy(&header_bytes, data, sizeof header_bytes);
    std::uint64_t next = 0;
    for (const varlen::cli::FileTensor& tensor : varlen::cli::read_safetensors(path)) {
      if (tensor.entry.begin != next || tensor.entry.end < next) std::abort();
      next = tensor.entry.end;
      const auto bytes = static_cast<std::uint64_t>(tensor.data.bytes());
      if (bytes != tensor.entry.end - tensor.entry.begin) std::abort();
      const std::uint64_t in_file = sizeof header_bytes + header_bytes + tensor.entry.begin;
      if (bytes > size - in_file || std::memcmp(tensor.data.data(), data + in_file, bytes) != 0) std::abort();
    }
  } catch (const varlen::Error& error) {
    if (std::strchr(error.what(), '\n') != nullptr) std::abort();  // the program prints it as one line
  }
  return 0;
}
