#include "cli/safetensors.hpp"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/failure.hpp"
#include "cli/input_file.hpp"
#include "cli/output_file.hpp"
#include "cli/paths.hpp"

namespace varlen::cli {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and read as it is");

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

void read_bytes(InputFile& file, void* to, std::uint64_t bytes) {
  if (file.read(to, bytes) != bytes) fail("the file ended early");
}

std::string read_header(InputFile& file) {
  const std::optional<std::uint64_t> known = file.bytes();
  if (known && *known < kLengthBytes) fail("a safetensors file has at least 8 bytes, this one {}", *known);
  std::uint64_t header_bytes = 0;
  read_bytes(file, &header_bytes, kLengthBytes);
  const std::uint64_t most = std::min(kMaxHeaderBytes, known.value_or(kMaxHeaderBytes + kLengthBytes) - kLengthBytes);
  if (header_bytes > most) {
    fail("the header's length is said to be {} bytes, but at most {} are possible: is this a safetensors file?",
         header_bytes, most);
  }
  std::string header(header_bytes, '\0');
  read_bytes(file, header.data(), header_bytes);
  return header;
}

std::vector<FileTensor> read(InputFile& file, const std::function<void(const std::vector<FileTensor>&)>& accept) {
  std::vector<FileTensor> tensors;
  {
    const std::string header = read_header(file);
    std::optional<std::uint64_t> data_bytes = file.bytes();
    if (data_bytes) *data_bytes -= kLengthBytes + header.size();
    for (TensorEntry& entry : parse_safetensors_header(header, data_bytes)) tensors.push_back({std::move(entry), {}});
  }
  if (accept) accept(tensors);
  for (FileTensor& tensor : tensors) {
    const std::uint64_t bytes = tensor.entry.end - tensor.entry.begin;  // tensors lie end to end in this order
    tensor.data = Buffer(static_cast<std::int64_t>(bytes));
    read_bytes(file, tensor.data.data(), bytes);
  }
  char more = 0;
  if (file.read(&more, 1) != 0) fail("bytes after the last tensor belong to no tensor");
  return tensors;
}

}  // namespace

std::vector<FileTensor> read_safetensors(const std::string& path,
                                         const std::function<void(const std::vector<FileTensor>&)>& accept) {
  InputFile file(path);
  try {
    return read(file, accept);
  } catch (const Error& error) {
    fail_file("{}: {}", input_name(path), error.what());
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

  OutputFile file(path);
  file.write(&header_bytes, kLengthBytes);
  file.write(header.data(), header.size());
  for (const TensorToWrite& tensor : tensors) {
    file.write(tensor.data->data(), static_cast<std::uint64_t>(tensor.data->bytes()));
  }
  file.commit();
}

}  // namespace varlen::cli
