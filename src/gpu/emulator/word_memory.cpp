#include "gpu/emulator/word_memory.hpp"

#include <fmt/format.h>

#include <cstring>

namespace varlen::gpu::emulator {
namespace {

/// What a thread of `warp` did at this time of its warp came before what the actor does now.
bool is_before(int warp, std::uint32_t time, const Actor& actor) {
  const std::uint32_t known = (*actor.clock)[static_cast<std::size_t>(warp)];
  return warp == actor.warp ? known > time : known >= time;
}

}  // namespace

void WordMemory::reset(std::int64_t bytes, int warps) {
  bytes_ = static_cast<std::size_t>(bytes);
  warps_ = static_cast<std::size_t>(warps);
  data_.clear();
  words_.clear();
  readers_.clear();
}

std::optional<std::string> WordMemory::prepare(std::uint32_t address, std::size_t bytes) {
  if (address + bytes > bytes_) return fmt::format("is at shared byte {}, of which the block has {}", address, bytes_);
  if (!data_.empty()) return std::nullopt;
  data_.resize(bytes_);
  words_.resize(bytes_ / kWordBytes);
  readers_.resize(words_.size() * warps_);
  return std::nullopt;
}

std::optional<std::string> WordMemory::read(std::uint32_t address, void* to, std::size_t bytes, const Actor& actor) {
  if (auto fault = prepare(address, bytes)) return fault;
  const auto warp = static_cast<std::size_t>(actor.warp);
  const auto thread = static_cast<std::int16_t>(actor.thread);
  for (std::size_t w = address / kWordBytes; w < (address + bytes) / kWordBytes; ++w) {
    const Word& word = words_[w];
    if (word.writer == kNobody) return fmt::format("reads shared byte {}, which was never written", w * kWordBytes);
    if (word.writer != thread && !is_before(word.writer / 32, word.write_time, actor)) {
      return fmt::format("reads shared byte {}, which thread {} wrote with no barrier since then", w * kWordBytes,
                         word.writer);
    }
    Reader& reader = readers_[w * warps_ + warp];
    const std::uint32_t now = (*actor.clock)[warp];
    const bool also_others = reader.time == now && reader.thread != thread;
    reader = {now, also_others ? kSeveral : thread};
  }
  std::memcpy(to, data_.data() + address, bytes);
  return std::nullopt;
}

std::optional<std::string> WordMemory::write_fault(std::size_t word, const Actor& actor) const {
  const Word& written = words_[word];
  if (written.writer != kNobody && written.writer != actor.thread &&
      !is_before(written.writer / 32, written.write_time, actor)) {
    return fmt::format("writes shared byte {}, which thread {} wrote with no barrier since then", word * kWordBytes,
                       written.writer);
  }
  for (std::size_t w = 0; w < warps_; ++w) {
    const Reader& reader = readers_[word * warps_ + w];
    if (reader.time == 0 || reader.thread == actor.thread || is_before(static_cast<int>(w), reader.time, actor))
      continue;
    return fmt::format("writes shared byte {}, which warp {} read with no barrier since then", word * kWordBytes, w);
  }
  return std::nullopt;
}

std::optional<std::string> WordMemory::write(std::uint32_t address, const void* from, std::size_t bytes,
                                             const Actor& actor) {
  if (auto fault = prepare(address, bytes)) return fault;
  for (std::size_t w = address / kWordBytes; w < (address + bytes) / kWordBytes; ++w) {
    if (auto fault = write_fault(w, actor)) return fault;
    words_[w] = {(*actor.clock)[static_cast<std::size_t>(actor.warp)], static_cast<std::int16_t>(actor.thread)};
  }
  std::memcpy(data_.data() + address, from, bytes);
  return std::nullopt;
}

}  // namespace varlen::gpu::emulator
