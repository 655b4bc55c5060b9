// What execute() refuses, and that a plan that leaves rows out or computes them twice is found out.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "backend/emulator/emulator_backend.hpp"
#include "emulator/attention_case.hpp"
#include "kernel/select.hpp"

namespace varlen::emulator::test {
namespace {

/// The error of executing a plan, changed.
std::string fault_of_plan(const AttentionCase& test, const std::function<void(PlanData&)>& change) {
  const AttentionData data(test);
  auto changed = std::make_shared<PlanData>(data.plan().data());
  change(*changed);
  const Plan plan(changed);
  std::vector<std::byte> workspace(static_cast<std::size_t>(emulator::workspace_bytes(plan)));
  try {
    execute(plan, data.tensors(), {workspace.data(), static_cast<std::int64_t>(workspace.size())}, test.gpu_kernel);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

AttentionCase small_case() {
  AttentionCase test;
  test.lengths = {{3, 5}, {40, 40}};
  test.query_heads = test.kv_heads = 1;
  return test;
}

/// Every item of a plan in its list, none in runs.
void list_all(PlanData& plan) {
  std::vector<WorkItem> items;
  for (std::int64_t i = 0; i < item_count(plan.view()); ++i) items.push_back(item_at(plan.view(), i));
  plan.runs.clear();
  plan.listed = items;
  plan.listed_front = static_cast<std::int64_t>(items.size());
  plan.run_items = 0;
}

WorkItem& item_of(PlanData& plan, std::int32_t request) {
  for (WorkItem& item : plan.listed) {
    if (item.request == request) return item;
  }
  throw std::logic_error("no such item");
}

TEST(ExecuteFaults, ListedPlanIsFine) { EXPECT_EQ(fault_of_plan(small_case(), list_all), ""); }

TEST(ExecuteFaults, RowsThatNobodyWrites) {
  EXPECT_EQ(fault_of_plan(small_case(),
                          [](PlanData& plan) {
                            list_all(plan);
                            --item_of(plan, 0).query_count;
                          }),
            "request 0: out[token 2, head 0, element 0] was never written");
}

TEST(ExecuteFaults, RowsWrittenTwice) {
  AttentionCase test = small_case();
  test.lse = false;
  const auto fault_of = [&] {
    return fault_of_plan(test, [](PlanData& plan) {
      list_all(plan);
      plan.listed.push_back(item_of(plan, 0));
      ++plan.listed_front;
    });
  };
  std::string fault = fault_of();
  EXPECT_NE(fault.find("request 0: store_global of 8 bytes is at out[token"), std::string::npos) << fault;
  EXPECT_NE(fault.find("which was written before"), std::string::npos) << fault;
  test.gpu_kernel = GpuKernel::kWgmma;
  test.output_dtype = Dtype::kBFloat16;
  fault = fault_of();
  EXPECT_NE(fault.find("request 0: store_box of 16 bytes is at out[token"), std::string::npos) << fault;
  EXPECT_NE(fault.find("which was written before"), std::string::npos) << fault;
}

TEST(ExecuteFaults, KeysOfTheNextRequest) {
  AttentionCase test = small_case();
  for (const auto& [gpu_kernel, operation] :
       {std::pair{GpuKernel::kMma, "copy_async_16"}, {GpuKernel::kWgmma, "load_box"}}) {
    test.gpu_kernel = gpu_kernel;
    const std::string fault = fault_of_plan(test, [](PlanData& plan) {
      list_all(plan);
      item_of(plan, 0).key_end = 6;
    });
    const std::string expected =
        std::string("request 0: ") + operation + " of 16 bytes is at key[token 5, head 0, element ";
    EXPECT_NE(fault.find(expected), std::string::npos) << fault;
  }
}

TEST(ExecuteFaults, PartThatNobodyComputes) {
  AttentionCase test;
  test.lengths = {{1, 2000}};
  test.target.workers = 64;
  const std::string fault = fault_of_plan(test, [](PlanData& plan) {
    list_all(plan);
    plan.listed.pop_back();
    --plan.listed_front;
  });
  EXPECT_NE(fault.find("request 0: partials[row "), std::string::npos) << fault;
  EXPECT_NE(fault.find("was never written"), std::string::npos) << fault;
}

TEST(ExecuteFaults, WhatNoKernelComputes) {
  AttentionCase test = small_case();
  test.input_dtype = Dtype::kFloat32;
  EXPECT_EQ(fault_of_plan(test, [](PlanData&) {}),
            "query_dtype = fp32 is not supported by this backend: it computes fp16, bf16 and fp8_e4m3");
  test = small_case();
  test.head_dim_vo = 520;
  EXPECT_EQ(fault_of_plan(test, [](PlanData&) {}),
            "head_dim_vo = 520 is more than 512, the largest that this backend supports");
  RaggedBatch pages;
  pages.input_dtype = Dtype::kFloat16;
  pages.page_size = kernel::kMostPageSize;
  EXPECT_EQ(kernel::select_shape(pages), 0);
  pages.page_size += 1;
  try {
    kernel::select_shape(pages);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()),
              "page_size = 1073741825 is more than 1073741824, the largest that this backend supports");
  }
}

TEST(ExecuteFaults, WorkspaceTooSmall) {
  AttentionCase test;
  test.lengths = {{1, 2000}};
  test.target.workers = 64;
  const AttentionData data(test);
  ASSERT_GT(emulator::workspace_bytes(data.plan()), 0);
  try {
    execute(data.plan(), data.tensors(), {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kWorkspaceTooSmall);
  }
}

}  // namespace
}  // namespace varlen::emulator::test
