// Values of any plain type by the words that shared memory and shuffles take.
#pragma once

#include <cstdint>
#include <type_traits>

#include "gpu/cluster_operations.hpp"

namespace varlen::kernel {

/// By words: 8 bytes each, or 4.
template <class T>
struct WordsOf {
  using Word = std::conditional_t<sizeof(T) % 8 == 0, std::uint64_t, std::uint32_t>;
  static constexpr int kCount = sizeof(T) / sizeof(Word);
  static_assert(kCount * sizeof(Word) == sizeof(T) && std::is_trivially_copyable_v<T>);
  Word word[kCount];

  VARLEN_DEVICE WordsOf() {}
  VARLEN_DEVICE explicit WordsOf(const T& value) { __builtin_memcpy(word, &value, sizeof(T)); }
  VARLEN_DEVICE T value() const {
    T value;
    __builtin_memcpy(&value, word, sizeof(T));
    return value;
  }
};

/// Where the element at `index` of an array of T in shared memory is.
template <class T>
VARLEN_DEVICE gpu::SharedAddress element(gpu::SharedAddress array, std::int32_t index) {
  return array + static_cast<std::uint32_t>(index) * static_cast<std::uint32_t>(sizeof(T));
}
/// `Address`: of shared memory, the block's or a cluster's.
template <class T, class Address>
VARLEN_DEVICE T load_value(Address from) {
  using Word = typename WordsOf<T>::Word;
  WordsOf<T> words;
  VARLEN_UNROLL
  for (int i = 0; i < WordsOf<T>::kCount; ++i) {
    words.word[i] =
        gpu::load_word<Word>(Address{from.value + static_cast<std::uint32_t>(i) * std::uint32_t{sizeof(Word)}});
  }
  return words.value();
}
template <class T>
VARLEN_DEVICE void store_value(gpu::SharedAddress to, const T& value) {
  using Word = typename WordsOf<T>::Word;
  const WordsOf<T> words(value);
  VARLEN_UNROLL
  for (int i = 0; i < WordsOf<T>::kCount; ++i) gpu::store_word(element<Word>(to, i), words.word[i]);
}

VARLEN_DEVICE std::uint32_t shuffled(std::uint32_t word, int lane) { return gpu::shuffle(word, lane); }
VARLEN_DEVICE std::uint32_t shuffled_up(std::uint32_t word, int lanes) { return gpu::shuffle_up(word, lanes); }
VARLEN_DEVICE std::uint64_t shuffled(std::uint64_t word, int lane) {
  return gpu::shuffle(static_cast<std::uint32_t>(word), lane) |
         std::uint64_t{gpu::shuffle(static_cast<std::uint32_t>(word >> 32), lane)} << 32;
}
VARLEN_DEVICE std::uint64_t shuffled_up(std::uint64_t word, int lanes) {
  return gpu::shuffle_up(static_cast<std::uint32_t>(word), lanes) |
         std::uint64_t{gpu::shuffle_up(static_cast<std::uint32_t>(word >> 32), lanes)} << 32;
}
/// The value of another lane, by the whole warp.
template <class T>
VARLEN_DEVICE T of_lane(const T& value, int lane) {
  WordsOf<T> words(value);
  VARLEN_UNROLL
  for (int i = 0; i < WordsOf<T>::kCount; ++i) words.word[i] = shuffled(words.word[i], lane);
  return words.value();
}
template <class T>
VARLEN_DEVICE T of_lane_below(const T& value, int lanes) {
  WordsOf<T> words(value);
  VARLEN_UNROLL
  for (int i = 0; i < WordsOf<T>::kCount; ++i) words.word[i] = shuffled_up(words.word[i], lanes);
  return words.value();
}

}  // namespace varlen::kernel
