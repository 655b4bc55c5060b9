// What a DevicePlan leaves in its results where lengths or pages are refused on the device, and what the next call
// says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "effort.hpp"
#include "varlen/attention.hpp"
#include "varlen/device.hpp"

namespace varlen::emulator::test {
namespace {

constexpr std::int64_t kTokens = 40;  // of queries, two more than the limits allow
constexpr std::int32_t kHeads = 2;
constexpr std::int32_t kDim = 64;
constexpr std::int64_t kPageSize = 16;
constexpr std::int64_t kPages = 12;
constexpr std::int64_t kMaxPages = 20;
constexpr std::int64_t kKeys = 300;  // of one request, at most
constexpr float kOld = 7;

/// A plan for two requests on pages, and tensors of ones: every result is 1.
class RefusedPlan {
 public:
  explicit RefusedPlan(const Mask& mask)
      : plan_(spec(mask), kLimits, PlanTarget::h100(), {.backend = Backend::kEmulator}) {
    workspace_.resize(static_cast<std::size_t>(workspace_bytes(plan_)) + 64);
    forget();
  }

  std::vector<std::int32_t> query_indptr = {0, 3, 20};
  std::vector<std::int32_t> key_lengths = {100, 300};
  std::vector<std::int32_t> table = std::vector<std::int32_t>(2 * kMaxPages, 5);
  GpuKernel gpu_kernel = GpuKernel::kWgmma;

  const DevicePlan& plan() const { return plan_; }
  void make() { plan_.update({query_indptr.data(), {}, {}, key_lengths.data(), nullptr}); }
  void run() {
    Tensors tensors;
    tensors.query = TensorView::dense(ones_.data(), Dtype::kBFloat16, {kTokens, kHeads, kDim});
    tensors.key = TensorView::dense(ones_.data(), Dtype::kBFloat16, {kPages, kPageSize, kHeads, kDim});
    tensors.value = TensorView::dense(ones_.data(), Dtype::kBFloat16, {kPages, kPageSize, kHeads, kDim});
    tensors.block_table = TensorView::dense(table.data(), Dtype::kInt32, {2, kMaxPages});
    tensors.out = TensorView::dense(out_.data(), Dtype::kFloat32, {kTokens, kHeads, kDim});
    tensors.lse = TensorView::dense(lse_.data(), Dtype::kFloat32, {kTokens, kHeads});
    void* data = workspace_.data();
    std::size_t space = workspace_.size();
    std::align(64, workspace_.size() - 64, data, space);
    varlen::run(plan_, tensors, {data, workspace_bytes(plan_)}, {.backend = Backend::kEmulator, .kernel = gpu_kernel});
  }
  void forget() {
    out_.assign(out_.size(), kOld);
    lse_.assign(lse_.size(), kOld);
  }

  /// Of each token: '1' right, 'n' NaN, '.' as before, '?' anything else.
  std::string results() const {
    std::string text;
    for (std::int64_t token = 0; token < kTokens; ++token) {
      const auto all = [&](const std::function<bool(float out)>& is_out, const std::function<bool(float lse)>& is_lse) {
        const auto* const out = out_.data() + token * kHeads * kDim;
        const auto* const lse = lse_.data() + token * kHeads;
        return std::all_of(out, out + kHeads * kDim, is_out) && std::all_of(lse, lse + kHeads, is_lse);
      };
      const auto is_old = [](float x) { return x == kOld; };
      const auto is_nan = [](float x) { return std::isnan(x); };
      const auto is_finite = [](float x) { return std::isfinite(x) && x != kOld; };
      text += all([](float x) { return std::fabs(x - 1) < 1e-5F; }, is_finite) ? '1'
              : all(is_nan, is_nan)                                            ? 'n'
              : all(is_old, is_old)                                            ? '.'
                                                                               : '?';
    }
    return text;
  }

 private:
  static constexpr Limits kLimits{2, kTokens - 2, 400, 0, kKeys};

  static AttentionSpec spec(const Mask& mask) {
    AttentionSpec spec;
    spec.page_size = kPageSize;
    spec.query_heads = spec.kv_heads = kHeads;
    spec.head_dim_qk = spec.head_dim_vo = kDim;
    spec.query_dtype = Dtype::kBFloat16;
    spec.output_dtype = Dtype::kFloat32;
    spec.mask = mask;
    return spec;
  }

  DevicePlan plan_;
  std::vector<std::uint16_t> ones_ = std::vector<std::uint16_t>(kPages * kPageSize * kHeads * kDim, 0x3F80);
  std::vector<float> out_ = std::vector<float>(kTokens * kHeads * kDim);
  std::vector<float> lse_ = std::vector<float>(kTokens * kHeads);
  std::vector<std::byte> workspace_;
};

/// "field[index] = value" of the error that a call throws; empty if it throws none.
std::string raised(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.field() + "[" + std::to_string(error.index()) + "] = " + error.value();
  }
  return "";
}

std::string tokens(std::size_t first, std::size_t second, std::size_t others, char of_first, char of_second) {
  return std::string(first, of_first) + std::string(second, of_second) + std::string(others, '.');
}

TEST(RefusedPlans, RunBeforeItIsMade) {
  RefusedPlan refused(Mask::causal());
  EXPECT_EQ(raised([&] { refused.run(); }), "");
  EXPECT_EQ(refused.results(), std::string(kTokens, 'n'));
}

TEST(RefusedPlans, WrongLengths) {
  RefusedPlan refused(Mask::causal());
  refused.query_indptr = {0, 20, 10};
  refused.make();
  EXPECT_EQ(raised([&] { refused.run(); }), "query_indptr[2] = 10");
  EXPECT_EQ(refused.results(), std::string(kTokens, '.'));  // a call that throws does nothing
  EXPECT_EQ(raised([&] { refused.run(); }), "");            // has been told
  EXPECT_EQ(refused.results(), std::string(kTokens, 'n'));
  ASSERT_TRUE(refused.plan().status());  // until the next plan
  EXPECT_STREQ(refused.plan().status()->what(),
               "query_indptr[2] = 10 is less than query_indptr[1] = 20: offsets must not decrease");

  refused.query_indptr = {0, 3, 20};
  refused.make();
  refused.forget();
  refused.run();
  EXPECT_EQ(refused.results(), tokens(3, 17, kTokens - 20, '1', '1'));
  EXPECT_FALSE(refused.plan().status());
}

TEST(RefusedPlans, TheFirstFaultStaysUntilItIsRaised) {
  RefusedPlan refused(Mask::causal());
  const std::vector<std::int32_t> good = refused.query_indptr;
  refused.query_indptr = {1, 3, 20};
  refused.make();
  refused.query_indptr = {0, 30, 20};
  EXPECT_EQ(raised([&] { refused.make(); }), "query_indptr[0] = 1");
  refused.make();
  EXPECT_EQ(raised([&] { refused.make(); }), "query_indptr[2] = 20");
  refused.query_indptr = good;
  EXPECT_EQ(raised([&] { refused.make(); }), "");
  EXPECT_EQ(raised([&] { refused.run(); }), "");
}

TEST(RefusedPlans, StatusTellsInsteadOfTheNextCall) {
  RefusedPlan refused(Mask::causal());
  refused.query_indptr = {0, 20, 10};
  refused.make();
  ASSERT_TRUE(refused.plan().status());
  EXPECT_EQ(raised([&] { refused.run(); }), "");
}

class RefusedPages : public testing::TestWithParam<GpuKernel> {
 protected:
  /// What a run leaves and what the next call raises.
  void expect(RefusedPlan& refused, const std::string& results, const std::string& error) {
    refused.gpu_kernel = GetParam();
    refused.make();
    refused.forget();
    EXPECT_EQ(raised([&] { refused.run(); }), "");
    EXPECT_EQ(refused.results(), results);
    EXPECT_EQ(raised([&] { refused.run(); }), error);
    const std::vector<std::int32_t> bad = refused.table;
    refused.table.assign(bad.size(), 5);
    refused.forget();
    EXPECT_EQ(raised([&] { refused.run(); }), "");
    EXPECT_EQ(refused.results(), tokens(3, 17, kTokens - 20, '1', '1'));
    refused.table = bad;
  }
};

TEST_P(RefusedPages, NumbersThatAreNoPages) {
  std::vector<std::int32_t> pages = {static_cast<std::int32_t>(kPages), -1, std::numeric_limits<std::int32_t>::max(),
                                     std::numeric_limits<std::int32_t>::min()};
  if (::varlen::test::effort_is_reduced()) pages.resize(1);
  for (const std::int32_t page : pages) {
    RefusedPlan refused(Mask::causal());
    refused.table[2] = page;
    expect(refused, tokens(3, 17, kTokens - 20, 'n', '1'), "block_table[2] = " + std::to_string(page));
    refused.table.assign(refused.table.size(), kPages - 1);
    refused.table[kMaxPages + 17] = page;
    expect(refused, tokens(3, 17, kTokens - 20, '1', 'n'), "block_table[37] = " + std::to_string(page));
  }
}

// Blocks run one after another here, and the longest request comes first.
TEST_P(RefusedPages, TheFirstOfSeveralIsReported) {
  RefusedPlan refused(Mask::causal());
  refused.table[0] = -1;
  refused.table[kMaxPages] = -2;
  expect(refused, tokens(3, 17, kTokens - 20, 'n', 'n'), "block_table[20] = -2");
}

TEST_P(RefusedPages, NumbersThatNoRowNeeds) {
  RefusedPlan refused(Mask::window(20, 0));
  for (std::size_t page = 7; page < kMaxPages; ++page) refused.table[page] = -1;                      // past the keys
  for (std::size_t page = 0; page < 16; ++page) refused.table[kMaxPages + page] = page < 8 ? -1 : 5;  // far before
  expect(refused, tokens(3, 17, kTokens - 20, '1', '1'), "");
}

INSTANTIATE_TEST_SUITE_P(, RefusedPages, testing::Values(GpuKernel::kMma, GpuKernel::kWgmma, GpuKernel::kTcgen05));

}  // namespace
}  // namespace varlen::emulator::test
