#include "gpu/emulator/ordered_words.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace varlen::gpu::emulator {

OrderedWords::Word& OrderedWords::word(std::int64_t index) {
  const auto i = static_cast<std::size_t>(index);
  if (i / kPageWords >= pages_.size()) pages_.resize(i / kPageWords + 1);
  auto& page = pages_[i / kPageWords];
  if (page == nullptr) page = std::make_unique<Word[]>(kPageWords);
  return page[i % kPageWords];
}

bool OrderedWords::is_before(const Access& access, const GlobalActor& by) {
  if (access.launch != by.launch) return true;
  if (access.block != by.block) return false;
  if (access.thread == by.actor.thread) return true;
  const int warp = access.thread / 32;
  const std::uint32_t known = (*by.actor.clock)[static_cast<std::size_t>(warp)];
  return warp == by.actor.warp ? known > access.time : known >= access.time;
}

std::optional<std::string> OrderedWords::read_word(std::int64_t index, const GlobalActor& by) {
  Word& here = word(index);
  if (!is_before(here.write, by)) {
    return fmt::format("reads what thread {} of block {} wrote with no barrier since then", here.write.thread,
                       here.write.block);
  }
  // What was read before this read, in order, is before whatever comes after it.
  if (!is_before(here.read, by)) {
    auto& others = readers_[index];
    if (!here.read_by_many) others.clear();
    here.read_by_many = true;
    others.push_back(here.read);
  } else if (here.read.launch != by.launch) {
    here.read_by_many = false;
  }
  here.read = {by.launch, (*by.actor.clock)[static_cast<std::size_t>(by.actor.warp)], by.block, by.actor.thread};
  return std::nullopt;
}

std::optional<std::string> OrderedWords::write_word(std::int64_t index, const GlobalActor& by) {
  Word& here = word(index);
  if (!is_before(here.write, by)) {
    return fmt::format("writes what thread {} of block {} wrote with no barrier since then", here.write.thread,
                       here.write.block);
  }
  const Access* reader = is_before(here.read, by) ? nullptr : &here.read;
  if (reader == nullptr && here.read_by_many) {
    const auto& others = readers_[index];
    const auto found =
        std::find_if(others.begin(), others.end(), [&](const Access& other) { return !is_before(other, by); });
    if (found != others.end()) reader = &*found;
  }
  if (reader != nullptr) {
    return fmt::format("writes what thread {} of block {} read with no barrier since then", reader->thread,
                       reader->block);
  }
  here.write = {by.launch, (*by.actor.clock)[static_cast<std::size_t>(by.actor.warp)], by.block, by.actor.thread};
  here.read_by_many = false;
  return std::nullopt;
}

std::optional<std::string> OrderedWords::read(std::int64_t offset, std::int64_t bytes, const GlobalActor& by) {
  for (std::int64_t w = offset / kWordBytes; w * kWordBytes < offset + bytes; ++w) {
    if (auto fault = read_word(w, by)) return fault;
  }
  return std::nullopt;
}

std::optional<std::string> OrderedWords::write(std::int64_t offset, std::int64_t bytes, const GlobalActor& by) {
  for (std::int64_t w = offset / kWordBytes; w * kWordBytes < offset + bytes; ++w) {
    if (auto fault = write_word(w, by)) return fault;
  }
  return std::nullopt;
}

}  // namespace varlen::gpu::emulator
