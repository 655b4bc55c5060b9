// The GPU kernels, run by the emulator, against attention's definition.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "effort.hpp"
#include "emulator/attention_case.hpp"

namespace varlen::emulator::test {
namespace {

class Attention : public testing::TestWithParam<std::tuple<GpuKernel, Dtype>> {
 protected:
  static AttentionCase with(std::vector<std::pair<std::int64_t, std::int64_t>> lengths) {
    AttentionCase test;
    test.lengths = std::move(lengths);
    test.gpu_kernel = std::get<GpuKernel>(GetParam());
    test.input_dtype = std::get<Dtype>(GetParam());
    return test;
  }
  static Dtype two_byte_output(const AttentionCase& test) {
    return dtype_size(test.input_dtype) == 2 ? test.input_dtype : Dtype::kFloat16;
  }
};
std::string name_of(const testing::TestParamInfo<std::tuple<GpuKernel, Dtype>>& info) {
  return architecture_name(std::get<GpuKernel>(info.param)) + "_" + dtype_name(std::get<Dtype>(info.param));
}
INSTANTIATE_TEST_SUITE_P(All, Attention,
                         testing::Combine(testing::Values(GpuKernel::kMma, GpuKernel::kWgmma, GpuKernel::kTcgen05),
                                          testing::Values(Dtype::kFloat16, Dtype::kBFloat16, Dtype::kFloat8E4M3)),
                         name_of);

TEST_P(Attention, Causal) { EXPECT_EQ(run_case(with({{1, 1}, {70, 70}, {17, 129}, {140, 140}})), ""); }

TEST_P(Attention, Full) {
  AttentionCase test = with({{1, 200}, {33, 64}, {65, 65}});
  test.mask = Mask::full();
  EXPECT_EQ(run_case(test), "");
}

TEST_P(Attention, Window) {
  AttentionCase test = with({{200, 200}, {30, 150}});
  test.mask = Mask::window(20, 5);
  EXPECT_EQ(run_case(test), "");
}

TEST_P(Attention, MoreQueriesThanKeys) { EXPECT_EQ(run_case(with({{150, 3}, {90, 70}, {5, 0}})), ""); }

TEST_P(Attention, EmptyRequests) { EXPECT_EQ(run_case(with({{0, 0}, {0, 9}, {3, 0}, {9, 9}, {0, 0}})), ""); }

TEST_P(Attention, NothingAtAll) { EXPECT_EQ(run_case(with({{0, 0}, {0, 7}})), ""); }

TEST_P(Attention, GroupedHeads) {
  AttentionCase test = with({{1, 100}, {40, 77}});
  test.query_heads = 8;
  EXPECT_EQ(run_case(test), "");
}

TEST_P(Attention, Paged) {
  AttentionCase test = with({{1, 100}, {20, 33}, {0, 5}, {7, 7}});
  test.query_heads = 4;
  test.page_size = 16;
  EXPECT_EQ(run_case(test), "");
}

TEST_P(Attention, Split) {
  AttentionCase test = with({{1, 2000}, {5, 900}});
  test.query_heads = 4;
  test.target.workers = 64;
  EXPECT_GT(AttentionData(test).plan().merges().size(), 0U);
  EXPECT_EQ(run_case(test), "");
  test.sinks = true;
  test.soft_cap = 5.0F;
  EXPECT_EQ(run_case(test), "");
}

TEST_P(Attention, SoftCapSinksAndNegativeScale) {
  AttentionCase test = with({{30, 70}, {65, 65}});
  test.soft_cap = 2.0F;
  EXPECT_EQ(run_case(test), "");
  test.soft_cap = 0.0F;
  test.sinks = true;
  EXPECT_EQ(run_case(test), "");
  test.scale = -0.2F;
  EXPECT_EQ(run_case(test), "");
  test.soft_cap = 3.0F;
  EXPECT_EQ(run_case(test), "");
}

TEST_P(Attention, OtherHeadDims) {
  for (const auto& [qk, vo] :
       {std::pair{8, 8}, {40, 24}, {72, 128}, {192, 128}, {128, 136}, {256, 256}, {576, 512}, {264, 24}, {40, 320}}) {
    AttentionCase test = with({{70, 70}, {3, 100}});
    test.query_heads = test.kv_heads = 1;
    test.head_dim_qk = qk;
    test.head_dim_vo = vo;
    EXPECT_EQ(run_case(test), "") << qk << ", " << vo;
  }
}

TEST_P(Attention, RowsThatBeginAnywhere) {
  AttentionCase test = with({{20, 90}});
  test.extra_stride = 3;
  EXPECT_EQ(run_case(test), "");
  test.extra_stride = 8;
  EXPECT_EQ(run_case(test), "");
}

/// Of 256 rows: two halves, of which the second may have few rows or none, and steps of keys that one half sees wholly.
TEST_P(Attention, TallTiles) {
  AttentionCase test = with({{300, 700}, {129, 129}, {256, 40}, {5, 300}, {200, 0}});
  test.target = PlanTarget::b200();
  EXPECT_EQ(run_case(test), "");
  test.query_heads = 6;
  test.head_dim_qk = test.head_dim_vo = 128;
  test.output_dtype = two_byte_output(test);
  EXPECT_EQ(run_case(test), "");
  if (varlen::test::effort_is_reduced()) return;
  test.head_dim_qk = 192;
  test.page_size = 8;
  EXPECT_EQ(run_case(test), "");
}

TEST_P(Attention, TwoByteOutputs) {
  AttentionCase test = with({{20, 90}});
  for (const std::int64_t extra_stride : {0, 3}) {
    test.extra_stride = extra_stride;
    test.output_dtype = two_byte_output(test);
    EXPECT_EQ(run_case(test), "");
  }
}

TEST_P(Attention, WithoutLse) {
  AttentionCase test = with({{20, 90}});
  test.lse = false;
  EXPECT_EQ(run_case(test), "");
}

class AttentionFp8 : public testing::TestWithParam<GpuKernel> {};
INSTANTIATE_TEST_SUITE_P(All, AttentionFp8, testing::Values(GpuKernel::kMma, GpuKernel::kWgmma, GpuKernel::kTcgen05),
                         [](const auto& name) { return architecture_name(name.param); });

/// Scales of either sign, of requests and heads; split and merged rows have them, too.
TEST_P(AttentionFp8, ScalesOfEachRequestAndHead) {
  AttentionCase test;
  test.gpu_kernel = GetParam();
  test.lengths = {{20, 90}, {1, 2000}, {65, 65}, {0, 7}, {3, 0}};
  test.query_heads = 4;
  test.input_dtype = Dtype::kFloat8E4M3;
  test.fp8_scales = true;
  test.target.workers = 64;
  EXPECT_GT(AttentionData(test).plan().merges().size(), 0U);
  EXPECT_EQ(run_case(test), "");
  test.scale = -0.1F;
  test.sinks = true;
  EXPECT_EQ(run_case(test), "");
  test.soft_cap = 3.0F;
  EXPECT_EQ(run_case(test), "");
  test.page_size = 16;
  EXPECT_EQ(run_case(test), "");
  test.head_dim_qk = 72;  // rows end within sixteen bytes
  test.head_dim_vo = 24;
  EXPECT_EQ(run_case(test), "");
}

/// Which boxes hold that are wider than the rows.
TEST_P(AttentionFp8, RowsOfWholeChunks) {
  for (const auto& [qk, vo] : {std::pair{16, 16}, {48, 32}, {112, 80}, {144, 80}, {176, 112}}) {
    AttentionCase test;
    test.gpu_kernel = GetParam();
    test.lengths = {{70, 300}, {3, 129}, {200, 40}};
    test.query_heads = 4;
    test.input_dtype = Dtype::kFloat8E4M3;
    test.fp8_scales = true;
    test.head_dim_qk = qk;
    test.head_dim_vo = vo;
    test.extra_stride = 16;
    EXPECT_EQ(run_case(test), "") << qk << ", " << vo;
  }
}

float* floats(const TensorView& view) { return static_cast<float*>(view.data); }

/// Computes batches whose scales `set_scales(tensors)` changes, by every kernel, with a soft cap and without.
template <class SetScales>
void expect_right_with_scales(const SetScales& set_scales) {
  AttentionCase test;
  test.lengths = {{20, 90}, {1, 300}, {65, 65}};
  test.input_dtype = Dtype::kFloat8E4M3;
  test.fp8_scales = true;
  test.target.workers = 16;
  for (const GpuKernel gpu_kernel : {GpuKernel::kMma, GpuKernel::kWgmma, GpuKernel::kTcgen05}) {
    for (const float soft_cap : {0.0F, 3.0F}) {
      test.gpu_kernel = gpu_kernel;
      test.soft_cap = soft_cap;
      AttentionData data(test);
      set_scales(data.tensors());
      data.execute();
      EXPECT_EQ(data.compare(), "") << architecture_name(gpu_kernel) << ", soft cap " << soft_cap;
    }
  }
}

/// All scores of a head are equal then, or so close that fp32 cannot tell; values may be nothing at all.
TEST(AttentionFp8, ScalesOfNothingAndAlmostNothing) {
  expect_right_with_scales([](const Tensors& tensors) {
    float* const query = floats(tensors.query_scale);
    float* const key = floats(tensors.key_scale);
    key[0] = 0.0F;               // of request 0, head 0
    query[3] = key[3] = 1e-25F;  // of request 1, head 1
    query[4] = 0.0F, key[4] = -1.0F;
    floats(tensors.value_scale)[5] = 0.0F;
  });
}

/// A row is the value of its largest score then, and its LSE is infinite unless the score is 0.
TEST(AttentionFp8, ScalesWhoseProductFp32CannotHold) {
  expect_right_with_scales([](const Tensors& tensors) {
    float* const query = floats(tensors.query_scale);
    float* const key = floats(tensors.key_scale);
    query[0] = key[0] = 1e20F;  // of request 0, head 0
    query[1] = 3e38F, key[1] = -1.0F;
    query[3] = key[3] = 3e38F;  // of request 1, head 1
    query[4] = -3e38F, key[4] = 1e-38F;
  });
}

/// NaN is not taken for a row that sees no key.
TEST(AttentionFp8, AScaleThatIsNaN) {
  AttentionCase test;
  test.lengths = {{20, 90}, {20, 90}};
  test.input_dtype = Dtype::kFloat8E4M3;
  test.fp8_scales = true;
  AttentionData data(test);
  static_cast<float*>(data.tensors().key_scale.data)[0] = std::numeric_limits<float>::quiet_NaN();
  data.execute();
  const auto* const out = static_cast<const float*>(data.tensors().out.data);
  const auto* const lse = static_cast<const float*>(data.tensors().lse.data);
  EXPECT_TRUE(std::isnan(out[0]) && std::isnan(lse[0]));    // request 0, head 0
  EXPECT_FALSE(std::isnan(out[64]) || std::isnan(lse[1]));  // head 1
}

TEST(AttentionTime, CausalRequestOf300Tokens) {
  AttentionCase test;
  test.lengths = {{300, 300}};
  test.query_heads = test.kv_heads = 4;
  AttentionData data(test);
  const auto begin = std::chrono::steady_clock::now();
  data.execute();
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
  std::printf("%.1f ms for a causal request of 300 tokens, 4 heads of 64\n", time.count());
  EXPECT_EQ(data.compare(), "");
}

}  // namespace
}  // namespace varlen::emulator::test
