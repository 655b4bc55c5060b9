// Words of global memory that kernels both write and read: who wrote and read each when. Two accesses of one word, one
// of them a write, are a fault unless something orders them: a barrier, if both are of one block, or a launch's end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "gpu/emulator/shared_memory.hpp"

namespace varlen::gpu::emulator {

/// Who accesses global memory.
struct GlobalActor {
  Actor actor;
  int block;
  int launch;  // 0, 1, 2, …
};

class OrderedWords {
 public:
  static constexpr std::int64_t kWordBytes = 4;

  /// Accesses the words of `bytes` bytes from `offset` on. Says what is wrong with that, as the end of a sentence, or
  /// nothing.
  std::optional<std::string> read(std::int64_t offset, std::int64_t bytes, const GlobalActor& by);
  std::optional<std::string> write(std::int64_t offset, std::int64_t bytes, const GlobalActor& by);

 private:
  /// An access, by the newest launch that made one.
  struct Access {
    int launch = -1;
    std::uint32_t time = 0;  // of the thread's warp
    std::int32_t block = 0;
    std::int32_t thread = 0;
  };
  struct Word {
    Access write;
    Access read;                // the last one
    bool read_by_many = false;  // in this launch: readers_ has the others
  };
  static constexpr std::size_t kPageWords = 256;

  Word& word(std::int64_t index);
  static bool is_before(const Access& access, const GlobalActor& by);
  std::optional<std::string> read_word(std::int64_t index, const GlobalActor& by);
  std::optional<std::string> write_word(std::int64_t index, const GlobalActor& by);

  std::vector<std::unique_ptr<Word[]>> pages_;
  std::unordered_map<std::int64_t, std::vector<Access>> readers_;  // by word
};

}  // namespace varlen::gpu::emulator
