// Kernels that touch memory as they must not, and what the emulator says.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "emulator/small_kernel.hpp"

namespace varlen::gpu::emulator::test {
namespace {

constexpr std::int64_t kToken = SmallMemory::kTokenStride;

/// What one thread's access is told, without the part that says who it was.
template <class Access>
std::string fault_of_access(SmallMemory& memory, const Access& access) {
  const std::string fault = fault_of(memory.global, {2, 64, 256}, [&] {
    enter_item(7, SmallMemory::kRequest);
    if (block_index() == 1 && thread_index() == 35) access();
  });
  const std::string who = "block 1, warp 1, lane 3 (thread 35), item 7, request 1: ";
  return fault.rfind(who, 0) == 0 ? fault.substr(who.size()) : fault;
}

TEST(GlobalFaults, OwnRowsAreAllowed) {
  SmallMemory memory;
  EXPECT_EQ(fault_of_access(memory,
                            [&] {
                              for (int token = 2; token < 6; ++token) {
                                for (int i = 0; i < 16; ++i) load_global(memory.query + token * kToken + i);
                              }
                              for (int token = 3; token < 11; ++token) {
                                copy_async_16(shared_memory() + static_cast<std::uint32_t>(token) * 16,
                                              memory.key + token * kToken, true);
                              }
                              copy_async_commit();
                              copy_async_wait<0>();
                              store_global(memory.out + 2 * kToken, std::uint16_t{1});
                              store_global(memory.partials + 16, 1.0F);
                              load_global(memory.partials + 16);
                            }),
            "");
}

TEST(GlobalFaults, OutsideOfEveryTensor) {
  SmallMemory memory;
  const std::uint16_t elsewhere = 0;
  EXPECT_EQ(fault_of_access(memory, [&] { load_global(&elsewhere); }),
            "load_global of 2 bytes is outside of every tensor");
  EXPECT_EQ(fault_of_access(memory, [&] { store_global(memory.out + 5 * kToken + 16, std::uint16_t{0}); }),
            "store_global of 2 bytes is outside of every tensor");
}

TEST(GlobalFaults, RowsOfOtherRequests) {
  SmallMemory memory;
  EXPECT_EQ(fault_of_access(memory, [&] { load_global(memory.query + kToken + 9); }),
            "load_global of 2 bytes is at query[token 1, head 1, element 1], which is not this request's");
  EXPECT_EQ(fault_of_access(memory, [&] { copy_async_16(shared_memory(), memory.key + 2 * kToken, true); }),
            "copy_async_16 of 16 bytes is at key[token 2, head 0, element 0], which is not this request's");
  EXPECT_EQ(fault_of_access(memory, [&] { store_global(memory.out, std::uint16_t{0}); }),
            "store_global of 2 bytes is at out[token 0, head 0, element 0], which is not this request's");
  EXPECT_EQ(fault_of_access(memory, [&] { store_global(memory.partials + 8, 0.0F); }),
            "store_global of 4 bytes is at partials[row 1, element 0], which is not this request's");
}

TEST(GlobalFaults, NoRequestEntered) {
  SmallMemory memory;
  EXPECT_EQ(fault_of(memory.global, {1, 32, 0}, [&] { load_global(memory.query); }),
            "block 0, warp 0, lane 0 (thread 0), no request: load_global of 2 bytes is at query[token 0, head 0, "
            "element 0], which is not this request's");
}

TEST(GlobalFaults, GapsBetweenTokens) {
  SmallMemory memory;
  EXPECT_EQ(fault_of_access(memory, [&] { load_global(memory.query + 2 * kToken + 16); }),
            "load_global of 2 bytes is not within a row of query: it begins at query[token 2, head 1, element 8]");
}

TEST(GlobalFaults, AccessAcrossRows) {
  SmallMemory memory;
  EXPECT_EQ(fault_of_access(memory,
                            [&] {
                              std::uint32_t pair = 0;
                              auto* const place = reinterpret_cast<std::byte*>(memory.out + 2 * kToken + 15) + 1;
                              std::memcpy(&pair, place, 1);
                              store_global(reinterpret_cast<std::uint32_t*>(memory.out + 2 * kToken + 14), pair);
                              store_global(reinterpret_cast<std::uint32_t*>(memory.out + 2 * kToken + 16), pair);
                            }),
            "store_global of 4 bytes is not within a row of out: it begins at out[token 2, head 1, element 8]");
}

TEST(GlobalFaults, WritesToInputsAndReadsOfOutputs) {
  SmallMemory memory;
  EXPECT_EQ(fault_of_access(memory, [&] { store_global(memory.key + 3 * kToken, std::uint16_t{0}); }),
            "store_global of 2 bytes is at key[token 3, head 0, element 0], which kernels must not write");
  EXPECT_EQ(fault_of_access(memory, [&] { load_global(memory.out + 2 * kToken); }),
            "load_global of 2 bytes is at out[token 2, head 0, element 0], which kernels must not read");
}

TEST(GlobalFaults, WrittenTwiceAndNever) {
  SmallMemory memory;
  EXPECT_EQ(fault_of_access(memory,
                            [&] {
                              store_global(memory.out + 2 * kToken + 3, std::uint16_t{0});
                              store_global(reinterpret_cast<std::uint32_t*>(memory.out + 2 * kToken + 2),
                                           std::uint32_t{0});
                            }),
            "store_global of 4 bytes is at out[token 2, head 0, element 2], which was written before");
  EXPECT_EQ(fault_of_access(memory, [&] { load_global(memory.partials + 17); }),
            "load_global of 4 bytes is at partials[row 2, element 1], which was never written");
  EXPECT_EQ(memory.global.first_unwritten(Role::kOut), "request 0: out[token 0, head 0, element 0] was never written");
}

TEST(GlobalFaults, NothingIsMissingWhenAllIsWritten) {
  SmallMemory memory;
  EXPECT_EQ(fault_of(memory.global, {1, 32, 0},
                     [&] {
                       for (int i = lane_index(); i < 6 * 16; i += 32) {
                         enter_item(7, i / 16 < 2 ? 0 : 1);
                         if (i != 93) store_global(memory.out + i / 16 * kToken + i % 16, std::uint16_t{0});
                       }
                     }),
            "");
  EXPECT_EQ(memory.global.first_unwritten(Role::kOut), "request 1: out[token 5, head 1, element 5] was never written");
}

TEST(GlobalFaults, Misaligned) {
  SmallMemory memory;
  EXPECT_EQ(fault_of_access(memory, [&] { copy_async_16(shared_memory(), memory.key + 3 * kToken + 4, true); }),
            "copy_async_16 has a global address 8 bytes past a multiple of 16");
  EXPECT_EQ(fault_of_access(memory, [&] { copy_async_16(shared_memory() + 4, memory.key + 3 * kToken, true); }),
            "copy_async_16 has a shared address 4 bytes past a multiple of 16");
  EXPECT_EQ(fault_of_access(memory, [&] { store_shared(shared_memory() + 24, {}); }),
            "store_shared has a shared address 8 bytes past a multiple of 16");
}

TEST(GlobalFaults, PagesOfOtherRequests) {
  alignas(16) std::uint16_t keys[4 * 2 * 8] = {};
  std::int32_t table[] = {3, 0, 1, 2};
  GlobalMemory memory({{0, 1, 0, 3}, {1, 1, 0, 2}});
  memory.add({Role::kKey, keys, 2, 8, {4, 16}, {2, 8}, {}});
  memory.add({Role::kBlockTable, table, 4, 1, {}, {2, 2}, {2, 1}});
  Tensors tensors;
  tensors.block_table = TensorView::dense(table, Dtype::kInt32, {2, 2});
  memory.set_page_numbers(tensors, 2, Mask::full());
  const auto fault_at = [&](std::int32_t request, int row) {
    return fault_of(memory, {1, 32, 0}, [&, request, row] {
      enter_item(7, request);
      load_global(keys + row * 8);
    });
  };
  const std::string who = "block 0, warp 0, lane 0 (thread 0), item 7, request ";
  EXPECT_EQ(fault_at(0, 6), "");
  EXPECT_EQ(fault_at(0, 7), "");
  EXPECT_EQ(fault_at(0, 0), "");
  EXPECT_EQ(fault_at(0, 1), who +
                                "0: load_global of 2 bytes is at key[page 0, slot 1, head 0, element 0], which is "
                                "not this request's");
  EXPECT_EQ(fault_at(1, 6), who +
                                "1: load_global of 2 bytes is at key[page 3, slot 0, head 0, element 0], which is "
                                "not this request's");
  EXPECT_EQ(fault_of(memory, {1, 32, 0},
                     [&] {
                       enter_item(7, 1);
                       load_global(table + 2);
                       load_global(table + 3);
                     }),
            who + "1: load_global of 4 bytes is at block_table[1, 1], which is not this request's");
}

TEST(GlobalFaults, PagesThatNoQuerySees) {
  // 6 keys in pages of 2 and one query that sees two of them: the last page's.
  alignas(16) std::uint16_t keys[4 * 2 * 8] = {};
  std::int64_t table[] = {-1, 1, 2};
  GlobalMemory memory({{0, 1, 0, 6}});
  memory.add({Role::kKey, keys, 2, 8, {4, 16}, {2, 8}, {}});
  memory.add({Role::kBlockTable, table, 4, 1, {}, {1, 6}, {3, 2}});  // as kernels read 64-bit entries
  Tensors tensors;
  tensors.block_table = TensorView::dense(table, Dtype::kInt64, {1, 3});
  memory.set_page_numbers(tensors, 2, Mask::causal_window(1));
  const auto fault_after = [&](const auto& access) {
    return fault_of(memory, {1, 32, 0}, [&] {
      enter_item(7, 0);
      access();
    });
  };
  const std::string who = "block 0, warp 0, lane 0 (thread 0), item 7, request 0: load_global of ";
  const auto* const halves = reinterpret_cast<const std::int32_t*>(table);
  EXPECT_EQ(fault_after([&] { load_global(halves + 4); }), "");
  EXPECT_EQ(fault_after([&] { load_global(keys + 2 * 16); }), "");
  EXPECT_EQ(fault_after([&] { load_global(halves + 2); }),
            who + "4 bytes is at block_table[0, 1], which is not this request's");
  EXPECT_EQ(fault_after([&] { load_global(keys + 16); }),
            who + "2 bytes is at key[page 1, slot 0, head 0, element 0], which is not this request's");
}

/// Two requests of 3 and 2 keys, in pages of 2: one uses pages 3 and 0, the other page 1.
class PageNumberFaults : public testing::Test {
 protected:
  PageNumberFaults() : memory_({{0, 1, 0, 3}, {1, 1, 0, 2}}) {
    memory_.add({Role::kKey, keys_, 2, 8, {4, 16}, {2, 8}, {}});
  }
  std::string fault_of_load(std::int32_t request, const void* address) {
    return fault_of(memory_, {1, 32, 0}, [&] {
      enter_item(7, request);
      load_global(static_cast<const std::int32_t*>(address));
    });
  }

  alignas(16) std::uint16_t keys_[4 * 2 * 8] = {};
  GlobalMemory memory_;
  const std::string who_ = "block 0, warp 0, lane 0 (thread 0), item 7, request ";
};

TEST_F(PageNumberFaults, RowsOfABlockTable) {
  std::int32_t table[] = {9, 9, 1, 9, 3, 0};
  std::int32_t rows[] = {2, 1};
  Tensors tensors;
  tensors.block_table = TensorView::dense(table, Dtype::kInt32, {3, 2});
  tensors.block_table_rows = TensorView::dense(rows, Dtype::kInt32, {2});
  memory_.add({Role::kBlockTable, table, 4, 1, {}, {3, 2}, {2, 1}});
  memory_.add({Role::kBlockTableRows, rows, 4, 1, {}, {2, 1}, {}});
  memory_.set_page_numbers(tensors, 2, Mask::full());
  EXPECT_EQ(fault_of_load(0, table + 4), "");
  EXPECT_EQ(fault_of_load(0, table + 5), "");
  EXPECT_EQ(fault_of_load(1, table + 2), "");
  EXPECT_EQ(fault_of_load(0, rows + 1), "");
  EXPECT_EQ(fault_of_load(0, table + 2),
            who_ + "0: load_global of 4 bytes is at block_table[1, 0], which is not this request's");
  EXPECT_EQ(fault_of_load(1, table + 3),
            who_ + "1: load_global of 4 bytes is at block_table[1, 1], which is not this request's");
  EXPECT_EQ(fault_of_load(0, keys_ + 6 * 8), "");
  EXPECT_EQ(fault_of_load(1, rows + 2), who_ + "1: load_global of 4 bytes is outside of every tensor");
}

TEST_F(PageNumberFaults, PageIndices) {
  std::int32_t indices[] = {9, 3, 0, 9, 1};
  std::int32_t indptr[] = {1, 4, 5};
  Tensors tensors;
  tensors.page_indices = TensorView::dense(indices, Dtype::kInt32, {5});
  tensors.page_indptr = TensorView::dense(indptr, Dtype::kInt32, {3});
  memory_.add({Role::kPageIndices, indices, 4, 1, {}, {5, 1}, {}});
  memory_.add({Role::kPageIndptr, indptr, 4, 1, {}, {3, 1}, {}});
  memory_.set_page_numbers(tensors, 2, Mask::full());
  EXPECT_EQ(fault_of_load(0, indices + 1), "");
  EXPECT_EQ(fault_of_load(0, indices + 2), "");
  EXPECT_EQ(fault_of_load(1, indices + 4), "");
  EXPECT_EQ(fault_of_load(0, indptr + 2), "");
  for (const int place : {0, 3, 4}) {
    EXPECT_EQ(fault_of_load(0, indices + place), who_ + "0: load_global of 4 bytes is at page_indices[" +
                                                     std::to_string(place) + "], which is not this request's");
  }
}

TEST(GlobalFaults, RowsThatShareMemoryAreEverybodys) {
  alignas(16) std::uint16_t keys[4 * 8] = {};
  GlobalMemory memory({{0, 1, 0, 2}, {1, 1, 2, 2}});
  memory.add({Role::kKey, keys, 2, 8, {}, {4, 4}, {}});  // each row begins in the middle of the one before it
  const auto fault_at = [&](int element) {
    return fault_of(memory, {1, 32, 0}, [&, element] {
      enter_item(7, 1);
      load_global(keys + element);
    });
  };
  EXPECT_EQ(fault_at(0), "");
  EXPECT_EQ(fault_at(19), "");
  EXPECT_EQ(fault_at(20),
            "block 0, warp 0, lane 0 (thread 0), item 7, request 1: load_global of 2 bytes is outside of every tensor");
}

TEST(GlobalFaults, ExpandedHeadsStayTheirRequests) {
  alignas(16) std::uint16_t keys[4 * 8] = {};
  GlobalMemory memory({{0, 1, 0, 2}, {1, 1, 2, 2}});
  memory.add({Role::kKey, keys, 2, 8, {}, {4, 8}, {3, 0}});
  EXPECT_EQ(fault_of(memory, {1, 32, 0},
                     [&] {
                       enter_item(7, 1);
                       load_global(keys + 16);
                       load_global(keys + 15);
                     }),
            "block 0, warp 0, lane 0 (thread 0), item 7, request 1: load_global of 2 bytes is at key[token 1, head 0, "
            "element 7], which is not this request's");
}

TEST(GlobalFaults, InterleavedTensorsAreToldApart) {
  alignas(16) std::uint16_t packed[4 * 16] = {};
  GlobalMemory memory({{0, 4, 0, 4}});
  memory.add({Role::kQuery, packed, 2, 8, {}, {4, 16}, {}});
  memory.add({Role::kKey, packed + 8, 2, 8, {}, {4, 16}, {}});
  EXPECT_EQ(fault_of(memory, {1, 32, 0},
                     [&] {
                       enter_item(7, 0);
                       for (int i = 0; i < 64; ++i) load_global(packed + i);
                     }),
            "");
}

TEST(SharedFaults, OutsideOfTheBlock) {
  EXPECT_EQ(fault_of({1, 32, 512}, [] { store_shared(shared_memory() + 512, {}); }),
            "block 0, warp 0, lane 0 (thread 0), no request: store_shared is at shared byte 512, of which the block "
            "has 512");
  EXPECT_EQ(fault_of({1, 32, 512},
                     [] {
                       const auto lane = static_cast<std::uint32_t>(lane_index());
                       store_shared(shared_memory() + lane * 16, {});
                       sync_block();
                       std::uint32_t matrix[4];
                       load_matrices(matrix, shared_memory() + (lane == 9 ? 0xFFFFFFF0U : lane * 16));
                     }),
            "block 0, warp 0, lane 9 (thread 9), no request: load_matrices is at shared byte 4294967280, of which the "
            "block has 512");
}

TEST(SharedFaults, NeverWritten) {
  EXPECT_EQ(fault_of({2, 32, 512},
                     [] {
                       const auto lane = static_cast<std::uint32_t>(lane_index());
                       if (lane != 17 || block_index() == 0) store_shared(shared_memory() + lane * 16, {});
                       sync_block();
                       std::uint32_t matrix[4];
                       load_matrices_transposed(matrix, shared_memory() + lane * 16);
                     }),
            "block 1, warp 0, lane 17 (thread 17), no request: load_matrices_transposed reads shared byte 272, "
            "which was never written");
}

TEST(SharedFaults, MisalignedRow) {
  EXPECT_EQ(fault_of({1, 32, 512},
                     [] {
                       std::uint32_t matrix[4];
                       load_matrices(matrix, shared_memory() + 2);
                     }),
            "block 0, warp 0, lane 0 (thread 0), no request: load_matrices has a shared address 2 bytes past a "
            "multiple of 16");
}

TEST(SharedFaults, CopyInFlight) {
  SmallMemory memory;
  const auto kernel = [&](bool wait, bool commit) {
    return fault_of(memory.global, {1, 32, 512}, [&, wait, commit] {
      enter_item(7, 1);
      const auto lane = static_cast<std::uint32_t>(lane_index());
      copy_async_16(shared_memory() + lane * 16, memory.key + 3 * kToken, true);
      if (commit) copy_async_commit();
      if (wait) copy_async_wait<0>();
      sync_block();
      std::uint32_t matrix[4];
      load_matrices(matrix, shared_memory() + lane * 16);
    });
  };
  const std::string in_flight =
      "block 0, warp 0, lane 0 (thread 0), item 7, request 1: load_matrices reads shared byte 0, to "
      "which a copy of thread 0 is in flight";
  EXPECT_EQ(kernel(true, true), "");
  EXPECT_EQ(kernel(false, true), in_flight);
  EXPECT_EQ(kernel(true, false), in_flight);
}

}  // namespace
}  // namespace varlen::gpu::emulator::test
