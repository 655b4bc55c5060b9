// Products of a warpgroup in flight, and what must not happen to what they read and write.
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "emulator/small_kernel.hpp"

namespace varlen::gpu::emulator::test {
namespace {

constexpr int kTiles = 8;
constexpr std::uint32_t kMatrixBytes = 64 * 128;

/// A product of zeros: what may go wrong with it is up to `Steps`.
struct Product {
  Sums<kTiles> sum;
  Fragment fragment;

  void issue() {
    warpgroup_fence();
    warpgroup_multiply_add<Float16, kTiles>(sum, fragment, matrix());
    warpgroup_commit();
  }
  static MatrixDescriptor matrix() { return matrix_descriptor(shared_memory(), kMatrixBytes, 1024); }
};

/// A warpgroup (and one more warp) with a matrix of zeros at the first shared byte.
std::string fault_with_matrix(const std::function<void()>& kernel) {
  return fault_of({1, kWarpgroupThreads + kWarpThreads, kMatrixBytes}, [&] {
    for (std::uint32_t byte = 16 * static_cast<std::uint32_t>(thread_index()); byte < kMatrixBytes; byte += 16 * 160) {
      store_shared(shared_memory() + byte, {});
    }
    fence_shared_for_products();
    sync_block();
    kernel();
  });
}

bool in_warpgroup() { return thread_index() < kWarpgroupThreads; }

void expect_fault(const std::string& fault, const std::string& expected) {
  EXPECT_NE(fault.find(expected), std::string::npos) << fault;
}

TEST(ProductFaults, NoneIfAllIsWaitedFor) {
  EXPECT_EQ(fault_with_matrix([] {
              if (!in_warpgroup()) return;
              Product product;
              for (int i = 0; i < 3; ++i) {
                product.issue();
                warpgroup_wait<0>();
                product.sum[0][0] += 1.0F;
                product.fragment[0] = 0;
              }
            }),
            "");
}

TEST(ProductFaults, SumsReadInFlight) {
  expect_fault(fault_with_matrix([] {
                 if (!in_warpgroup()) return;
                 Product product;
                 product.issue();
                 const Sums<kTiles>& sum = product.sum;
                 if (sum[3][0] > 0.0F) return;
                 warpgroup_wait<0>();
               }),
               "warpgroup_multiply_add is in flight while its sums are touched");
}

TEST(ProductFaults, WaitedForTheWrongGroup) {
  expect_fault(fault_with_matrix([] {
                 if (!in_warpgroup()) return;
                 Product first;
                 Product second;
                 first.issue();
                 second.issue();
                 warpgroup_wait<1>();
                 first.sum[0][0] = 0.0F;
                 second.sum[0][0] = 0.0F;
               }),
               "warpgroup_multiply_add is in flight while its sums are touched");
}

TEST(ProductFaults, OperandWrittenInFlight) {
  expect_fault(fault_with_matrix([] {
                 if (!in_warpgroup()) return;
                 Product product;
                 product.issue();
                 product.fragment[2] = 1;
                 warpgroup_wait<0>();
               }),
               "warpgroup_multiply_add is in flight while registers that it reads are written");
}

TEST(ProductFaults, OperandReadInFlightIsFine) {
  EXPECT_EQ(fault_with_matrix([] {
              if (!in_warpgroup()) return;
              Product product;
              product.issue();
              const Fragment& fragment = product.fragment;
              if (fragment[0] == 77) product.fragment[0] = 0;
              warpgroup_wait<0>();
            }),
            "");
}

TEST(ProductFaults, RegistersTouchedAfterTheFence) {
  for (const bool sums : {true, false}) {
    expect_fault(fault_with_matrix([sums] {
                   if (!in_warpgroup()) return;
                   Product product;
                   warpgroup_fence();
                   if (sums) {
                     product.sum[0][0] = 0.0F;
                   } else {
                     product.fragment[0] = 0;
                   }
                   warpgroup_multiply_add<Float16, kTiles>(product.sum, product.fragment, Product::matrix());
                   warpgroup_commit();
                   warpgroup_wait<0>();
                 }),
                 "comes without a warpgroup_fence since its registers were touched");
  }
}

TEST(ProductFaults, SharedOperandWrittenInFlight) {
  expect_fault(fault_with_matrix([] {
                 if (!in_warpgroup()) return;
                 Product product;
                 product.issue();
                 if (thread_index() == 127) store_shared(shared_memory(), {});
                 warpgroup_wait<0>();
               }),
               "store_shared writes shared byte 0, which a product in flight reads");
}

/// The fifth warp writes when it is told to: after the products were issued, or after they were waited for. Which comes
/// first in the emulator's order must not matter.
TEST(ProductFaults, SharedOperandGivenBackBeforeTheWait) {
  const auto kernel = [](bool early) {
    return fault_with_matrix([early] {
      if (!in_warpgroup()) {
        sync_threads(1, 160);
        store_shared(shared_memory() + static_cast<std::uint32_t>(16 * lane_index()), {});
        return;
      }
      Product product;
      product.issue();
      if (early) arrive_threads(1, 160);
      warpgroup_wait<0>();
      if (!early) arrive_threads(1, 160);
    });
  };
  EXPECT_EQ(kernel(false), "");
  const std::string fault = kernel(true);
  EXPECT_TRUE(fault.find("which a product in flight reads") != std::string::npos ||
              fault.find("read with no barrier since then") != std::string::npos)
      << fault;
}

TEST(ProductFaults, WrittenAndFencedByAnotherWithNoBarrierBetween) {
  expect_fault(fault_with_matrix([] {
                 if (thread_index() == kWarpgroupThreads) store_shared(shared_memory(), {});
                 if (!in_warpgroup()) return;
                 Product product;
                 fence_shared_for_products();  // of what the others write later, or nobody knows when
                 product.issue();
                 warpgroup_wait<0>();
               }),
               "shared byte 0, which thread 128 wrote with no barrier since then");
}

TEST(ProductFaults, TheReadersFenceCountsIfItComesAfterTheWrite) {
  const auto kernel = [](bool after) {
    return fault_with_matrix([after] {
      if (!in_warpgroup()) {
        if (lane_index() == 0) store_shared(shared_memory(), {});
        sync_threads(1, 160);
        return;
      }
      Product product;
      if (!after) fence_shared_for_products();
      sync_threads(1, 160);
      if (after) fence_shared_for_products();
      product.issue();
      warpgroup_wait<0>();
    });
  };
  EXPECT_EQ(kernel(true), "");
  expect_fault(kernel(false), "which thread 128 wrote with no fence_shared_for_products since then");
}

TEST(ProductFaults, NeverWaitedFor) {
  // The registers outlive the thread's work.
  std::optional<Product> products[kWarpgroupThreads];
  expect_fault(fault_with_matrix([&] {
                 if (!in_warpgroup()) return;
                 auto& product = products[thread_index()];
                 product.emplace();
                 product->issue();
                 sync_threads(2, kWarpgroupThreads);
               }),
               "warpgroup_multiply_add is not waited for before the thread ends");
}

TEST(ProductFaults, RegistersThatEndInFlight) {
  expect_fault(fault_with_matrix([] {
                 if (!in_warpgroup()) return;
                 {
                   Product product;
                   product.issue();
                 }
                 warpgroup_wait<0>();
               }),
               "has registers that ended before it was waited for");
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
