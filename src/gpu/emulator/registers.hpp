// Registers that products of a warpgroup take over: who touches them before the products are waited for, or with no
// fence between that and the next product, is found out. (PTX ISA: asynchronous warpgroup level matrix
// multiply-accumulate, wgmma.fence and wgmma.wait_group.)
#pragma once

#include <cstdint>

#include "gpu/operations.hpp"

namespace varlen::gpu {
namespace emulator {

struct Thread;

/// Some registers of the thread that makes this.
class Registers {
 public:
  Registers();
  Registers(const Registers& other) : Registers() { other.look(); }
  Registers& operator=(const Registers& other) {
    other.look();
    touch();
    return *this;
  }
  ~Registers() {
    if (sums_ + operands_ > 0) abandon();
  }

  /// They are read, or both read and written. Fails while a product has them: sums may not even be looked at.
  void look() const {
    if (sums_ > 0) fail_look();
  }
  void touch() {
    if (sums_ + operands_ > 0) fail_touch();
    touched_ = *fences_;
  }

  /// Products that are to come must find a warpgroup_fence() since then.
  bool is_fenced() const { return touched_ < *fences_; }
  // A product begins and ends.
  void lend_as_sums() { ++sums_; }
  void give_back_sums() { --sums_; }
  void lend_as_operand() const { ++operands_; }
  void give_back_operand() const { --operands_; }

 private:
  [[noreturn]] void fail_look() const;
  [[noreturn]] void fail_touch() const;
  void abandon();

  const std::uint64_t* fences_;  // how many warpgroup_fence()s the thread has made
  std::uint64_t touched_;        // how many there were then
  int sums_ = 0;                 // products in flight that add to them
  mutable int operands_ = 0;     // products in flight that read them
};

}  // namespace emulator

template <int kTiles>
class Sums : public emulator::Registers {
 public:
  float (&operator[](int tile))[4] {
    touch();
    return value_[tile];
  }
  const float (&operator[](int tile) const)[4] {
    look();
    return value_[tile];
  }
  /// For products.
  float* values() { return &value_[0][0]; }

 private:
  float value_[kTiles][4];
};

class Fragment : public emulator::Registers {
 public:
  std::uint32_t& operator[](int i) {
    touch();
    return word_[i];
  }
  const std::uint32_t& operator[](int i) const {
    look();
    return word_[i];
  }

 private:
  std::uint32_t word_[4];
};

}  // namespace varlen::gpu
