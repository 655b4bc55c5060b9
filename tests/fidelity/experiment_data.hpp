// What experiments are given: bytes, words, and elements of two bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "check/random_bits.hpp"
#include "reference/element.hpp"

namespace varlen::fidelity {

using check::RandomBits;

inline std::vector<std::byte> random_bytes(RandomBits& random, std::int64_t bytes) {
  std::vector<std::byte> result(static_cast<std::size_t>(bytes));
  for (std::byte& byte : result) byte = static_cast<std::byte>(random.next() >> 32);
  return result;
}

template <class T>
void put(std::vector<std::byte>& bytes, std::int64_t at, const T& value) {
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}
template <class T>
T get(const std::vector<std::byte>& bytes, std::int64_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

/// Elements [first, first + count) of two bytes become number(index).
template <class Number>
void put_elements(std::vector<std::byte>& bytes, Dtype dtype, std::int64_t first, std::int64_t count,
                  const Number& number) {
  for (std::int64_t i = first; i < first + count; ++i) reference::store(dtype, bytes.data(), i, number(i));
}

}  // namespace varlen::fidelity
