// Tensor memory: products against the same sums in double, and what goes wrong around them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "emulator/small_kernel.hpp"
#include "gpu/emulator/tensor_operations.hpp"

namespace varlen::gpu::emulator::test {
namespace {

constexpr int kColumns = 64;
constexpr std::uint32_t kPanelBytes = kTensorLanes * 128;
constexpr SharedAddress kA{0};
constexpr SharedAddress kB{kPanelBytes};
constexpr SharedAddress kAddress{2 * kPanelBytes};
constexpr SharedAddress kBarrier{2 * kPanelBytes + 16};
constexpr SharedAddress kDone{2 * kPanelBytes + 32};
constexpr int kThreads = kWarpgroupThreads + kWarpThreads;  // one warp for each quarter, and one that issues
constexpr Launch kLaunch{1, kThreads, 2 * kPanelBytes + 48};

bool issues() { return warp_index() == 4; }

/// Numbers that all three types hold exactly.
float number(int row, int k) { return static_cast<float>((row * 7 + k * 5) % 9 - 4); }

template <class Element>
void write_elements(SharedAddress to, const std::function<float(int)>& at) {
  Words4 words;
  for (int i = 0; i < 4; ++i) words.word[i] = pack<Element>(at(2 * i), at(2 * i + 1));
  store_shared(to, words);
}
std::uint8_t e4m3(float value) {
  for (int bits = 0; bits < 256; ++bits) {
    if (widen<Float8E4M3>(static_cast<std::uint8_t>(bits)) == value) return static_cast<std::uint8_t>(bits);
  }
  throw std::logic_error("not a number of e4m3");
}
template <>
void write_elements<Float8E4M3>(SharedAddress to, const std::function<float(int)>& at) {
  Words4 words{};
  for (int i = 0; i < 16; ++i) words.word[i / 4] |= std::uint32_t{e4m3(at(i))} << (i % 4 * 8);
  store_shared(to, words);
}

/// Rows of 128 bytes, swizzled.
template <class Element>
void write_matrix(SharedAddress start, int rows, const std::function<float(int, int)>& at) {
  constexpr int kInChunk = kProductDepth<Element> / 2;
  for (int chunk = thread_index(); chunk < rows * 8; chunk += kThreads) {
    const int row = chunk / 8;
    write_elements<Element>(start + swizzled(static_cast<std::uint32_t>(chunk) * 16),
                            [&](int i) { return at(row, chunk % 8 * kInChunk + i); });
  }
}

/// Allocates, has barriers made, calls kernel(first column), and frees.
void with_tensor_memory(int columns, const std::function<void(TensorAddress)>& kernel) {
  if (issues()) {
    allocate_tensor_memory(kAddress, columns);
    give_up_tensor_allocation();
  }
  if (thread_index() == 0) {
    init_barrier(kBarrier, 1);
    init_barrier(kDone, kTensorLanes);
    fence_barriers();
  }
  sync_block();
  const TensorAddress address = load_tensor_address(kAddress);
  kernel(address);
  fence_tensor_before_sync();
  sync_block();
  fence_tensor_after_sync();
  if (issues()) free_tensor_memory(address, columns);
}

TensorAddress own_lanes(TensorAddress address) { return at_lane(address, warp_index() * kWarpThreads); }

enum class Left { kShared, kTensor };

/// a · b (or a · bᵀ's rows, see across_rows), twice added, of 128 × 64 × one 128-byte row of depth.
template <class Element>
void expect_product(Left left, bool across_rows) {
  SCOPED_TRACE(testing::Message() << "left " << static_cast<int>(left) << ", across rows " << across_rows);
  constexpr int kStep = kProductDepth<Element>;
  const int depth = across_rows ? 64 : 4 * kStep;
  std::vector<float> result(kTensorLanes * kColumns);
  const std::string fault = fault_of(kLaunch, [&] {
    write_matrix<Element>(kA, kTensorLanes, number);
    write_matrix<Element>(kB, 128, [&](int row, int column) { return number(row + 3, column + 1); });
    fence_shared_for_products();
    with_tensor_memory(256, [&](TensorAddress address) {
      const TensorAddress operand = address + 128;
      const int operand_columns = depth / kStep * 8;
      if (!issues() && left == Left::kTensor) {
        TensorWords<64> words;
        for (int i = 0; i < 64; ++i) words[i] = 0;
        const int in_word = kStep / 8;
        for (int i = 0; i < operand_columns; ++i) {
          for (int j = 0; j < in_word; ++j) {
            const float value = number(thread_index(), i * in_word + j);
            words[i] |= in_word == 4 ? std::uint32_t{e4m3(value)} << 8 * j
                                     : (pack<std::conditional_t<kStep == 32, Float16, Element>>(value, 0) << 16 * j);
          }
        }
        store_tensor(own_lanes(operand), words);
        wait_tensor_stores();
        fence_tensor_before_sync();
        arrive(kDone);
      }
      if (issues()) {
        if (left == Left::kTensor) wait_for(kDone, 0);
        fence_tensor_after_sync();
        if (lane_index() == 0) {
          const TensorMatrix a = tensor_matrix(kA, kPanelBytes, 1024);
          const TensorMatrix b = tensor_matrix(kB, kPanelBytes, 1024);
          const ProductShape shape = product_shape<Element>(kColumns, across_rows);
          for (int twice = 0; twice < 2; ++twice) {
            for (int k = 0; k < depth / kStep; ++k) {
              const auto step = static_cast<std::uint32_t>(k);
              const TensorMatrix right = b + (across_rows ? step * kStep * 128U : step * 32U);
              if (left == Left::kTensor) {
                tensor_multiply<Element>(address, operand + 8 * step, right, shape, twice + k > 0);
              } else {
                tensor_multiply<Element>(address, a + 32 * step, right, shape, twice + k > 0);
              }
            }
          }
          commit_tensor_products(kBarrier);
        }
      }
      wait_for(kBarrier, 0);
      fence_tensor_after_sync();
      if (issues()) return;
      TensorWords<kColumns> sums;
      load_tensor(sums, own_lanes(address));
      wait_tensor_loads(sums);
      for (int i = 0; i < kColumns; ++i)
        result[static_cast<std::size_t>(thread_index() * kColumns + i)] = word_as_float(sums[i]);
    });
  });
  ASSERT_EQ(fault, "");
  for (int row = 0; row < kTensorLanes; ++row) {
    for (int column = 0; column < kColumns; ++column) {
      double expected = 0;
      for (int k = 0; k < depth; ++k) {
        expected += 2.0 * number(row, k) * (across_rows ? number(k + 3, column + 1) : number(column + 3, k + 1));
      }
      ASSERT_EQ(result[static_cast<std::size_t>(row * kColumns + column)], expected) << row << ", " << column;
    }
  }
}

template <class Element>
void expect_products() {
  for (const Left left : {Left::kShared, Left::kTensor}) {
    for (const bool across_rows : {false, true}) expect_product<Element>(left, across_rows);
  }
}

TEST(TensorMemory, MultipliesInFp16) { expect_products<Float16>(); }
TEST(TensorMemory, MultipliesInBf16) { expect_products<BFloat16>(); }
TEST(TensorMemory, MultipliesInE4M3) { expect_products<Float8E4M3>(); }

TEST(TensorMemory, E4M3HasItsNumbers) {
  EXPECT_EQ(widen<Float8E4M3>(0x7E), 448.0F);
  EXPECT_EQ(widen<Float8E4M3>(0x38), 1.0F);
  EXPECT_EQ(widen<Float8E4M3>(0x01), 0x1p-9F);
  EXPECT_EQ(widen<Float8E4M3>(0xC0), -2.0F);
  EXPECT_TRUE(std::isnan(widen<Float8E4M3>(0x7F)));
  EXPECT_TRUE(std::isnan(widen<Float8E4M3>(0xFF)));
}

void expect_fault(const std::string& fault, const std::string& expected) {
  EXPECT_NE(fault.find(expected), std::string::npos) << fault;
}

// ---- Allocation.

std::string fault_with(int columns, const std::function<void(TensorAddress)>& kernel) {
  return fault_of(kLaunch, [&] {
    for (std::uint32_t byte = 16 * static_cast<std::uint32_t>(thread_index()); byte < 2 * kPanelBytes;
         byte += 16 * kThreads) {
      store_shared(shared_memory() + byte, {});
    }
    fence_shared_for_products();
    with_tensor_memory(columns, kernel);
  });
}

TEST(TensorMemory, IsAllocatedAndFreed) {
  EXPECT_EQ(fault_with(512, [](TensorAddress) {}), "");
}

TEST(TensorMemory, AllocationsAreOfSomeSizesOnly) {
  expect_fault(fault_with(48, [](TensorAddress) {}),
               "allocate_tensor_memory asks for 48 columns, which is not a power of two from 32 to 512");
}

TEST(TensorMemory, NoneIsAllocatedAfterGivingUp) {
  expect_fault(fault_with(32,
                          [](TensorAddress) {
                            if (issues()) allocate_tensor_memory(kAddress, 32);
                          }),
               "allocate_tensor_memory comes after give_up_tensor_allocation");
}

TEST(TensorMemory, MoreThanThereIsIsADeadlock) {
  expect_fault(fault_of(kLaunch,
                        [] {
                          if (!issues()) return;
                          allocate_tensor_memory(kAddress, 256);
                          sync_warp();
                          allocate_tensor_memory(kAddress, 512);
                        }),
               "allocate_tensor_memory waits for 512 columns for ever: the block itself has 256 columns");
}

TEST(TensorMemory, ALeakIsFound) {
  EXPECT_EQ(fault_of(kLaunch,
                     [] {
                       if (issues()) allocate_tensor_memory(kAddress, 64);
                     }),
            "block 0: 64 columns of tensor memory from 0 on, which warp 4 has allocated, were never freed");
}

TEST(TensorMemory, IsNotFreedTwice) {
  expect_fault(fault_with(64,
                          [](TensorAddress address) {
                            if (issues()) free_tensor_memory(address, 64);
                          }),
               "free_tensor_memory is of 64 columns from 0x0 on, which are no allocation");
}

TEST(TensorMemory, IsFreedAfterItsAllocationOnly) {
  expect_fault(fault_of(kLaunch,
                        [] {
                          if (issues()) allocate_tensor_memory(kAddress, 64);
                          if (warp_index() == 0) free_tensor_memory({0}, 64);
                        }),
               "free_tensor_memory is of ");
}

// ---- Loads and stores.

void store_zeros(TensorAddress address) {
  TensorWords<32> words;
  for (int i = 0; i < 32; ++i) words[i] = 0;
  store_tensor(own_lanes(address), words);
}

TEST(TensorMemory, WhatWasNeverWrittenIsNotRead) {
  expect_fault(fault_with(64,
                          [](TensorAddress address) {
                            if (warp_index() != 1) return;
                            TensorWords<32> words;
                            load_tensor(words, own_lanes(address));
                            wait_tensor_loads(words);
                          }),
               "load_tensor reads column 0 of lanes 32 to 63, which was never written");
}

TEST(TensorMemory, WarpsReachTheirOwnQuarter) {
  expect_fault(fault_with(64,
                          [](TensorAddress address) {
                            if (warp_index() != 1) return;
                            TensorWords<32> words;
                            load_tensor(words, at_lane(address, 64));
                          }),
               "load_tensor is of lanes from 64 on; its warp reaches those from 32 on");
}

TEST(TensorMemory, ColumnsAreWithinAnAllocation) {
  expect_fault(fault_with(64,
                          [](TensorAddress address) {
                            if (warp_index() == 0) store_zeros(address + 48);
                          }),
               "store_tensor is of columns 48 to 79, which are not within an allocation");
}

TEST(TensorMemory, StoresAreWaitedForBeforeLoads) {
  const auto load_back = [](bool waits) {
    return fault_with(64, [=](TensorAddress address) {
      if (warp_index() != 0) return;
      store_zeros(address);
      if (waits) wait_tensor_stores();
      TensorWords<32> words;
      load_tensor(words, own_lanes(address));
      wait_tensor_loads(words);
      if (!waits) wait_tensor_stores();
    });
  };
  EXPECT_EQ(load_back(true), "");
  expect_fault(load_back(false), "reads column 0 of lanes 0 to 31, to which a store of thread 0 is in flight");
}

std::string fault_of_load(const std::function<void(TensorWords<32>&, TensorWords<32>&)>& use) {
  return fault_with(64, [&](TensorAddress address) {
    if (warp_index() != 0) return;
    store_zeros(address);
    wait_tensor_stores();
    TensorWords<32> words;
    TensorWords<32> others;
    load_tensor(words, own_lanes(address));
    use(words, others);
  });
}

TEST(TensorMemory, LoadedWordsAreNotTouchedBeforeTheWait) {
  expect_fault(fault_of_load([](TensorWords<32>& words, TensorWords<32>&) { words[3] += 1; }),
               "load_tensor is in flight while registers that it is to are touched: it was not waited for");
}

TEST(TensorMemory, WaitsNameAllLoadedWords) {
  expect_fault(fault_of_load([](TensorWords<32>&, TensorWords<32>& others) { wait_tensor_loads(others); }),
               "wait_tensor_loads does not name registers that a load was to");
}

TEST(TensorMemory, IsNotFreedWhileALoadIsInFlight) {
  expect_fault(fault_of_load([](TensorWords<32>&, TensorWords<32>&) {}),
               "free_tensor_memory frees column 0 of lanes 0 to 31, from which a load of thread 0 is in flight");
}

// ---- Products among loads and stores: in each test one thing is missing.

struct Steps {
  bool store = true;
  bool wait_stores = true;
  bool fence_before = true;
  bool wait_done = true;
  bool fence_after = true;
  bool commit = true;
  bool wait_commit = true;
  bool fence_after_commit = true;
};

/// Every warp stores the left operand, a product is added, every warp loads sums.
std::string fault_without(const Steps& steps) {
  return fault_with(256, [&](TensorAddress address) {
    if (!issues()) {
      if (steps.store) {
        store_zeros(address + 128);
        if (steps.wait_stores) wait_tensor_stores();
      }
      if (steps.fence_before) fence_tensor_before_sync();
      arrive(kDone);
    } else {
      if (steps.wait_done) wait_for(kDone, 0);
      if (steps.fence_after) fence_tensor_after_sync();
      if (lane_index() == 0) {
        const TensorMatrix b = tensor_matrix(kB, kPanelBytes, 1024);
        tensor_multiply<Float16>(address, address + 128, b, product_shape<Float16>(32, false), false);
        if (steps.commit) commit_tensor_products(kBarrier);
      }
    }
    if (!issues() && steps.store && !steps.wait_stores) wait_tensor_stores();
    if (steps.commit && steps.wait_commit) wait_for(kBarrier, 0);
    if (steps.fence_after_commit) fence_tensor_after_sync();
    if (issues()) return;
    TensorWords<32> words;
    load_tensor(words, own_lanes(address));
    wait_tensor_loads(words);
  });
}

TEST(TensorOrder, AllStepsAreRight) { EXPECT_EQ(fault_without({}), ""); }
TEST(TensorOrder, AnOperandIsWritten) {
  expect_fault(fault_without({.store = false}),
               "tensor_multiply reads column 128 of lanes 0 to 31, which was never written");
}
TEST(TensorOrder, StoresAreWaitedFor) {
  expect_fault(fault_without({.wait_stores = false}),
               "tensor_multiply reads column 128 of lanes 0 to 31, which a store of thread 0");
}
TEST(TensorOrder, StoresAreFenced) {
  expect_fault(fault_without({.fence_before = false}), "read here with no barrier and fences since then");
}
TEST(TensorOrder, TheIssuerWaits) {
  const std::string fault = fault_without({.wait_done = false});
  EXPECT_NE(fault.find("tensor_multiply reads column 128"), std::string::npos) << fault;
}
TEST(TensorOrder, TheIssuerFences) {
  expect_fault(fault_without({.fence_after = false}), "read here with no barrier and fences since then");
}
TEST(TensorOrder, ProductsAreCommitted) {
  expect_fault(fault_without({.commit = false}),
               "load_tensor reads column 0 of lanes 0 to 31, which was never written");
}
TEST(TensorOrder, CommitsAreWaitedFor) {
  const std::string fault = fault_without({.wait_commit = false});
  EXPECT_NE(fault.find("load_tensor reads column 0"), std::string::npos) << fault;
}
TEST(TensorOrder, ReadersFence) {
  expect_fault(fault_without({.fence_after_commit = false}),
               "which a product of thread 128 wrote, read here with no barrier and fences");
}

TEST(TensorOrder, SharedOperandsStayUntilTheCommitIsWaitedFor) {
  const auto overwrite = [](bool waits) {
    return fault_with(256, [=](TensorAddress address) {
      if (!issues()) return;
      if (lane_index() == 0) {
        const TensorMatrix matrix = tensor_matrix(kA, kPanelBytes, 1024);
        tensor_multiply<BFloat16>(address, matrix, matrix, product_shape<BFloat16>(32, false), false);
        commit_tensor_products(kBarrier);
        if (waits) wait_for(kBarrier, 0);
        store_shared(kA, {});
      }
      wait_for(kBarrier, 0);
      fence_tensor_after_sync();
    });
  };
  EXPECT_EQ(overwrite(true), "");
  expect_fault(overwrite(false), "store_shared writes shared byte 0, which a product in flight reads");
}

TEST(TensorOrder, OverwritingSumsThatSomebodyLoadsIsAFault) {
  expect_fault(fault_with(256,
                          [](TensorAddress address) {
                            if (!issues()) {
                              store_zeros(address);
                              wait_tensor_stores();
                              TensorWords<32> words;
                              load_tensor(words, own_lanes(address));
                              wait_tensor_loads(words);
                              arrive(kDone);  // with no fence
                              return;
                            }
                            wait_for(kDone, 0);
                            fence_tensor_after_sync();
                            if (lane_index() != 0) return;
                            const TensorMatrix matrix = tensor_matrix(kA, kPanelBytes, 1024);
                            tensor_multiply<BFloat16>(address, matrix, matrix, product_shape<BFloat16>(32, false),
                                                      false);
                          }),
               "written here with no barrier and fences since then");
}

TEST(TensorOrder, ProductsAreOfKnownShapesAndMatrices) {
  const auto multiply = [](TensorMatrix matrix, ProductShape shape) {
    return fault_with(256, [=](TensorAddress address) {
      if (thread_index() == kWarpgroupThreads) tensor_multiply<BFloat16>(address, matrix, matrix, shape, false);
    });
  };
  const TensorMatrix matrix = tensor_matrix(kA, kPanelBytes, 1024);
  expect_fault(multiply(matrix, product_shape<Float16>(32, false)), "has the shape ");
  expect_fault(multiply(matrix, product_shape<BFloat16>(24, false)), "has the shape ");
  expect_fault(multiply({matrix.bits & ~(std::uint64_t{1} << 46)}, product_shape<BFloat16>(32, false)),
               "has the matrix ");
  expect_fault(multiply(matrix, product_shape<BFloat16>(32, false)),
               "free_tensor_memory frees column 0 of lanes 0 to 31, which a product in flight writes");
}

TEST(TensorOrder, CommitsAreWaitedForBeforeTheBlockEnds) {
  const auto commit = [](bool waits) {
    return fault_with(32, [=](TensorAddress) {
      if (!issues()) return;
      if (lane_index() == 0) commit_tensor_products(kBarrier);
      sync_warp();
      if (waits) wait_for(kBarrier, 0);
    });
  };
  EXPECT_EQ(commit(true), "");
  expect_fault(commit(false),
               "block 0: a commit of products arrives at the barrier at shared byte 32784, for whose "
               "phase 0 nobody waits: the block may be gone by then");
}

/// The same under every schedule: what is right stays right, results included.
TEST(TensorOrder, SchedulesAgree) {
  for (const SchedulePolicy policy : {SchedulePolicy::kRandom, SchedulePolicy::kEarly, SchedulePolicy::kLate,
                                      SchedulePolicy::kUnordered, SchedulePolicy::kStarve, SchedulePolicy::kPriority}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      Launch launch = kLaunch;
      launch.schedule = {policy, seed};
      const std::string fault = fault_of(launch, [&] {
        with_tensor_memory(64, [&](TensorAddress address) {
          if (issues()) return;
          store_zeros(address);
          wait_tensor_stores();
          TensorWords<32> words;
          load_tensor(words, own_lanes(address));
          wait_tensor_loads(words);
          ASSERT_EQ(words[0], 0U);
        });
      });
      ASSERT_EQ(fault, "");
    }
  }
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
