// Arrays that a planner's team works with: in the shared memory of one block, in global memory, or spread over the
// shared memory of a cluster's blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "gpu/cluster_operations.hpp"
#include "kernel/team_memory.hpp"
#include "kernel/team_words.hpp"

namespace varlen::kernel {

/// Of integers. Made by default it is null.
template <Arrays kArrays, class T>
class TeamArray;

template <class T>
class TeamArray<Arrays::kShared, T> {
  using Word = std::make_unsigned_t<T>;

 public:
  TeamArray() = default;
  VARLEN_DEVICE explicit TeamArray(gpu::SharedAddress data) : data_(data) {}
  VARLEN_DEVICE bool is_null() const { return data_.value == 0; }  // slots come first
  VARLEN_DEVICE T at(std::int32_t index) const {
    return static_cast<T>(gpu::load_word<Word>(element<T>(data_, index)));
  }
  VARLEN_DEVICE void put(std::int32_t index, T value) const {
    gpu::store_word(element<T>(data_, index), static_cast<Word>(value));
  }
  /// Elements of 4 bytes, from a multiple of four on.
  VARLEN_DEVICE gpu::Words4 four_at(std::int32_t index) const {
    return gpu::load_word<gpu::Words4>(element<T>(data_, index));
  }

 private:
  gpu::SharedAddress data_{};
};

template <class T>
class TeamArray<Arrays::kGlobal, T> {
 public:
  TeamArray() = default;
  VARLEN_DEVICE explicit TeamArray(std::byte* data) : data_(data) {}
  VARLEN_DEVICE bool is_null() const { return data_ == nullptr; }
  VARLEN_DEVICE T at(std::int32_t index) const { return gpu::load_global(reinterpret_cast<const T*>(data_) + index); }
  VARLEN_DEVICE void put(std::int32_t index, T value) const {
    gpu::store_global(reinterpret_cast<T*>(data_) + index, value);
  }

 private:
  std::byte* data_ = nullptr;
};

/// Each block has as many elements as it has threads, in turns: threads that go through an array together find it in
/// their own block.
template <class T>
class TeamArray<Arrays::kCluster, T> {
  using Word = std::make_unsigned_t<T>;

 public:
  TeamArray() = default;
  VARLEN_DEVICE explicit TeamArray(gpu::SharedAddress data) : data_(data) {}
  VARLEN_DEVICE bool is_null() const { return data_.value == 0; }
  VARLEN_DEVICE T at(std::int32_t index) const { return static_cast<T>(gpu::load_word<Word>(address(index))); }
  VARLEN_DEVICE void put(std::int32_t index, T value) const {
    gpu::store_word(address(index), static_cast<Word>(value));
  }
  /// Elements of 4 bytes: arrives at `barrier` of the block whose memory it is.
  VARLEN_DEVICE void put_arriving(std::int32_t index, T value, gpu::SharedAddress barrier) const {
    gpu::store_arriving(address(index), static_cast<Word>(value), gpu::of_block(barrier, block(index)));
  }
  /// How many of the first `count` elements the block of this rank has.
  VARLEN_DEVICE static std::int32_t count_in(std::int32_t rank, std::int32_t count) {
    const std::int32_t turns = count / kTurn;
    return turns * kThreads + greatest(0, least(count - turns * kTurn - rank * kThreads, kThreads));
  }

 private:
  static constexpr std::int32_t kThreads = TeamMemory::kClusterWarps * gpu::kWarpThreads;
  static constexpr std::int32_t kTurn = kThreads * TeamMemory::kClusterBlocks;

  VARLEN_DEVICE static int block(std::int32_t index) {
    return static_cast<int>(static_cast<std::uint32_t>(index) / kThreads % TeamMemory::kClusterBlocks);
  }
  VARLEN_DEVICE gpu::ClusterAddress address(std::int32_t index) const {
    const auto i = static_cast<std::uint32_t>(index);
    const std::uint32_t turn = i / kTurn;
    return gpu::of_block(element<T>(data_, static_cast<std::int32_t>(turn * kThreads + i % kThreads)), block(index));
  }

  gpu::SharedAddress data_{};
};

}  // namespace varlen::kernel
