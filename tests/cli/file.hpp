// Safetensors files byte by byte, right and wrong, written without the program's own code.
#pragma once

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace varlen::test {

inline std::string file_of(const std::string& header, const std::string& data, std::uint64_t header_length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &header_length, 8);
  return bytes + header + data;
}

inline std::string file_of(const std::string& header, const std::string& data) {
  return file_of(header, data, header.size());
}

/// A file in the making: tensors end to end in the order in which they are added.
class FileMaker {
 public:
  FileMaker& add(const std::string& name, const std::string& dtype, const std::vector<std::int64_t>& shape,
                 const std::string& bytes) {
    header_[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {data_.size(), data_.size() + bytes.size()}}};
    data_ += bytes;
    return *this;
  }
  template <typename Value>
  FileMaker& add(const std::string& name, const std::string& dtype, const std::vector<std::int64_t>& shape,
                 const std::vector<Value>& values) {
    std::string bytes(values.size() * sizeof(Value), '\0');
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return add(name, dtype, shape, bytes);
  }

  nlohmann::ordered_json& header() { return header_; }
  std::string& data() { return data_; }
  std::string bytes() const { return file_of(header_.dump(), data_); }

 private:
  nlohmann::ordered_json header_ = nlohmann::ordered_json::object();
  std::string data_;
};

/// The tensors of a safetensors file, by name.
struct ReadBack {
  nlohmann::json header;
  std::string data;

  explicit ReadBack(const std::string& bytes) {
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    header = nlohmann::json::parse(bytes.substr(8, length));
    data = bytes.substr(8 + length);
  }
  template <typename Value>
  std::vector<Value> values(const std::string& name) const {
    const std::size_t begin = header[name]["data_offsets"][0];
    const std::size_t end = header[name]["data_offsets"][1];
    std::vector<Value> result((end - begin) / sizeof(Value));
    if (!result.empty()) std::memcpy(result.data(), data.data() + begin, end - begin);
    return result;
  }
};

}  // namespace varlen::test
