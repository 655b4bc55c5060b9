// The operations of correct kernels against what operations.hpp says of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include "emulator/small_kernel.hpp"

namespace varlen::gpu::emulator::test {
namespace {

TEST(Threads, KnowWhereTheyStand) {
  std::vector<std::array<int, 5>> seen;
  EXPECT_EQ(fault_of({3, 64, 0},
                     [&] {
                       seen.push_back({block_index(), block_count(), thread_index(), warp_index(), lane_index()});
                     }),
            "");
  ASSERT_EQ(seen.size(), 3U * 64U);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const int thread = static_cast<int>(i % 64);
    EXPECT_EQ(seen[i], (std::array<int, 5>{static_cast<int>(i / 64), 3, thread, thread / 32, thread % 32}));
  }
}

TEST(SyncBlock, HoldsEveryThreadUntilAllHaveCome) {
  std::vector<int> before(128);
  bool all = true;
  EXPECT_EQ(fault_of({2, 128, 0},
                     [&] {
                       for (int round = 1; round <= 3; ++round) {
                         before[static_cast<std::size_t>(thread_index())] = 10 * block_index() + round;
                         sync_block();
                         for (const int reached : before) all = all && reached == 10 * block_index() + round;
                         sync_block();
                       }
                     }),
            "");
  EXPECT_TRUE(all);
}

TEST(ShuffleXor, BringsTheOtherLanesValue) {
  std::vector<float> values(64);
  EXPECT_EQ(fault_of({1, 64, 0},
                     [&] {
                       const auto i = static_cast<std::size_t>(thread_index());
                       values[i] = shuffle_xor(shuffle_xor(static_cast<float>(thread_index()), 5), 16);
                     }),
            "");
  for (int i = 0; i < 64; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], static_cast<float>(i ^ 21));
}

/// Writes four matrices whose element (i, r, c) is 100 i + 8 r + c, reads them and returns what the lanes hold.
template <class Load>
std::vector<std::array<std::uint32_t, 4>> load_counting(const Load& load) {
  std::vector<std::array<std::uint32_t, 4>> lanes(32);
  EXPECT_EQ(fault_of({1, 32, 1024},
                     [&] {
                       const auto lane = static_cast<std::uint32_t>(lane_index());
                       const SharedAddress row = shared_memory() + (31 - lane) * 16;
                       store_shared(row, counting(lane / 8 * 100 + lane % 8 * 8));
                       sync_block();
                       std::uint32_t matrix[4];
                       load(matrix, row);
                       std::copy_n(matrix, 4, lanes[lane].begin());
                     }),
            "");
  return lanes;
}

TEST(LoadMatrices, GivesEachLaneTwoElementsOfARow) {
  const auto lanes = load_counting([](auto& matrix, SharedAddress row) { load_matrices(matrix, row); });
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    for (std::uint32_t i = 0; i < 4; ++i) {
      const std::uint32_t first = 100 * i + 8 * (lane / 4) + 2 * (lane % 4);
      EXPECT_EQ(lanes[lane][i], first | (first + 1) << 16) << lane;
    }
  }
}

TEST(LoadMatrices, TransposedGivesEachLaneTwoElementsOfAColumn) {
  const auto lanes = load_counting([](auto& matrix, SharedAddress row) { load_matrices_transposed(matrix, row); });
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    for (std::uint32_t i = 0; i < 4; ++i) {
      const std::uint32_t first = 100 * i + 8 * (2 * (lane % 4)) + lane / 4;
      EXPECT_EQ(lanes[lane][i], first | (first + 8) << 16) << lane;
    }
  }
}

template <class Element>
void expect_products() {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> number(-2.0F, 2.0F);
  std::uint16_t a[16][16];
  std::uint16_t b[16][8];
  float c[16][8];
  for (auto& row : a) {
    for (auto& element : row) element = narrow<Element>(number(random));
  }
  for (auto& row : b) {
    for (auto& element : row) element = narrow<Element>(number(random));
  }
  for (auto& row : c) {
    for (auto& element : row) element = number(random);
  }
  float result[16][8] = {};
  EXPECT_EQ(fault_of({1, 32, 0},
                     [&] {
                       const int row = lane_index() / 4;
                       const int column = 2 * (lane_index() % 4);
                       const auto pair = [](std::uint16_t low, std::uint16_t high) {
                         return low | std::uint32_t{high} << 16;
                       };
                       const auto a_pair = [&](int r, int k) { return pair(a[r][k], a[r][k + 1]); };
                       const std::uint32_t a_words[4] = {a_pair(row, column), a_pair(row + 8, column),
                                                         a_pair(row, column + 8), a_pair(row + 8, column + 8)};
                       const std::uint32_t b0 = pair(b[column][row], b[column + 1][row]);
                       const std::uint32_t b1 = pair(b[column + 8][row], b[column + 9][row]);
                       float sum[4] = {c[row][column], c[row][column + 1], c[row + 8][column], c[row + 8][column + 1]};
                       multiply_add_16x8x16<Element>(sum, a_words, b0, b1);
                       for (int i = 0; i < 4; ++i) result[row + i / 2 * 8][column + i % 2] = sum[i];
                     }),
            "");
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      double expected = c[row][column];
      double magnitude = std::abs(expected);
      for (int k = 0; k < 16; ++k) {
        const double product = double{widen<Element>(a[row][k])} * double{widen<Element>(b[k][column])};
        expected += product;
        magnitude += std::abs(product);
      }
      EXPECT_NEAR(result[row][column], expected, 0x1p-20 * magnitude) << row << ", " << column;
    }
  }
}
TEST(MultiplyAdd, IsTheProductOfMatricesInFp16) { expect_products<Float16>(); }
TEST(MultiplyAdd, IsTheProductOfMatricesInBf16) { expect_products<BFloat16>(); }

TEST(MultiplyAdd, TakesLittleTime) {
  constexpr int kCount = 20000;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(fault_of({1, 32, 0},
                     [&] {
                       float sum[4] = {};
                       const std::uint32_t a[4] = {0x3C003C00U, 0x3C003C00U, 0x3C003C00U, 0x3C003C00U};
                       for (int i = 0; i < kCount; ++i) multiply_add_16x8x16<Float16>(sum, a, a[0], a[1]);
                     }),
            "");
  const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - begin;
  RecordProperty("microseconds", std::to_string(time.count() / kCount));
  std::printf("%.2f us for one warp-wide multiply_add\n", time.count() / kCount);
  EXPECT_LT(time.count() / kCount, 100);  // generous: machines are shared
}

TEST(StoreMatrices, PutsWhatLoadMatricesBringsBack) {
  std::vector<std::array<std::uint32_t, 4>> lanes(32);
  EXPECT_EQ(fault_of({1, 32, 512},
                     [&] {
                       const auto lane = static_cast<std::uint32_t>(lane_index());
                       const std::uint32_t put[4] = {lane, 100 + lane, 200 + lane, 300 + lane};
                       store_matrices(shared_memory() + 16 * (lane ^ 5), put);
                       sync_warp();
                       std::uint32_t got[4];
                       load_matrices(got, shared_memory() + 16 * (lane ^ 5));
                       std::copy_n(got, 4, lanes[lane].begin());
                     }),
            "");
  for (std::uint32_t lane = 0; lane < 32; ++lane) {
    EXPECT_EQ(lanes[lane], (std::array<std::uint32_t, 4>{lane, 100 + lane, 200 + lane, 300 + lane}));
  }
}

TEST(Warp, CountsVotesBroadcastsAndElectsOne) {
  std::vector<std::int64_t> values;
  int elected = 0;
  EXPECT_EQ(fault_of({1, 64, 0},
                     [&] {
                       values.push_back(count_votes(lane_index() < 5 + warp_index()));
                       values.push_back(broadcast((std::int64_t{1} << 40) + thread_index()));
                       if (elect_one()) ++elected;
                     }),
            "");
  EXPECT_EQ(elected, 2);
  std::int64_t sum = 0;
  for (const std::int64_t value : values) sum += value;
  EXPECT_EQ(sum, 32 * (5 + 6 + 2 * (std::int64_t{1} << 40) + 32));
}

TEST(Draw, EveryNumberOnceAndRisingInEachBlock) {
  std::int64_t counter = 0;
  GlobalMemory memory({});
  memory.add({Role::kCounter, &counter, 8, 1, {}, {}, {}});
  std::vector<std::vector<std::int64_t>> drawn(5);
  Launch launch{5, 32, 0, 40};
  EXPECT_EQ(fault_of(memory, launch,
                     [&] {
                       if (lane_index() != 0) return;
                       auto& own = drawn[static_cast<std::size_t>(block_index())];
                       for (std::int64_t number = draw(&counter); number < 40; number = draw(&counter)) {
                         own.push_back(number);
                       }
                     }),
            "");
  std::vector<int> times(40);
  for (const auto& own : drawn) {
    EXPECT_TRUE(std::is_sorted(own.begin(), own.end()));
    EXPECT_FALSE(own.empty());
    for (const std::int64_t number : own) ++times[static_cast<std::size_t>(number)];
  }
  EXPECT_EQ(times, std::vector<int>(40, 1));
}

TEST(CopyAsync, BringsDataOrZeros) {
  SmallMemory memory;
  for (int i = 0; i < 8; ++i) memory.query[SmallMemory::kQueryStart * 24 + i] = static_cast<std::uint16_t>(i + 1);
  std::vector<std::uint32_t> words;
  EXPECT_EQ(fault_of(memory.global, {1, 32, 512},
                     [&] {
                       enter_item(7, 1);
                       const auto lane = static_cast<std::uint32_t>(lane_index());
                       const std::uint16_t* const from = memory.query + SmallMemory::kQueryStart * 24;
                       copy_async_16(shared_memory() + lane * 16, from, lane % 2 == 0);
                       copy_async_commit();
                       copy_async_wait<0>();
                       sync_block();
                       std::uint32_t matrix[4];
                       load_matrices(matrix, shared_memory() + lane * 16);
                       words.push_back(matrix[0]);
                     }),
            "");
  ASSERT_EQ(words.size(), 32U);
  // The last lane to come runs on first.
  for (std::uint32_t i = 0; i < 32; ++i) {
    const std::uint32_t lane = (i + 31) % 32;
    const std::uint32_t first = 2 * (lane % 4) + 1;
    EXPECT_EQ(words[i], lane / 4 % 2 == 0 ? first | (first + 1) << 16 : 0U) << lane;
  }
}

TEST(CopyAsync, WaitLeavesTheNewestGroupsPending) {
  SmallMemory memory;
  const auto kernel = [&](bool wait_for_all) {
    return fault_of(memory.global, {1, 32, 1024}, [&, wait_for_all] {
      enter_item(7, 1);
      const auto lane = static_cast<std::uint32_t>(lane_index());
      for (std::uint32_t group = 0; group < 2; ++group) {
        copy_async_16(shared_memory() + (group * 32 + lane) * 16, memory.query, false);
        copy_async_commit();
      }
      copy_async_wait<1>();
      sync_block();
      std::uint32_t matrix[4];
      load_matrices(matrix, shared_memory() + lane * 16);
      if (wait_for_all) copy_async_wait<0>();
      sync_block();
      load_matrices(matrix, shared_memory() + (32 + lane) * 16);
    });
  };
  EXPECT_EQ(kernel(true), "");
  EXPECT_EQ(kernel(false),
            "block 0, warp 0, lane 0 (thread 0), item 7, request 1: load_matrices reads shared byte 512, to "
            "which a copy of thread 0 is in flight");
}

TEST(Launch, RunsAgainAfterAFault) {
  GlobalMemory none({});
  Machine machine(none);
  EXPECT_THROW(machine.launch({1, 64, 0}, [] { thread_index() == 40 ? throw std::runtime_error("x") : sync_block(); }),
               std::runtime_error);
  int threads = 0;
  machine.launch({2, 96, 0}, [&] {
    sync_block();
    ++threads;
  });
  EXPECT_EQ(threads, 192);
}

TEST(Launch, UnwindsEveryThreadAfterAFault) {
  int alive = 0;
  struct Counted {
    int& count;
    explicit Counted(int& counter) : count(counter) { ++count; }
    ~Counted() { --count; }
  };
  const std::string fault = fault_of({1, 64, 0}, [&] {
    const Counted counted(alive);
    sync_block();
    if (thread_index() == 50) throw Error(ErrorCode::kInternal, "", Error::kNoIndex, "", "planted");
    sync_block();
  });
  EXPECT_EQ(fault, "planted");
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
