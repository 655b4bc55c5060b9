// Reading and writing safetensors files: an 8-byte little-endian header length, a JSON header, then the tensors' bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
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
/// Without `data_bytes`, which streams do not tell, the data ends where the last tensor does.
std::vector<TensorEntry> parse_safetensors_header(std::string_view header, std::optional<std::uint64_t> data_bytes);

struct FileTensor {
  TensorEntry entry;
  Buffer data;
};

/// The whole file in memory, tensors in the order of their bytes. `accept` sees them before their data is read or
/// memory for it is taken, and throws Error if the file is not worth it. Throws Error naming the path.
std::vector<FileTensor> read_safetensors(const std::string& path,
                                         const std::function<void(const std::vector<FileTensor>&)>& accept = nullptr);

struct TensorToWrite {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  const Buffer* data;
};

/// As an OutputFile: a failure leaves what was there.
void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors);

}  // namespace varlen::cli
