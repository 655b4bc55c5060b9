#include "cli/safetensors.hpp"

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/failure.hpp"

namespace varlen::cli {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and read as it is");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

void read_bytes(std::ifstream& file, void* out, std::uint64_t bytes) {
  file.read(static_cast<char*>(out), static_cast<std::streamsize>(bytes));
  if (static_cast<std::uint64_t>(file.gcount()) != bytes) fail("the file ended early");
}

std::vector<FileTensor> read(std::ifstream& file, std::uint64_t file_bytes) {
  if (file_bytes < kLengthBytes) fail("a safetensors file has at least 8 bytes, this one {}", file_bytes);
  std::uint64_t header_bytes = 0;
  read_bytes(file, &header_bytes, kLengthBytes);
  if (header_bytes > file_bytes - kLengthBytes || header_bytes > kMaxHeaderBytes) {
    fail("the header's length is said to be {} bytes, but the file has {}", header_bytes, file_bytes);
  }
  std::string header(header_bytes, '\0');
  read_bytes(file, header.data(), header_bytes);

  std::vector<FileTensor> tensors;
  for (TensorEntry& entry : parse_safetensors_header(header, file_bytes - kLengthBytes - header_bytes)) {
    const std::uint64_t bytes = entry.end - entry.begin;  // entries lie end to end in this order
    FileTensor tensor{std::move(entry), Buffer(static_cast<std::int64_t>(bytes))};
    read_bytes(file, tensor.data.data(), bytes);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace

std::vector<FileTensor> read_safetensors(const std::string& path) {
  std::error_code status;
  if (!std::filesystem::is_regular_file(path, status)) fail_file("{}: no such file", path);
  const std::uint64_t bytes = std::filesystem::file_size(path);
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_file("{}: cannot be opened: {}", path, std::strerror(errno));
  try {
    return read(file, bytes);
  } catch (const Error& error) {
    fail_file("{}: {}", path, error.what());
  }
}

void write_safetensors(const std::string& path, const std::vector<TensorToWrite>& tensors) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  std::int64_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    const std::int64_t end = offset + tensor.data->bytes();
    json[tensor.name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string header = json.dump();
  header.resize((header.size() + 7) / 8 * 8, ' ');  // so that the data is aligned in a mapped file
  const std::uint64_t header_bytes = header.size();

  const std::string partial = path + ".partial";
  std::ofstream file(partial, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(&header_bytes), kLengthBytes);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  for (const TensorToWrite& tensor : tensors) {
    file.write(reinterpret_cast<const char*>(tensor.data->data()), tensor.data->bytes());
  }
  file.close();
  if (!file || std::rename(partial.c_str(), path.c_str()) != 0) {
    const std::string reason = std::strerror(errno);
    std::remove(partial.c_str());
    fail_file("{}: cannot be written: {}", path, reason);
  }
}

}  // namespace varlen::cli
