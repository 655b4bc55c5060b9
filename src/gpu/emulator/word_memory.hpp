// Shared memory of the running block as single threads access it, in words of 4 bytes: the same watch over who wrote
// and read what when that SharedMemory keeps over granules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gpu/emulator/shared_memory.hpp"

namespace varlen::gpu::emulator {

class WordMemory {
 public:
  void reset(std::int64_t bytes, int warps);

  /// Each says what is wrong with the access, as the end of a sentence, or nothing. The address is aligned to `bytes`,
  /// a multiple of 4.
  std::optional<std::string> read(std::uint32_t address, void* to, std::size_t bytes, const Actor& actor);
  std::optional<std::string> write(std::uint32_t address, const void* from, std::size_t bytes, const Actor& actor);

 private:
  static constexpr std::size_t kWordBytes = 4;
  static constexpr std::int16_t kNobody = -1;
  static constexpr std::int16_t kSeveral = -2;
  struct Word {
    std::uint32_t write_time = 0;  // of the writer's warp
    std::int16_t writer = kNobody;
  };
  /// When a warp last read a word, 0: never, and which of its threads did then.
  struct Reader {
    std::uint32_t time = 0;
    std::int16_t thread = kNobody;
  };

  /// Sizes the books at the first access: most kernels make none.
  std::optional<std::string> prepare(std::uint32_t address, std::size_t bytes);
  std::optional<std::string> write_fault(std::size_t word, const Actor& actor) const;

  std::size_t bytes_ = 0;
  std::size_t warps_ = 1;
  std::vector<std::byte> data_;
  std::vector<Word> words_;
  std::vector<Reader> readers_;  // [words, warps]
};

}  // namespace varlen::gpu::emulator
