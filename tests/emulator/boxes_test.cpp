// Boxes to and from shared memory: what they bring, where they end, and what may not happen meanwhile.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "emulator/small_kernel.hpp"
#include "gpu/emulator/tensor_map.hpp"

namespace varlen::gpu::emulator::test {
namespace {

constexpr std::int64_t kTokens = 12;
constexpr std::int64_t kHeads = 2;
constexpr std::int64_t kDim = 64;
constexpr std::int64_t kTokenStride = kHeads * kDim;
constexpr std::int32_t kStart = 3;  // of request 1, which has five tokens
constexpr std::int32_t kLength = 5;
constexpr std::int32_t kBound = 8;

/// Tokens of two heads of 64 elements; element (token, head, column) is 1000 token + 100 head + column.
struct BoxMemory {
  alignas(16) std::uint16_t in[kTokens * kTokenStride];
  alignas(16) std::uint16_t out[kTokens * kTokenStride] = {};
  GlobalMemory global{{{0, 3, 0, 3}, {kStart, kLength, kStart, kLength}, {8, 4, 8, 4}}};

  BoxMemory() {
    for (std::int64_t t = 0; t < kTokens; ++t) {
      for (std::int64_t h = 0; h < kHeads; ++h) {
        for (std::int64_t d = 0; d < kDim; ++d) {
          in[t * kTokenStride + h * kDim + d] = static_cast<std::uint16_t>(1000 * t + 100 * h + d);
        }
      }
    }
    global.add({Role::kKey, in, 2, kDim, {}, {kTokens, kTokenStride}, {kHeads, kDim}});
    global.add({Role::kOut, out, 2, kDim, {}, {kTokens, kTokenStride}, {kHeads, kDim}});
  }

  /// As kernel::KeyBoxes describes ragged tensors.
  TensorMap map(const std::uint16_t* tensor, std::int32_t heads, std::int32_t tokens) const {
    const std::int64_t token_bytes = kTokenStride * 2;
    return encode_tensor_map(
        {reinterpret_cast<std::uint64_t>(tensor) - static_cast<std::uint64_t>(kBound * token_bytes),
         {kDim, kHeads, kBound, kTokens + 1, 1},
         {kDim * 2, token_bytes, token_bytes, token_bytes},
         {64, heads, tokens, 1, 1}});
  }
  /// Of a box that begins at this token of request 1.
  static std::vector<std::int32_t> place(std::int32_t head, std::int32_t token) {
    return {0, head, kBound - kLength + token, kStart + kLength, 0};
  }

  std::string fault_of(const std::function<void()>& kernel) {
    return test::fault_of(global, {1, 32, 8192}, [&] {
      enter_item(0, 1);
      kernel();
    });
  }
};

void load(const TensorMap& map, const std::vector<std::int32_t>& at, SharedAddress barrier) {
  const BoxPlace place = {at[0], at[1], at[2], at[3], at[4]};
  load_box(shared_memory(), map, place, barrier);
}
void store(const TensorMap& map, const std::vector<std::int32_t>& at) {
  const BoxPlace place = {at[0], at[1], at[2], at[3], at[4]};
  store_box(map, place, shared_memory());
}

constexpr SharedAddress kBarrier{8192 - 64};

/// Loads a box of `rows` rows of 128 bytes and returns its first two chunks of every row, swizzle undone.
std::string load_rows(BoxMemory& memory, const TensorMap& map, const std::vector<std::int32_t>& place, int rows,
                      std::vector<Words4>* chunks = nullptr, std::uint32_t expected_bytes = 0) {
  const auto bytes = expected_bytes == 0 ? static_cast<std::uint32_t>(rows) * 128 : expected_bytes;
  return memory.fault_of([&] {
    if (lane_index() == 0) {
      init_barrier(kBarrier, 1);
      fence_barriers();
      arrive_expecting(kBarrier, bytes);
      load(map, place, kBarrier);
    }
    sync_block();
    wait_for(kBarrier, 0);
    if (lane_index() != 0 || chunks == nullptr) return;
    for (int row = 0; row < rows; ++row) {
      for (std::uint32_t chunk = 0; chunk < 2; ++chunk) {
        const auto r = static_cast<std::uint32_t>(row);
        chunks->push_back(load_shared({r * 128 + (chunk ^ r % 8) * 16}));
      }
    }
  });
}

bool same(const Words4& a, const Words4& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

TEST(LoadBox, BringsTheRequestsRowsAndZerosBehindThem) {
  BoxMemory memory;
  std::vector<Words4> chunks;
  ASSERT_EQ(load_rows(memory, memory.map(memory.in, 2, 4), BoxMemory::place(0, 2), 8, &chunks), "");
  for (std::uint32_t row = 0; row < 8; ++row) {  // token-major
    for (std::uint32_t chunk = 0; chunk < 2; ++chunk) {
      const std::uint32_t token = 2 + row / 2;
      const Words4 expected =
          token < kLength ? counting(1000 * (static_cast<std::uint32_t>(kStart) + token) + 100 * (row % 2) + 8 * chunk)
                          : Words4{};
      EXPECT_TRUE(same(chunks[2 * row + chunk], expected)) << row << ", " << chunk;
    }
  }
}

TEST(LoadBox, HeadsThatDoNotExistAreZeros) {
  BoxMemory memory;
  std::vector<Words4> chunks;
  ASSERT_EQ(load_rows(memory, memory.map(memory.in, 2, 1), BoxMemory::place(1, 0), 2, &chunks), "");
  EXPECT_TRUE(same(chunks[0], counting(3100)));
  EXPECT_TRUE(same(chunks[2], {}));
}

TEST(LoadBox, WhollyOutsideIsAFault) {
  BoxMemory memory;
  EXPECT_EQ(load_rows(memory, memory.map(memory.in, 1, 2), BoxMemory::place(0, 5), 2),
            "block 0, warp 0, lane 0 (thread 0), item 0, request 1: load_box is of a box at (0, 0, 8, 8, 0) that lies "
            "wholly outside of the tensor of (64, 2, 8, 13, 1)");
}

TEST(LoadBox, BeyondTheBlocksSharedMemoryIsAFault) {
  BoxMemory memory;
  EXPECT_EQ(
      memory.fault_of([&] {
        if (lane_index() != 0) return;
        init_barrier(kBarrier, 1);
        fence_barriers();
        const BoxPlace place = {0, 0, kBound - kLength, kStart + kLength, 0};
        load_box(shared_memory() + 8192, memory.map(memory.in, 1, 1), place, kBarrier);
      }),
      "block 0, warp 0, lane 0 (thread 0), item 0, request 1: load_box is at shared byte 8192, of which the block "
      "has 8192");
}

TEST(LoadBox, RowsOfTheNextRequestAreAFault) {
  BoxMemory memory;
  EXPECT_EQ(load_rows(memory, memory.map(memory.in, 1, 2), {0, 0, kBound - 6 + 4, kStart + 6, 0}, 2),
            "block 0, warp 0, lane 0 (thread 0), item 0, request 1: load_box of 16 bytes is at key[token 8, head 0, "
            "element 0], which is not this request's");
}

TEST(LoadBox, MoreBytesExpectedThanComeIsADeadlock) {
  BoxMemory memory;
  const std::string fault = load_rows(memory, memory.map(memory.in, 1, 2), BoxMemory::place(0, 0), 2, nullptr, 3 * 128);
  EXPECT_NE(fault.find("for 0 of 1 arrivals and 128 bytes at the barrier"), std::string::npos) << fault;
}

TEST(LoadBox, ReadBeforeItHasLanded) {
  BoxMemory memory;
  EXPECT_EQ(
      memory.fault_of([&] {
        if (lane_index() != 0) return;
        init_barrier(kBarrier, 1);
        fence_barriers();
        arrive_expecting(kBarrier, 128);
        load(memory.map(memory.in, 1, 1), BoxMemory::place(0, 0), kBarrier);
        load_shared(shared_memory());
      }),
      "block 0, warp 0, lane 0 (thread 0), item 0, request 1: load_shared reads shared byte 0, to which a copy of "
      "thread 0 is in flight");
}

/// Four rows of zeros by the warp's lanes, then what `rest` does in lane 0.
std::string fault_of_store(BoxMemory& memory, bool fence, const std::function<void()>& rest) {
  return memory.fault_of([&] {
    store_shared(shared_memory() + static_cast<std::uint32_t>(16 * lane_index()),
                 counting(100 * static_cast<std::uint32_t>(lane_index())));
    if (fence) fence_shared_for_products();
    sync_warp();
    if (lane_index() == 0) rest();
  });
}

TEST(StoreBox, StoresTheRequestsRowsOnly) {
  BoxMemory memory;
  ASSERT_EQ(fault_of_store(memory, true,
                           [&] {
                             store(memory.map(memory.out, 1, 4), BoxMemory::place(1, 3));
                             store_box_wait();
                           }),
            "");
  // Rows 0 and 1 of four are tokens 3 and 4 of the request; each begins with chunk 0, which lies at place `row`.
  for (std::int64_t t = 0; t < kTokens; ++t) {
    const bool stored = t == kStart + 3 || t == kStart + 4;
    const std::int64_t row = t - kStart - 3;
    EXPECT_EQ(memory.out[t * kTokenStride + kDim], stored ? 100 * (8 * row + row) : 0) << t;
    EXPECT_EQ(memory.out[t * kTokenStride], 0);
  }
}

TEST(StoreBox, NeedsAFenceAfterTheWrites) {
  BoxMemory memory;
  EXPECT_EQ(
      fault_of_store(memory, false,
                     [&] {
                       store(memory.map(memory.out, 1, 4), BoxMemory::place(1, 0));
                       store_box_wait();
                     }),
      "block 0, warp 0, lane 0 (thread 0), item 0, request 1: store_box reads shared byte 0, which thread 0 wrote "
      "with no fence_shared_for_products since then");
}

TEST(StoreBox, MustBeWaitedFor) {
  BoxMemory memory;
  const auto begin = [&] { store(memory.map(memory.out, 1, 4), BoxMemory::place(1, 0)); };
  EXPECT_EQ(
      fault_of_store(memory, true, begin),
      "block 0, warp 0, lane 0 (thread 0), item 0, request 1: store_box is not waited for before the thread ends");
  BoxMemory again;
  EXPECT_EQ(
      fault_of_store(again, true,
                     [&] {
                       store(again.map(again.out, 1, 4), BoxMemory::place(1, 0));
                       store_shared(shared_memory(), {});
                       store_box_wait();
                     }),
      "block 0, warp 0, lane 0 (thread 0), item 0, request 1: store_shared writes shared byte 0, from which a box "
      "is being stored");
}

TEST(StoreBox, TwiceIsAFault) {
  BoxMemory memory;
  const std::string fault = fault_of_store(memory, true, [&] {
    for (int i = 0; i < 2; ++i) store(memory.map(memory.out, 1, 4), BoxMemory::place(1, 0));
    store_box_wait();
  });
  EXPECT_NE(fault.find("which was written before"), std::string::npos) << fault;
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
