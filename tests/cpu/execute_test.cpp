// What execute() promises beside right numbers: bits that depend on nothing but the request, exact workspaces, a trace.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.hpp"
#include "cpu/simd_functions.hpp"
#include "cpu/small_case.hpp"
#include "varlen/plan.hpp"

namespace varlen::cpu {
namespace {

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

/// Of tiles that are cut, too.
TEST(Execute, BitsDoNotDependOnThreadsOrOtherRequests) {
  const auto target = [](std::int32_t workers) { return target_of({{64, 16}, {16, 8}}, 16, workers); };
  Case together({5, 120, 1}, {900, 300, 2500}, {11, 12, 13}, Mask::causal());
  together.run(target(1));
  for (const std::int32_t workers : {2, 3, 7, 64}) {
    Case again({5, 120, 1}, {900, 300, 2500}, {11, 12, 13}, Mask::causal());
    ASSERT_FALSE(make_plan(again.batch, target(workers)).merges().empty());
    again.run(target(workers));
    expect_same_bits(again.out, together.out);
    expect_same_bits(again.lse, together.lse);
  }
  Case alone({1}, {2500}, {13}, Mask::causal());
  alone.run(target(1));
  expect_same_bits(alone.out, {together.out.end() - static_cast<std::ptrdiff_t>(alone.out.size()), together.out.end()});
}

/// The last rows of a prompt, computed with all others, as a chunk of it and one by one.
TEST(Execute, PromptChunkAndDecodingGiveTheSameBits) {
  constexpr std::int64_t kTokens = 4500;  // more than are summed without a fold
  for (const Mask mask : {Mask::causal(), Mask::causal_window(4200), Mask::causal_window(70)}) {
    Case prompt({kTokens}, {kTokens}, {17}, mask);
    prompt.run(PlanTarget::cpu(2));
    for (const std::int64_t tokens : {1, 2, 300}) {
      Case part({kTokens}, {kTokens}, {17}, mask);
      ASSERT_TRUE(make_plan(part.batch, PlanTarget::cpu(2)).merges().empty());
      const std::int64_t skipped = (kTokens - tokens) * Case::kQueryHeads;
      part.query_lengths = {tokens};
      part.batch.query_lengths = std::span<const std::int64_t>(part.query_lengths);
      part.tensors.query.data = part.query.data() + skipped * Case::kHeadDim;
      part.tensors.out.data = part.out.data() + skipped * Case::kHeadDim;
      part.tensors.lse.data = part.lse.data() + skipped;
      for (TensorView* view : {&part.tensors.query, &part.tensors.out, &part.tensors.lse}) view->shape[0] = tokens;
      part.run(PlanTarget::cpu(5));
      expect_same_bits({part.out.begin() + skipped * Case::kHeadDim, part.out.end()},
                       {prompt.out.begin() + skipped * Case::kHeadDim, prompt.out.end()});
      expect_same_bits({part.lse.begin() + skipped, part.lse.end()}, {prompt.lse.begin() + skipped, prompt.lse.end()});
    }
  }
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
