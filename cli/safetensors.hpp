// Reading and writing safetensors files: an 8-byte little-endian header length, a JSON header, then the tensors' bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/data.hpp"

namespace varlen::cli {

/// One tensor as the header describes it. [begin, end) are bytes after the header.
struct TensorEntry {
  std::string name;
  std::string dtype;  ///< as in the file: "F16", "I64", …
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// The entries in the order of their bytes. Throws Error if anything is missing, of the wrong type, of an unknown
/// dtype, out of range, overlapping, leaves a hole, or if a shape does not match its bytes.
std::vector<TensorEntry> parse_safetensors_header(std::string_view header, std::uint64_t data_bytes);

struct FileTensor {
  TensorEntry entry;
  Buffer data;
};

/// The whole file in memory, tensors in the order of their bytes. Throws Error naming the path.
std::vector<FileTensor> read_safetensors(const std::string& path);

struct TensorToWrite {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  const Buffer* data;
};

/// Writes beside `path` first and renames, so that a failure leaves no half-written file there.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors);

}  // namespace varlen::cli
