// gpu/block_operations.hpp on a CPU.
#pragma once

#include <bit>
#include <cstdint>

#include "gpu/block_operations.hpp"
#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/operations.hpp"

namespace varlen::gpu {

VARLEN_DEVICE int thread_count() { return emulator::Machine::current().thread_count(); }

template <class T>
VARLEN_DEVICE T load_word(SharedAddress from) {
  T value;
  emulator::Machine::current().load_word(from, &value, sizeof(T));
  return value;
}
template <class T>
VARLEN_DEVICE void store_word(SharedAddress to, const T& value) {
  emulator::Machine::current().store_word(to, &value, sizeof(T));
}

VARLEN_DEVICE std::uint32_t shuffle(std::uint32_t value, int lane) {
  emulator::Operands operands{};
  operands.stored[0] = value;
  operands.lane_mask = lane;
  return emulator::Machine::current().join_warp(emulator::Operation::kShuffle, operands).stored[0];
}
VARLEN_DEVICE std::uint32_t shuffle_up(std::uint32_t value, int lanes) {
  return shuffle(value, lane_index() < lanes ? lane_index() : lane_index() - lanes);
}
VARLEN_DEVICE std::uint32_t match_any(std::uint32_t value) {
  emulator::Operands operands{};
  operands.stored[0] = value;
  return emulator::Machine::current().join_warp(emulator::Operation::kMatchAny, operands).stored[0];
}

VARLEN_DEVICE int count_ones(std::uint32_t bits) { return std::popcount(bits); }

}  // namespace varlen::gpu
