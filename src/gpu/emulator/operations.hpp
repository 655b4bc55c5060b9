// gpu/operations.hpp on a CPU: every function asks the machine that runs the calling thread. Included before kernels by
// the sources that instantiate them for the emulator, and by nothing else.
#pragma once

#include <cmath>
#include <cstdint>

#include "gpu/emulator/machine.hpp"
#include "gpu/emulator/number.hpp"
#include "gpu/emulator/registers.hpp"
#include "gpu/operations.hpp"

namespace varlen::gpu {

VARLEN_DEVICE int thread_index() { return emulator::Machine::current().thread_index(); }
VARLEN_DEVICE int block_index() { return emulator::Machine::current().block_index(); }
VARLEN_DEVICE int block_count() { return emulator::Machine::current().block_count(); }

VARLEN_DEVICE void sync_block() { emulator::Machine::current().sync_block(); }
VARLEN_DEVICE void sync_warp() { emulator::Machine::current().join_warp(emulator::Operation::kSyncWarp, {}); }
VARLEN_DEVICE void sync_threads(int id, int threads) { emulator::Machine::current().sync_threads(id, threads); }
VARLEN_DEVICE void arrive_threads(int id, int threads) { emulator::Machine::current().arrive_threads(id, threads); }

VARLEN_DEVICE SharedAddress shared_memory() { return {0}; }
VARLEN_DEVICE void store_shared(SharedAddress to, const Words4& value) {
  emulator::Machine::current().store_shared(to, value);
}

VARLEN_DEVICE Words4 load_shared(SharedAddress from) { return emulator::Machine::current().load_shared(from); }

template <class T>
VARLEN_DEVICE T load_global(const T* from) {
  emulator::Machine::current().access_global(emulator::Operation::kLoadGlobal, from, sizeof(T), sizeof(T),
                                             emulator::Direction::kRead);
  return *from;
}
template <class T>
VARLEN_DEVICE void store_global(T* to, const T& value) {
  emulator::Machine::current().access_global(emulator::Operation::kStoreGlobal, to, sizeof(T), sizeof(T),
                                             emulator::Direction::kWrite);
  *to = value;
}

VARLEN_DEVICE std::int64_t draw(std::int64_t* counter) { return emulator::Machine::current().draw(counter); }

VARLEN_DEVICE bool try_lock(std::uint32_t* lock) { return emulator::Machine::current().try_lock(lock); }
VARLEN_DEVICE void unlock(std::uint32_t* lock) { store_global(lock, std::uint32_t{0}); }
VARLEN_DEVICE std::uint32_t load_from_host(const std::uint32_t* word) { return load_global(word); }
VARLEN_DEVICE void store_for_host(std::uint32_t* word, std::uint32_t value) { store_global(word, value); }

VARLEN_DEVICE void copy_async_16(SharedAddress to, const void* from, bool present) {
  emulator::Machine::current().copy_async(to, from, present);
}
VARLEN_DEVICE void copy_async_commit() { emulator::Machine::current().copy_async_commit(); }
template <int kPending>
VARLEN_DEVICE void copy_async_wait() {
  emulator::Machine::current().copy_async_wait(kPending);
}

VARLEN_DEVICE void copy_async_arrive(SharedAddress barrier) { emulator::Machine::current().copy_async_arrive(barrier); }

VARLEN_DEVICE void init_barrier(SharedAddress barrier, int arrivals) {
  emulator::Machine::current().init_barrier(barrier, arrivals);
}
VARLEN_DEVICE void fence_barriers() { emulator::Machine::current().fence_barriers(); }
VARLEN_DEVICE void arrive(SharedAddress barrier) { emulator::Machine::current().arrive_expecting(barrier, 0); }
VARLEN_DEVICE void arrive_expecting(SharedAddress barrier, std::uint32_t bytes) {
  emulator::Machine::current().arrive_expecting(barrier, bytes);
}
VARLEN_DEVICE void load_box(SharedAddress to, const TensorMap& map, const BoxPlace& place, SharedAddress barrier) {
  emulator::Machine::current().load_box(to, map, place, barrier);
}
VARLEN_DEVICE void store_box(const TensorMap& map, const BoxPlace& place, SharedAddress from) {
  emulator::Machine::current().store_box(map, place, from);
}
VARLEN_DEVICE void store_box_wait() { emulator::Machine::current().store_box_wait(); }
VARLEN_DEVICE void wait_for(SharedAddress barrier, std::uint32_t parity) {
  emulator::Machine::current().wait_for(barrier, parity);
}

VARLEN_DEVICE void load_matrices(std::uint32_t (&matrix)[4], SharedAddress row) {
  emulator::Operands operands{};
  operands.row = row;
  operands.matrix = matrix;
  emulator::Machine::current().join_warp(emulator::Operation::kLoadMatrices, operands);
}
VARLEN_DEVICE void load_matrices_transposed(std::uint32_t (&matrix)[4], SharedAddress row) {
  emulator::Operands operands{};
  operands.row = row;
  operands.matrix = matrix;
  emulator::Machine::current().join_warp(emulator::Operation::kLoadMatricesTransposed, operands);
}

VARLEN_DEVICE void store_matrices(SharedAddress row, const std::uint32_t (&matrix)[4]) {
  emulator::Operands operands{};
  operands.row = row;
  for (int i = 0; i < 4; ++i) operands.stored[i] = matrix[i];
  emulator::Machine::current().join_warp(emulator::Operation::kStoreMatrices, operands);
}

namespace emulator {
template <class Element>
inline constexpr Operation kMultiplyAdd = Operation::kNone;
template <>
inline constexpr Operation kMultiplyAdd<Float16> = Operation::kMultiplyAddFloat16;
template <>
inline constexpr Operation kMultiplyAdd<BFloat16> = Operation::kMultiplyAddBFloat16;
}  // namespace emulator

template <class Element>
VARLEN_DEVICE void multiply_add_16x8x16(float (&sum)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                        std::uint32_t b1) {
  static_assert(emulator::kMultiplyAdd<Element> != emulator::Operation::kNone);
  emulator::Operands operands{};
  operands.sum = sum;
  operands.a = a;
  operands.b[0] = b0;
  operands.b[1] = b1;
  emulator::Machine::current().join_warp(emulator::kMultiplyAdd<Element>, operands);
}

template <class Element, int kTiles>
VARLEN_DEVICE void warpgroup_multiply(Sums<kTiles>& sum, MatrixDescriptor a, MatrixDescriptor b, bool add) {
  emulator::Product product{};
  product.operation = emulator::Operation::kWarpgroupMultiply;
  product.is_bfloat16 = emulator::kMultiplyAdd<Element> == emulator::Operation::kMultiplyAddBFloat16;
  product.add = add;
  product.tiles = kTiles;
  product.sums = &sum;
  product.sum = sum.values();
  product.a_matrix = a.bits;
  product.b_matrix = b.bits;
  emulator::Machine::current().multiply(product);
}
template <class Element, int kTiles>
VARLEN_DEVICE void warpgroup_multiply_add(Sums<kTiles>& sum, const Fragment& a, MatrixDescriptor b) {
  emulator::Product product{};
  product.operation = emulator::Operation::kWarpgroupMultiplyAdd;
  product.is_bfloat16 = emulator::kMultiplyAdd<Element> == emulator::Operation::kMultiplyAddBFloat16;
  product.add = true;
  product.tiles = kTiles;
  product.sums = &sum;
  product.sum = sum.values();
  product.fragment = &a;
  product.b_matrix = b.bits;
  emulator::Machine::current().multiply(product);
}
VARLEN_DEVICE void warpgroup_fence() { emulator::Machine::current().warpgroup_fence(); }
VARLEN_DEVICE void warpgroup_commit() { emulator::Machine::current().warpgroup_commit(); }
template <int kPending>
VARLEN_DEVICE void warpgroup_wait() {
  emulator::Machine::current().warpgroup_wait(kPending);
}
template <int kTiles>
VARLEN_DEVICE void keep_in_place(Sums<kTiles>& /*sum*/) {}
VARLEN_DEVICE void compute_first(float /*value*/, std::int32_t /*positive*/) {}
VARLEN_DEVICE void fence_shared_for_products() { emulator::Machine::current().fence_shared_for_products(); }
template <int kRegisters>
VARLEN_DEVICE void take_registers() {
  emulator::Machine::current().set_registers(kRegisters);
}
template <int kRegisters>
VARLEN_DEVICE void give_back_registers() {
  emulator::Machine::current().set_registers(kRegisters);
}

VARLEN_DEVICE float shuffle_xor(float value, int lane_mask) {
  emulator::Operands operands{};
  operands.value = value;
  operands.lane_mask = lane_mask;
  return emulator::Machine::current().join_warp(emulator::Operation::kShuffleXor, operands).value;
}
VARLEN_DEVICE int count_votes(bool vote) {
  emulator::Operands operands{};
  operands.vote = vote;
  return emulator::Machine::current().join_warp(emulator::Operation::kCountVotes, operands).votes;
}
VARLEN_DEVICE std::int64_t broadcast(std::int64_t value) {
  emulator::Operands operands{};
  operands.wide = value;
  return emulator::Machine::current().join_warp(emulator::Operation::kBroadcast, operands).wide;
}
VARLEN_DEVICE bool elect_one() {
  emulator::Machine::current().join_warp(emulator::Operation::kElectOne, {});
  return lane_index() == 0;
}

VARLEN_DEVICE float exp2_fast(float x) { return emulator::exp2_flushed(x); }
VARLEN_DEVICE float natural_log(float x) { return std::log(x); }
VARLEN_DEVICE float reciprocal_fast(float x) { return emulator::reciprocal_flushed(x); }
template <class Element>
VARLEN_DEVICE std::uint32_t pack(float low, float high) {
  return emulator::narrow<Element>(low) | std::uint32_t{emulator::narrow<Element>(high)} << 16;
}

VARLEN_DEVICE void widen_e4m3(std::uint32_t four, std::uint32_t& low, std::uint32_t& high) {
  const auto half = [four](int byte) -> std::uint32_t {
    return emulator::narrow<Float16>(emulator::widen<Float8E4M3>(static_cast<std::uint16_t>(four >> 8 * byte & 0xFFU)));
  };
  low = half(0) | half(1) << 16;
  high = half(2) | half(3) << 16;
}
VARLEN_DEVICE std::uint32_t select_bytes(std::uint32_t low, std::uint32_t high, std::uint32_t selector) {
  const std::uint64_t bytes = low | std::uint64_t{high} << 32;
  std::uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t byte = selector >> 4 * i & 7U;
    result |= static_cast<std::uint32_t>(bytes >> 8 * byte & 0xFFU) << 8 * i;
  }
  return result;
}

VARLEN_DEVICE void forget(std::uint32_t& /*value*/) {}

VARLEN_DEVICE void enter_item(std::int64_t item, std::int32_t request) {
  emulator::Machine::current().enter_item(item, request);
}

}  // namespace varlen::gpu
