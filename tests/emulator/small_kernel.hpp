// Small kernels on a machine of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gpu/emulator/operations.hpp"
#include "varlen/error.hpp"

namespace varlen::gpu::emulator::test {

/// One request of four query and eight key tokens after one of two and three, two heads of eight elements each; tokens
/// 24 elements apart, so that there are gaps. All pointers are 16-byte aligned.
struct SmallMemory {
  static constexpr std::int64_t kTokenStride = 24;
  static constexpr std::int64_t kRow = 8;
  static constexpr std::int32_t kRequest = 1;
  static constexpr std::int64_t kQueryStart = 2;
  static constexpr std::int64_t kKeyStart = 3;

  alignas(16) std::uint16_t query[6 * kTokenStride] = {};
  alignas(16) std::uint16_t key[11 * kTokenStride] = {};
  alignas(16) std::uint16_t out[6 * kTokenStride] = {};
  alignas(16) float partials[4 * kRow] = {};
  GlobalMemory global{{{0, 2, 0, 3}, {kQueryStart, 4, kKeyStart, 8}}};

  SmallMemory() {
    global.add({Role::kQuery, query, 2, kRow, {}, {6, kTokenStride}, {2, kRow}});
    global.add({Role::kKey, key, 2, kRow, {}, {11, kTokenStride}, {2, kRow}});
    global.add({Role::kOut, out, 2, kRow, {}, {6, kTokenStride}, {2, kRow}});
    global.add({Role::kPartials, partials, 4, kRow, {}, {4, kRow}, {}});
    global.set_partial_rows({{0, 2, 0}, {2, 4, kRequest}});
  }
};

/// What the launch threw; empty if nothing.
inline std::string fault_of(GlobalMemory& memory, const Launch& launch, const std::function<void()>& kernel) {
  Machine machine(memory);
  try {
    machine.launch(launch, kernel);
  } catch (const Error& error) {
    return error.code() == ErrorCode::kInternal ? error.what() : "not an internal error";
  }
  return "";
}

inline std::string fault_of(const Launch& launch, const std::function<void()>& kernel) {
  GlobalMemory none({});
  return fault_of(none, launch, kernel);
}

/// Sixteen bytes of which each two-byte element is `first`, first + 1, ….
inline Words4 counting(std::uint32_t first) {
  Words4 words;
  for (std::uint32_t i = 0; i < 4; ++i) words.word[i] = (first + 2 * i) | (first + 2 * i + 1) << 16;
  return words;
}

}  // namespace varlen::gpu::emulator::test
