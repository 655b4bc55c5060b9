// What execute() promises beside right numbers: bits that depend on nothing but the request, exact workspaces, a trace.
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.hpp"
#include "cpu/simd_functions.hpp"
#include "varlen/plan.hpp"

namespace varlen::cpu {
namespace {

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
    batch.input_dtype = Dtype::kFloat32;
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

  void run(const PlanTarget& target, RunTrace* trace = nullptr) {
    const Plan plan = make_plan(batch, target);
    const ExactWorkspace workspace(cpu::workspace_bytes(plan));
    execute(plan, tensors, workspace.get(), trace);
    EXPECT_TRUE(workspace.tail_intact());
  }
};

PlanTarget target_of(std::vector<TileShape> shapes, std::int32_t key_block, std::int32_t workers) {
  PlanTarget target = PlanTarget::cpu(workers);
  target.tile_shapes = std::move(shapes);
  target.key_block = key_block;
  return target;
}

/// Bits, so that NaN compares as well and −0 differs from 0.
void expect_same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

/// One tile per tile shape holds the request's rows in other places of other register blocks; no key range is cut.
TEST(Execute, BitsOfARowDoNotDependOnTheTileAroundIt) {
  for (const Mask mask : {Mask::full(), Mask::causal(), Mask::causal_window(70), Mask::window(300, 20)}) {
    simd::for_each_target([&](const std::string& name) {
      SCOPED_TRACE(name);
      Case tall({210, 33}, {700, 90}, {1, 2}, mask);
      tall.run(target_of({{768, 16}}, 1024, 1));
      for (const std::int32_t rows : {3, 6, 21, 33, 128, 150}) {
        for (const std::int32_t key_block : {128, 1024}) {
          Case other({210, 33}, {700, 90}, {1, 2}, mask);
          PlanTarget target = target_of({{rows, 16}}, key_block, 1);
          target.split_cost = 1 << 16;  // never worth it
          const Plan plan = make_plan(other.batch, target);
          ASSERT_TRUE(plan.merges().empty());
          other.run(target);
          expect_same_bits(other.out, tall.out);
          expect_same_bits(other.lse, tall.lse);
        }
      }
    });
  }
}

TEST(Execute, BitsDoNotDependOnThreadsOrOtherRequests) {
  Case together({5, 120, 1}, {900, 300, 2500}, {11, 12, 13}, Mask::causal());
  const PlanTarget one = target_of({{64, 16}, {16, 8}}, 128, 1);
  together.run(one);
  const int threads_before = omp_get_max_threads();
  for (const std::int32_t workers : {2, 3, 7}) {
    Case again({5, 120, 1}, {900, 300, 2500}, {11, 12, 13}, Mask::causal());
    omp_set_num_threads(workers);  // more than the machine offers, if need be
    again.run(target_of({{64, 16}, {16, 8}}, 128, workers));
    expect_same_bits(again.out, together.out);
    expect_same_bits(again.lse, together.lse);
  }
  omp_set_num_threads(threads_before);
  Case alone({1}, {2500}, {13}, Mask::causal());
  alone.run(one);
  expect_same_bits(alone.out, {together.out.end() - static_cast<std::ptrdiff_t>(alone.out.size()), together.out.end()});
}

TEST(Execute, FoldsLongRowsAtFixedKeys) {
  // 4096 keys are one fold: 9000 need three. Values of one make every output one, and the LSE log of the count.
  Case flat({2}, {9000}, {21}, Mask::full());
  std::fill(flat.query.begin(), flat.query.end(), 0.0F);
  std::fill(flat.value.begin(), flat.value.end(), 0.7F);
  flat.run(target_of({{64, 16}}, 4096, 1));
  for (const float out : flat.out) {
    ASSERT_NEAR(out, 0.7F, 1e-6);
  }
  for (const float lse : flat.lse) {
    ASSERT_NEAR(lse, std::log(9000.0), 1e-6);
  }
}

TEST(Execute, TracesEveryItem) {
  Case small({40, 0, 7}, {64, 9, 0}, {31, 32, 33}, Mask::full());
  const PlanTarget target = target_of({{24, 16}}, 32, 2);
  const Plan plan = make_plan(small.batch, target);
  RunTrace trace;
  small.run(target, &trace);
  ASSERT_EQ(static_cast<std::int64_t>(trace.items.size()), plan.item_count());
  for (const auto& item : trace.items) {
    EXPECT_GE(item.worker, 0);
    EXPECT_LT(item.worker, 2);
    EXPECT_GT(item.begin, 0.0);
    EXPECT_GE(item.end, item.begin);
  }
}

TEST(Execute, RefusesAWorkspaceWithoutRoomForOneWorker) {
  Case small({4}, {4}, {41}, Mask::full());
  const Plan plan = make_plan(small.batch, PlanTarget::cpu(1));
  const std::int64_t bytes = cpu::workspace_bytes(plan);
  const ExactWorkspace workspace(bytes - 1);
  try {
    execute(plan, small.tensors, workspace.get(), nullptr);
    FAIL() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kWorkspaceTooSmall);
    EXPECT_EQ(error.value(), std::to_string(bytes - 1));
  }
  EXPECT_EQ(small.out, std::vector<float>(small.out.size(), -1.0F));
}

TEST(Execute, KnowsItsTargets) {
  EXPECT_FALSE(simd_targets().empty());
  EXPECT_NE(std::find(simd_targets().begin(), simd_targets().end(), simd_target()), simd_targets().end());
}

}  // namespace
}  // namespace varlen::cpu
