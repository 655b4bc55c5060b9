// The README's C++ blocks, in the order in which they stand there. What a block takes for granted (layers, memory,
// stream) is declared before it. Those for a GPU run in the emulator: the names that need a device are replaced there.
#include "readme.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#include "snippet_cpp_1.inc"
#include "varlen/check.hpp"
#include "varlen/device.hpp"

namespace varlen::test {
namespace {

constexpr std::int64_t kTokens = 240;

/// 64-byte aligned.
std::shared_ptr<void> allocate(std::int64_t bytes) {
  const auto size = (static_cast<std::size_t>(bytes) + 127) / 64 * 64;
  return {std::aligned_alloc(64, size), std::free};
}

AttentionSpec spec_of(Dtype input) {
  AttentionSpec spec;
  spec.query_heads = 8;
  spec.kv_heads = 2;
  spec.head_dim_qk = 64;
  spec.query_dtype = input;
  spec.output_dtype = Dtype::kFloat32;
  spec.mask = Mask::causal();
  return spec;
}

/// Tensors of one layer, with room for so many tokens.
class Layer {
 public:
  Layer(Dtype input, unsigned seed, std::int64_t queries = kTokens, std::int64_t keys = kTokens) {
    std::mt19937 random(seed);
    for (auto* words : {&query_, &key_, &value_}) {
      words->resize(static_cast<std::size_t>((words == &query_ ? queries * 8 : keys * 2) * 64));
      // The upper halves of floats from −2 to 2 are numbers of bf16.
      for (std::uint32_t& word : *words) {
        const float value = std::uniform_real_distribution<float>(-2, 2)(random);
        std::memcpy(&word, &value, sizeof word);
        if (input == Dtype::kBFloat16) word = word >> 16 | (word & 0xFFFF0000U);
      }
    }
    out_.resize(static_cast<std::size_t>(queries * 8 * 64), -1000.0F);
    tensors_.query = TensorView::dense(query_.data(), input, {queries, 8, 64});
    tensors_.key = TensorView::dense(key_.data(), input, {keys, 2, 64});
    tensors_.value = TensorView::dense(value_.data(), input, {keys, 2, 64});
    tensors_.out = TensorView::dense(out_.data(), Dtype::kFloat32, {queries, 8, 64});
  }
  const Tensors& tensors() const { return tensors_; }
  const float* query() const { return reinterpret_cast<const float*>(query_.data()); }
  const float* key() const { return reinterpret_cast<const float*>(key_.data()); }
  const float* value() const { return reinterpret_cast<const float*>(value_.data()); }
  float* out() { return out_.data(); }

 private:
  std::vector<std::uint32_t> query_;
  std::vector<std::uint32_t> key_;
  std::vector<std::uint32_t> value_;
  std::vector<float> out_;
  Tensors tensors_;
};

const std::vector<std::int64_t> kOffsets = {0, 7, 207, kTokens};
const Requests kRequests{.query_indptr = kOffsets, .key_indptr = kOffsets};

void expect_right(const AttentionSpec& spec, const std::vector<Tensors>& layers, Backend computed_by) {
  for (const Tensors& layer : layers) {
    EXPECT_EQ(compare_with_reference(spec, kRequests, layer, {.computed_by = computed_by}).first_failure, "");
  }
}

TEST(Readme, ThreeRequests) {
  Layer layer(Dtype::kFloat32, 1);
  three_requests(layer.query(), layer.key(), layer.value(), layer.out());
  expect_right(spec_of(Dtype::kFloat32), {layer.tensors()}, Backend::kCpu);
}

TEST(Readme, OnePlanForAllLayers) {
  const AttentionSpec spec = spec_of(Dtype::kFloat32);
  const Requests& requests = kRequests;
  const Layer first(Dtype::kFloat32, 2);
  const Layer second(Dtype::kFloat32, 3);
  const std::vector<Tensors> layers = {first.tensors(), second.tensors()};
  const std::shared_ptr<void> owner = allocate(workspace_bytes(make_plan(spec, requests, PlanTarget::cpu(0))));
  void* const memory = owner.get();
  {
#include "snippet_cpp_2.inc"
  } expect_right(spec, layers, Backend::kCpu);
}

// ---- In place of a device.

PlanTarget target_of_h100(const AttentionSpec& /*spec*/, const Requests& /*requests*/) { return PlanTarget::h100(); }
PlanTarget target_of_h100(const AttentionSpec& /*spec*/, const Limits& /*limits*/) { return PlanTarget::h100(); }
Plan on_host(Plan plan) { return plan; }
template <class AnyPlan>
void run_in_emulator(const AnyPlan& plan, const Tensors& tensors, const Workspace& workspace, RunOptions options) {
  options.backend = Backend::kEmulator;
  run(plan, tensors, workspace, options);
}
struct EmulatedPlan : DevicePlan {
  EmulatedPlan(const AttentionSpec& spec, const Limits& limits, const PlanTarget& target)
      : DevicePlan(spec, limits, target, {.backend = Backend::kEmulator}) {}
};
#define device_target target_of_h100
#define to_device on_host
#define DevicePlan EmulatedPlan
#define run run_in_emulator

TEST(Readme, APlanOnADevice) {
  const AttentionSpec spec = spec_of(Dtype::kBFloat16);
  const Requests& requests = kRequests;
  const Layer first(Dtype::kBFloat16, 4);
  const std::vector<Tensors> layers = {first.tensors()};
  const std::int64_t bytes = workspace_bytes(make_plan(spec, requests, PlanTarget::h100()), Backend::kEmulator);
  const std::shared_ptr<void> owner = allocate(bytes);
  const Workspace workspace{owner.get(), bytes};
  void* const stream = nullptr;
  {
#include "snippet_cpp_3.inc"
  } expect_right(spec, layers, Backend::kEmulator);
}

TEST(Readme, APlanMadeOnADevice) {
  const AttentionSpec spec = spec_of(Dtype::kBFloat16);
  const std::vector<std::int32_t> offsets(kOffsets.begin(), kOffsets.end());
  const std::int32_t* const query_indptr = offsets.data();
  const std::int32_t* const key_indptr = offsets.data();
  const std::int32_t requests = 3;
  const std::int32_t* const count = &requests;
  const Layer first(Dtype::kBFloat16, 5, 8192, 65536);
  const std::vector<Tensors> layers = {first.tensors()};
  const std::int64_t bytes =
      workspace_bytes(spec, Limits{.requests = 256, .query_tokens = 8192, .key_tokens = 65536}, PlanTarget::h100());
  const std::shared_ptr<void> owner = allocate(bytes);
  const Workspace workspace{owner.get(), bytes};
  void* const stream = nullptr;
  {
#include "snippet_cpp_4.inc"
  } expect_right(spec, layers, Backend::kEmulator);
}

#undef device_target
#undef to_device
#undef DevicePlan
#undef run

TEST(Readme, WhichKernelAndWhy) {
  const AttentionSpec spec = spec_of(Dtype::kFloat32);
  const Layer layer(Dtype::kFloat32, 6);
  const Tensors tensors = layer.tensors();
  const Plan plan = make_plan(spec, kRequests, PlanTarget::cpu(0));
  testing::internal::CaptureStdout();
  {
#include "snippet_cpp_5.inc"
  } EXPECT_EQ(testing::internal::GetCapturedStdout().find(build_info().simd_target + ": the fastest"), 0U);
}

TEST(Readme, TheBlockOfC) {
  const std::vector<std::int32_t> offsets = {0, 7, 240};
  EXPECT_STREQ(readme_c(offsets.data(), 2), "query_heads = 0 must be positive");  // what the block leaves out
}

}  // namespace
}  // namespace varlen::test
