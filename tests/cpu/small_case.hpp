// A small batch and its plan's exact workspace, for tests of execute().
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_backend.hpp"
#include "varlen/plan.hpp"

namespace varlen::cpu {

/// Workspace memory of exactly the bytes asked for, filled with NaN.
class ExactWorkspace {
 public:
  explicit ExactWorkspace(std::int64_t bytes) : memory_(static_cast<std::size_t>(bytes) + 64, std::byte{0xFF}) {
    void* pointer = memory_.data();
    std::size_t space = memory_.size();
    workspace_ = {std::align(64, static_cast<std::size_t>(bytes), pointer, space), bytes};
    // What lies beyond the promised bytes is marked and must stay so.
    tail_ = memory_.data() + memory_.size() - 1;
    if (tail_ >= static_cast<std::byte*>(workspace_.data) + bytes) {
      *tail_ = std::byte{0x5A};
    } else {
      tail_ = nullptr;
    }
  }
  Workspace get() const { return workspace_; }
  bool tail_intact() const { return tail_ == nullptr || *tail_ == std::byte{0x5A}; }

 private:
  std::vector<std::byte> memory_;
  Workspace workspace_;
  std::byte* tail_;
};

/// A causal batch of a few requests with grouped heads; every value from a seed of its request, so that the same
/// request can stand in different batches.
struct Case {
  std::vector<std::int64_t> query_lengths;
  std::vector<std::int64_t> key_lengths;
  std::vector<float> query;
  std::vector<float> key;
  std::vector<float> value;
  std::vector<float> out;
  std::vector<float> lse;
  Batch batch;
  Tensors tensors;

  static constexpr std::int32_t kQueryHeads = 6;
  static constexpr std::int32_t kKvHeads = 2;
  static constexpr std::int32_t kHeadDim = 40;

  Case(std::vector<std::int64_t> queries, std::vector<std::int64_t> keys, std::vector<std::uint32_t> seeds, Mask mask)
      : query_lengths(std::move(queries)), key_lengths(std::move(keys)) {
    std::int64_t query_tokens = 0;
    std::int64_t key_tokens = 0;
    for (std::size_t request = 0; request < seeds.size(); ++request) {
      std::mt19937 generator(seeds[request]);
      std::normal_distribution<float> normal;
      const auto fill = [&](std::vector<float>& tensor, std::int64_t count) {
        std::generate_n(std::back_inserter(tensor), count, [&] { return normal(generator); });
      };
      fill(query, query_lengths[request] * kQueryHeads * kHeadDim);
      fill(key, key_lengths[request] * kKvHeads * kHeadDim);
      fill(value, key_lengths[request] * kKvHeads * kHeadDim);
      query_tokens += query_lengths[request];
      key_tokens += key_lengths[request];
    }
    out.assign(query.size(), -1.0F);
    lse.assign(static_cast<std::size_t>(query_tokens * kQueryHeads), -1.0F);
    batch.query_lengths = std::span<const std::int64_t>(query_lengths);
    batch.key_lengths = std::span<const std::int64_t>(key_lengths);
    batch.query_heads = kQueryHeads;
    batch.kv_heads = kKvHeads;
    batch.head_dim_qk = kHeadDim;
    batch.query_dtype = Dtype::kFloat32;
    batch.output_dtype = Dtype::kFloat32;
    batch.mask = mask;
    batch.batch_invariant = true;
    const auto dense = [](std::vector<float>& tensor, std::int64_t tokens, std::int64_t heads) {
      return TensorView::dense(tensor.data(), Dtype::kFloat32, {tokens, heads, kHeadDim});
    };
    tensors.query = dense(query, query_tokens, kQueryHeads);
    tensors.key = dense(key, key_tokens, kKvHeads);
    tensors.value = dense(value, key_tokens, kKvHeads);
    tensors.out = dense(out, query_tokens, kQueryHeads);
    tensors.lse = TensorView::dense(lse.data(), Dtype::kFloat32, {query_tokens, kQueryHeads});
  }

  /// On as many threads as the target has workers, whatever the machine offers.
  void run(const PlanTarget& target, RunTrace* trace = nullptr) {
    const Plan plan = make_plan(batch, target);
    const ExactWorkspace workspace(cpu::workspace_bytes(plan));
    execute(plan, tensors, workspace.get(), trace, target.workers);
    EXPECT_TRUE(workspace.tail_intact());
  }
};

inline PlanTarget target_of(std::vector<TileShape> shapes, std::int32_t key_block, std::int32_t workers) {
  PlanTarget target = PlanTarget::cpu(workers);
  target.tile_shapes = std::move(shapes);
  target.key_block = key_block;
  return target;
}

/// Bits, so that NaN compares as well and −0 differs from 0.
inline void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

}  // namespace varlen::cpu
