// explain() names the kernel that run() launches, and supports() the one for a spec, with what stands against a faster.
#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "check/cases.hpp"
#include "check/guarded_memory.hpp"
#include "check/problem.hpp"
#include "varlen/attention.hpp"
#include "varlen/device.hpp"

namespace varlen::check {
namespace {

struct Explained {
  const char* name;
  GpuKernel asked;
  const char* kernel;
  const char* reason;  // a part of it
  std::function<void(Case&)> adjust = [](Case&) {};
  PlanTarget target = PlanTarget::h100();
  std::function<void(Tensors&)> adjust_tensors = [](Tensors&) {};
};

Case plain_case() {
  Case test = small_case("explained", {20, 3}, {40, 70});
  test.input_dtype = Dtype::kBFloat16;
  test.head_dim_qk = test.head_dim_vo = 64;
  return test;
}

void set_dims(Case& test, std::int32_t qk, std::int32_t vo) {
  test.head_dim_qk = qk;
  test.head_dim_vo = vo;
}

PlanTarget with_shapes(std::vector<TileShape> shapes) {
  PlanTarget target = PlanTarget::h100();
  target.tile_shapes = std::move(shapes);
  return target;
}

std::vector<Explained> explained() {
  constexpr GpuKernel kWgmma = GpuKernel::kWgmma;
  constexpr const char* kMma = "forward_mma";
  return {
      {"nothing stands against it", GpuKernel::kAuto, "forward_wgmma", "the fastest kernel for sm_90a"},
      {"asked for wgmma", kWgmma, "forward_wgmma", "the fastest kernel for sm_90a"},
      {"asked for tcgen05", GpuKernel::kTcgen05, "forward_tcgen05", "options.kernel asks for it; no GPU"},
      {"asked for mma", GpuKernel::kMma, kMma, "options.kernel = forward_mma"},
      {"large keys", kWgmma, kMma, "head_dim_qk = 264 is more than 256, the largest of forward_wgmma",
       [](Case& test) { set_dims(test, 264, 64); }},
      {"large values", GpuKernel::kTcgen05, kMma, "head_dim_vo = 136 is more than 128, the largest of forward_tcgen05",
       [](Case& test) { set_dims(test, 136, 136); }},
      {"large values of fp8", kWgmma, kMma, "head_dim_vo = 192 is more than 128, the largest of forward_wgmma for fp8",
       [](Case& test) {
         set_dims(test, 192, 192);
         test.input_dtype = Dtype::kFloat8E4M3;
       }},
      {"rows within a chunk", kWgmma, kMma, "head_dim_qk = 56 lets rows of fp8_e4m3 end within the 16 bytes",
       [](Case& test) {
         set_dims(test, 56, 64);
         test.input_dtype = Dtype::kFloat8E4M3;
       }},
      {"values within a chunk", kWgmma, kMma, "head_dim_vo = 56 lets rows of fp8_e4m3 end within the 16 bytes",
       [](Case& test) {
         set_dims(test, 64, 56);
         test.input_dtype = Dtype::kFloat8E4M3;
       }},
      {"empty columns of keys", kWgmma, kMma, "head_dim_qk = 64 leaves 64 or more of the 128 columns",
       [](Case& test) { set_dims(test, 64, 128); }},
      {"empty columns of values", kWgmma, kMma, "head_dim_vo = 64 leaves 64 or more of the 128 columns",
       [](Case& test) { set_dims(test, 128, 64); }},
      {"small pages", kWgmma, kMma, "page_size = 4 is no multiple of 8 keys", [](Case& test) { test.page_size = 4; }},
      {"decoding of fp8", kWgmma, kMma, "query_lengths: no request has more than 16 rows",
       [](Case& test) {
         test.input_dtype = Dtype::kFloat8E4M3;
         test.query_lengths = {1, 8};
       }},
      {"just more than decoding", kWgmma, "forward_wgmma", "the fastest",
       [](Case& test) {
         test.input_dtype = Dtype::kFloat8E4M3;
         test.query_lengths = {1, 9};
       }},
      {"three tile shapes", kWgmma, kMma, "target.tile_shapes: forward_wgmma takes at most 2", [](Case&) {},
       with_shapes({{128, 16}, {64, 12}, {32, 8}})},
      {"tall tiles", kWgmma, kMma, "target.tile_shapes[0].rows = 256 is more than 128", [](Case&) {},
       PlanTarget::b200()},
      {"no keys", kWgmma, kMma, "key_lengths: no request has keys",
       [](Case& test) {
         test.key_lengths = {0, 0};
       }},
      {"expanded heads of queries", kWgmma, kMma, "query: forward_wgmma loads by TMA", [](Case&) {}, PlanTarget::h100(),
       [](Tensors& tensors) { tensors.query.strides[1] = 0; }},
      {"expanded heads of keys", kWgmma, kMma, "key: forward_wgmma loads by TMA", [](Case&) {}, PlanTarget::h100(),
       [](Tensors& tensors) { tensors.key.strides[1] = 0; }},
      {"expanded heads of values", kWgmma, kMma, "value: forward_wgmma loads by TMA", [](Case&) {}, PlanTarget::h100(),
       [](Tensors& tensors) { tensors.value.strides[1] = 0; }},
  };
}

TEST(Explain, NamesTheKernelThatIsLaunchedAndWhatStandsAgainstAFasterOne) {
  for (const Explained& each : explained()) {
    SCOPED_TRACE(each.name);
    Case test = plain_case();
    each.adjust(test);
    const Problem problem(test, make_data(test), Surroundings::kClean);
    Tensors tensors = problem.tensors();
    each.adjust_tensors(tensors);
    const Plan plan = make_plan(problem.batch(), each.target);
    std::string launched;
    const RunOptions options{.backend = Backend::kEmulator, .kernel = each.asked, .launched = &launched};
    const KernelChoice choice = explain(plan, tensors, options);
    EXPECT_EQ(choice.kernel, each.kernel);
    EXPECT_NE(choice.reason.find(each.reason), std::string::npos) << choice.reason;
    const std::int64_t bytes = workspace_bytes(plan, Backend::kEmulator);
    GuardedMemory workspace(static_cast<std::size_t>(bytes), 64, GuardedMemory::Side::kBack);
    run(plan, tensors, {workspace.data(), bytes}, options);
    EXPECT_EQ(launched, choice.kernel);
  }
}

TEST(Explain, OfThePlanOfADevice) {
  const Case test = plain_case();
  const Problem problem(test, make_data(test), Surroundings::kClean);
  const Limits limits{2, 23, 110};
  const AttentionSpec& spec = problem.batch();
  const DevicePlan plan(spec, limits, PlanTarget::h100(), {.backend = Backend::kEmulator});
  const RunOptions mma{.kernel = GpuKernel::kMma};
  EXPECT_EQ(explain(plan, problem.tensors()).kernel, "forward_wgmma");
  EXPECT_EQ(explain(plan, problem.tensors(), mma).kernel, "forward_mma");
}

TEST(Explain, OfTheCpuAndOfNothing) {
  const Case test = plain_case();
  const Problem problem(test, make_data(test), Surroundings::kClean);
  const KernelChoice choice = explain(make_plan(problem.batch(), PlanTarget::cpu(1)), problem.tensors());
  EXPECT_EQ(choice.kernel, build_info().simd_target);
  Case none = test;
  none.query_lengths = {0, 0};
  const Problem empty(none, make_data(none), Surroundings::kClean);
  for (const Backend backend : {Backend::kCpu, Backend::kEmulator}) {
    const Plan plan = make_plan(empty.batch(), PlanTarget::h100());
    EXPECT_EQ(explain(plan, empty.tensors(), {.backend = backend}).kernel, "");
  }
}

TEST(Explain, RefusesWhatRunRefuses) {
  const Case test = plain_case();
  const Problem problem(test, make_data(test), Surroundings::kClean);
  const Plan plan = make_plan(problem.batch(), PlanTarget::h100());
  Tensors tensors = problem.tensors();
  tensors.key.shape[1] = 3;
  EXPECT_THROW(explain(plan, tensors), Error);
  EXPECT_THROW(explain(plan, problem.tensors(), {.backend = Backend::kReference}), Error);
}

AttentionSpec spec_of(std::int32_t head_dim, Dtype dtype) {
  AttentionSpec spec;
  spec.query_heads = spec.kv_heads = 2;
  spec.head_dim_qk = head_dim;
  spec.query_dtype = dtype;
  return spec;
}

TEST(Supports, SaysYesAndWhichKernel) {
  const SpecSupport cpu = supports(spec_of(72, Dtype::kFloat8E5M2), Backend::kCpu);
  EXPECT_TRUE(cpu);
  EXPECT_EQ(cpu.kernel, build_info().simd_target);
  EXPECT_EQ(cpu.field, "");
  EXPECT_EQ(supports(spec_of(72, Dtype::kFloat32), Backend::kReference).kernel, "float64");
  const AttentionSpec half = spec_of(128, Dtype::kFloat16);
  EXPECT_EQ(supports(half, Backend::kEmulator).kernel, "forward_wgmma");
  EXPECT_EQ(supports(half, Backend::kEmulator, 0, GpuKernel::kTcgen05).kernel, "forward_tcgen05");
  const SpecSupport large = supports(spec_of(320, Dtype::kFloat16), Backend::kEmulator);
  EXPECT_TRUE(large);
  EXPECT_EQ(large.kernel, "forward_mma");
  EXPECT_NE(large.reason.find("head_dim_qk = 320 is more than 256"), std::string::npos) << large.reason;
  EXPECT_EQ(large.field, "head_dim_qk");
}

TEST(Supports, SaysWhereTheKernelDependsOnLengths) {
  const char* const decodes = "at most 16 rows in a group run on forward_mma";
  AttentionSpec spec = spec_of(128, Dtype::kFloat8E4M3);
  const SpecSupport support = supports(spec, Backend::kEmulator);
  EXPECT_EQ(support.kernel, "forward_wgmma");
  EXPECT_NE(support.reason.find(decodes), std::string::npos) << support.reason;
  spec.batch_invariant = true;
  EXPECT_EQ(supports(spec, Backend::kEmulator).reason.find(decodes), std::string::npos);
}

TEST(Supports, SaysNoAndWhichFieldStandsAgainstIt) {
  const auto expect_no = [](const AttentionSpec& spec, Backend backend, const std::string& field) {
    const SpecSupport support = supports(spec, backend);
    EXPECT_FALSE(support);
    EXPECT_EQ(support.field, field) << support.reason;
    EXPECT_EQ(support.kernel, "");
    EXPECT_NE(support.reason.find(field), std::string::npos) << support.reason;
  };
  expect_no(spec_of(64, Dtype::kFloat8E5M2), Backend::kEmulator, "query_dtype");
  expect_no(spec_of(64, Dtype::kFloat32), Backend::kEmulator, "query_dtype");
  expect_no(spec_of(63, Dtype::kFloat16), Backend::kCpu, "head_dim_qk");
  AttentionSpec values = spec_of(576, Dtype::kFloat16);
  expect_no(values, Backend::kEmulator, "head_dim_vo");
  AttentionSpec pages = spec_of(64, Dtype::kFloat16);
  pages.page_size = std::int64_t{1} << 31;
  expect_no(pages, Backend::kEmulator, "page_size");
  if (device_count() == 0) expect_no(spec_of(64, Dtype::kFloat16), Backend::kCuda, "device");
}

TEST(GpuKernels, HaveNames) {
  for (const GpuKernel kernel : {GpuKernel::kAuto, GpuKernel::kMma, GpuKernel::kWgmma, GpuKernel::kTcgen05}) {
    EXPECT_EQ(gpu_kernel_named(gpu_kernel_name(kernel)), kernel);
  }
  EXPECT_EQ(gpu_kernel_named("newest"), GpuKernel::kAuto);
  EXPECT_EQ(gpu_kernel_named("sm_80"), GpuKernel::kMma);
  EXPECT_EQ(gpu_kernel_named("sm_90a"), GpuKernel::kWgmma);
  EXPECT_EQ(gpu_kernel_named("sm_100a"), GpuKernel::kTcgen05);
  EXPECT_THROW(gpu_kernel_named("sm_70"), Error);
}

}  // namespace
}  // namespace varlen::check
