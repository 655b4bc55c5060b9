// gpu/tensor_operations.hpp on a CPU: every function asks the machine that runs the calling thread.
#pragma once

#include <cstdint>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/tensor_operations.hpp"

namespace varlen::gpu {
namespace emulator {

/// Registers of one thread that loads from tensor memory go to: nobody may touch them before the load was waited for.
class TensorRegisters {
 public:
  explicit TensorRegisters(std::uint32_t* data) : data_(data) {}
  TensorRegisters(const TensorRegisters&) = delete;
  TensorRegisters& operator=(const TensorRegisters&) = delete;
  ~TensorRegisters() {
    if (pending_) abandon();
  }

  void touch() const {
    if (pending_) fail_touch();
  }
  // A load begins; a wait names them; the load arrives.
  void lend() {
    touch();
    pending_ = true;
    named_ = false;
  }
  void name() { named_ = true; }
  bool is_named() const { return named_; }
  void arrive() { pending_ = false; }
  std::uint32_t* data() { return data_; }

 private:
  [[noreturn]] void fail_touch() const;
  void abandon();

  std::uint32_t* data_;
  bool pending_ = false;
  bool named_ = false;
};

template <class Element>
inline constexpr TensorProduct::Element kTensorElement = TensorProduct::Element::kFloat16;
template <>
inline constexpr TensorProduct::Element kTensorElement<BFloat16> = TensorProduct::Element::kBFloat16;
template <>
inline constexpr TensorProduct::Element kTensorElement<Float8E4M3> = TensorProduct::Element::kFloat8E4M3;

}  // namespace emulator

template <int kColumns>
class TensorWords {
 public:
  TensorWords() : registers_(&word_[0]) {}
  std::uint32_t& operator[](int column) {
    registers_.touch();
    return word_[column];
  }
  const std::uint32_t& operator[](int column) const {
    registers_.touch();
    return word_[column];
  }
  emulator::TensorRegisters& registers() { return registers_; }
  const emulator::TensorRegisters& registers() const { return registers_; }

 private:
  std::uint32_t word_[kColumns];
  emulator::TensorRegisters registers_;
};

VARLEN_DEVICE void allocate_tensor_memory(SharedAddress to, int columns) {
  emulator::Operands operands{};
  operands.row = to;
  operands.wide = columns;
  emulator::Machine::current().join_warp(emulator::Operation::kAllocateTensorMemory, operands);
}
VARLEN_DEVICE TensorAddress load_tensor_address(SharedAddress from) {
  return {emulator::Machine::current().load_shared(from).word[0]};
}
VARLEN_DEVICE void give_up_tensor_allocation() {
  emulator::Machine::current().join_warp(emulator::Operation::kGiveUpTensorAllocation, {});
}
VARLEN_DEVICE void free_tensor_memory(TensorAddress address, int columns) {
  emulator::Operands operands{};
  operands.row = {address.bits};
  operands.wide = columns;
  emulator::Machine::current().join_warp(emulator::Operation::kFreeTensorMemory, operands);
}

template <int kColumns>
VARLEN_DEVICE void load_tensor(TensorWords<kColumns>& words, TensorAddress from) {
  static_assert(kColumns == 16 || kColumns == 32 || kColumns == 64 || kColumns == 128);
  words.registers().lend();
  emulator::Operands operands{};
  operands.row = {from.bits};
  operands.wide = kColumns;
  operands.tensor = &words.registers();
  emulator::Machine::current().join_warp(emulator::Operation::kLoadTensor, operands);
}
template <int... kColumns>
VARLEN_DEVICE void wait_tensor_loads(TensorWords<kColumns>&... words) {
  (words.registers().name(), ...);
  emulator::Machine::current().join_warp(emulator::Operation::kWaitTensorLoads, {});
}
template <int kColumns>
VARLEN_DEVICE void store_tensor(TensorAddress to, const TensorWords<kColumns>& words) {
  static_assert(kColumns == 16 || kColumns == 32 || kColumns == 64 || kColumns == 128);
  emulator::Operands operands{};
  operands.row = {to.bits};
  operands.wide = kColumns;
  operands.words = &words[0];
  emulator::Machine::current().join_warp(emulator::Operation::kStoreTensor, operands);
}
VARLEN_DEVICE void wait_tensor_stores() {
  emulator::Machine::current().join_warp(emulator::Operation::kWaitTensorStores, {});
}

VARLEN_DEVICE void fence_tensor_before_sync() { emulator::Machine::current().fence_tensor_before_sync(); }
VARLEN_DEVICE void fence_tensor_after_sync() { emulator::Machine::current().fence_tensor_after_sync(); }

template <class Element>
VARLEN_DEVICE void tensor_multiply(TensorAddress sum, TensorMatrix a, TensorMatrix b, ProductShape shape, bool add) {
  emulator::Machine::current().multiply(emulator::TensorProduct{emulator::kTensorElement<Element>, false, add, sum.bits,
                                                                a.bits, b.bits, shape.bits, 0, 0});
}
template <class Element>
VARLEN_DEVICE void tensor_multiply(TensorAddress sum, TensorAddress a, TensorMatrix b, ProductShape shape, bool add) {
  emulator::Machine::current().multiply(emulator::TensorProduct{emulator::kTensorElement<Element>, true, add, sum.bits,
                                                                a.bits, b.bits, shape.bits, 0, 0});
}
VARLEN_DEVICE void commit_tensor_products(SharedAddress barrier) {
  emulator::Machine::current().commit_tensor_products(barrier);
}

}  // namespace varlen::gpu
