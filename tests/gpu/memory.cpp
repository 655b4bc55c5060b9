#include "memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "machine.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kAlignment = 256;

std::int64_t round_up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit * unit; }

[[noreturn]] void out_of_memory(std::int64_t bytes) {
  throw std::runtime_error(fmt::format("there is no memory for {} bytes", bytes));
}

}  // namespace

Arena::Arena(Machine& machine, std::int64_t bytes) : machine_(machine), begin_(machine.allocate(bytes)), bytes_(bytes) {
  if (begin_ == nullptr) out_of_memory(bytes);
}

Arena::~Arena() { machine_.release(begin_); }

Piece Arena::place(std::int64_t bytes, std::int64_t /*alignment: any that divides kAlignment*/) {
  const std::int64_t size = round_up(bytes, kAlignment) + 2 * kMargin;
  if (size > bytes_ - used_) out_of_memory(bytes);
  std::byte* const begin = begin_ + used_;
  used_ += size;
  return {begin + kMargin, begin, begin + size};
}

Piece Allocations::place(std::int64_t bytes, std::int64_t /*alignment*/) {
  const std::int64_t size = round_up(bytes, kAlignment) + 2 * kMargin;
  std::byte* const begin = machine_.allocate(size);
  if (begin == nullptr) out_of_memory(size);
  memories_.push_back(begin);
  return {begin + kMargin, begin, begin + size};
}

void Allocations::clear() {
  for (std::byte* const memory : memories_) machine_.release(memory);
  memories_.clear();
}

Piece piece_at(Side side, std::byte* begin, std::byte* end, std::int64_t bytes, std::int64_t alignment) {
  const std::int64_t space = end - begin;
  if (bytes > space) out_of_memory(bytes);
  if (side == Side::kFront) {
    return {begin, begin, begin + std::min(space, round_up(bytes, kAlignment) + kMargin)};
  }
  std::byte* const data = begin + (space - bytes) / alignment * alignment;
  const std::int64_t before = std::min<std::int64_t>(kMargin, data - begin);
  return {data, data - before / kAlignment * kAlignment, end};
}

}  // namespace varlen::gpu_check
