// What the machine does for whole warpgroups: products that run on after the call, and registers.
#include <fmt/format.h>

#include <algorithm>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/operations.hpp"
#include "gpu/emulator/registers.hpp"
#include "varlen/error.hpp"

namespace varlen::gpu::emulator {

void Machine::multiply(Product product) {
  Thread& self = *running_;
  const bool is_fenced = product.sums->is_fenced() && (product.fragment == nullptr || product.fragment->is_fenced());
  if (!is_fenced) fail(self, product.operation, "comes without a warpgroup_fence since its registers were touched");
  if (self.index % kWarpThreads == 0) begin_reading(*this, self, product);
  product.sums->lend_as_sums();
  if (product.fragment != nullptr) product.fragment->lend_as_operand();
  product.group = self.product_groups;
  self.products.push_back(product);
  observe(product.operation, static_cast<std::uint32_t>(product.group));
}

void Machine::abandon(const Registers& registers) {
  Thread& self = *running_;
  self.lost_registers = true;
  std::erase_if(self.products, [&](const Product& product) {
    const bool is_lost = product.sums == &registers || product.fragment == &registers;
    if (!is_lost) return false;
    if (product.sums != &registers) product.sums->give_back_sums();
    if (product.fragment != nullptr && product.fragment != &registers) product.fragment->give_back_operand();
    return true;
  });
}

/// Of a thread that ends: its registers may outlive it.
void Machine::end_products(Thread& thread) {
  for (const Product& product : thread.products) {
    product.sums->give_back_sums();
    if (product.fragment != nullptr) product.fragment->give_back_operand();
  }
  thread.products.clear();
}

Registers::Registers() : fences_(&Machine::current().running().fences), touched_(*fences_) {}

void Registers::fail_look() const {
  const Thread& self = Machine::current().running();
  const auto user = std::find_if(self.products.begin(), self.products.end(),
                                 [this](const Product& product) { return product.sums == this; });
  Machine::current().fail(self, user->operation, "is in flight while its sums are touched: it was not waited for");
}

void Registers::fail_touch() const {
  if (sums_ > 0) fail_look();
  const Thread& self = Machine::current().running();
  const auto user = std::find_if(self.products.begin(), self.products.end(),
                                 [this](const Product& product) { return product.fragment == this; });
  Machine::current().fail(self, user->operation,
                          "is in flight while registers that it reads are written: it was not waited for");
}

void Registers::abandon() { Machine::current().abandon(*this); }

void Machine::warpgroup_wait(int pending) {
  maybe_switch();
  constexpr Operation kWait = Operation::kWarpgroupWait;
  Thread& self = *running_;
  Warp& warp = warp_of(self);
  const std::size_t first = static_cast<std::size_t>(self.index) / kWarpgroupThreads * 4;
  if (first + 4 > warps_.size()) fail(self, kWait, "is called by warps that are no warpgroup");
  if (self.lost_registers) {
    fail(self, Operation::kWarpgroupMultiply, "has registers that ended before it was waited for");
  }
  if (warp.at_barrier != 0) fail_divergent(self, kWait, warp.at_barrier, Operation::kSyncBlock);
  if (warp.in_operation != 0 && warp.operation != kWait) {
    fail_divergent(self, kWait, warp.in_operation, warp.operation);
  }
  warp.operation = kWait;
  self.waiting_for = static_cast<std::uint32_t>(self.product_groups - pending);
  warp.in_operation |= lane_bit(self);
  for (std::size_t w = first; w < first + 4; ++w) {
    if (warps_[w].in_operation == kAllLanes && warps_[w].operation == kWait) continue;
    wait(kWait);
    return;
  }
  execute_products(*this, &threads_[first * kWarpThreads], self.product_groups - pending);
  for (std::size_t w = first; w < first + 4; ++w) {
    warps_[w].in_operation = 0;
    warps_[w].runnable = kAllLanes;
  }
  observe(kWait, 0, self.waiting_for);
}

void Machine::set_registers(int registers) {
  const Thread& self = *running_;
  if (registers < 24 || registers > 256 || registers % 8 != 0) {
    fail(self, Operation::kSetRegisters,
         fmt::format("asks for {} registers, which is not a multiple of 8 from 24 to 256", registers));
  }
  registers_[static_cast<std::size_t>(self.index / kWarpgroupThreads)] = registers;
}

void Machine::check_registers() const {
  // What the block is launched with, as many for each thread as there are, is all that its warpgroups can share out.
  constexpr int kRegisters = 65536;
  constexpr int kUnit = 8;
  const int all = kRegisters / launch_.threads / kUnit * kUnit * launch_.threads;
  int sum = 0;
  for (const int registers : registers_) sum += registers * kWarpgroupThreads;
  if (sum > all) {
    throw Error(
        ErrorCode::kInternal, "kernel", Error::kNoIndex, "",
        fmt::format("block {}: its warpgroups have {} registers together, of which there are {}", block_, sum, all));
  }
}

}  // namespace varlen::gpu::emulator
