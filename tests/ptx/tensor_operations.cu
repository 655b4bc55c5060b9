// Every operation of gpu/ptx/tensor_operations.hpp in every size and for every type of element. Compiled, never run:
// scripts/check-tensor-operations counts what is in the machine code.
#include <cstdint>

#include "gpu/ptx/tensor_operations.hpp"

namespace tensor_operations {

using namespace varlen::gpu;

/// Allocation as a kernel does it, by the first warp.
__global__ void allocate(int columns, std::uint32_t* out) {
  const SharedAddress to = shared_memory();
  if (warp_index() == 0) {
    allocate_tensor_memory(to, columns);
    give_up_tensor_allocation();
  }
  fence_tensor_before_sync();
  sync_block();
  fence_tensor_after_sync();
  const TensorAddress address = load_tensor_address(to);
  out[thread_index()] = address.bits;
  sync_block();
  if (warp_index() == 0) free_tensor_memory(address, columns);
}

/// What is loaded is used at once after the wait, and the address of its use is known before: nothing but the wait
/// keeps the compiler from using it sooner.
template <int kColumns>
__device__ void scale(TensorAddress address, float factor) {
  const TensorAddress own = at_lane(address, warp_index() % 4 * kWarpThreads);
  TensorWords<kColumns> words;
  load_tensor(words, own);
  wait_tensor_loads(words);
  VARLEN_UNROLL
  for (int column = 0; column < kColumns; ++column) {
    words[column] = float_as_word(word_as_float(words[column]) * factor);
  }
  store_tensor(own, words);
  wait_tensor_stores();
}
__global__ void scale_16(TensorAddress address, float factor) { scale<16>(address, factor); }
__global__ void scale_32(TensorAddress address, float factor) { scale<32>(address, factor); }
__global__ void scale_64(TensorAddress address, float factor) { scale<64>(address, factor); }
__global__ void scale_128(TensorAddress address, float factor) { scale<128>(address, factor); }

/// Two loads in flight at one wait.
__global__ void add_two(TensorAddress address, float* out) {
  TensorWords<64> left;
  TensorWords<32> right;
  load_tensor(left, address);
  load_tensor(right, address + 64);
  wait_tensor_loads(left, right);
  float sum = 0;
  VARLEN_UNROLL
  for (int column = 0; column < 32; ++column) {
    sum += word_as_float(left[column]) * word_as_float(right[column]) + word_as_float(left[column + 32]);
  }
  out[thread_index()] = sum;
}

/// The next words are loaded while those before are used.
__global__ void sum_columns(TensorAddress address, int blocks, float* out) {
  TensorWords<32> words;
  load_tensor(words, address);
  wait_tensor_loads(words);
  float sum = 0;
  VARLEN_UNROLL_BY(1)
  for (int block = 1; block <= blocks; ++block) {
    TensorWords<32> next;
    load_tensor(next, address + static_cast<std::uint32_t>(block % 16) * 32);
    VARLEN_UNROLL
    for (int column = 0; column < 32; ++column) sum += word_as_float(words[column]);
    wait_tensor_loads(next);
    words = next;
  }
  out[thread_index()] = sum + word_as_float(words[0]);
}

/// Tensor memory is given to others as soon as the words are there; they are used afterwards.
__global__ void hand_over(TensorAddress address, float* out) {
  TensorWords<32> words;
  load_tensor(words, address);
  wait_tensor_loads(words);
  fence_tensor_before_sync();
  arrive(shared_memory());
  float sum = 0;
  VARLEN_UNROLL
  for (int column = 0; column < 32; ++column) sum += word_as_float(words[column]);
  out[thread_index()] = sum;
}

/// Scores and results of 128 rows: both operands in shared memory, then the left one in tensor memory.
template <class Element>
__device__ void multiply(TensorAddress address, int blocks) {
  const SharedAddress memory = shared_memory();
  constexpr std::uint32_t kPanelBytes = 128 * 128;
  const TensorMatrix queries = tensor_matrix(memory + 1024, kPanelBytes, 1024);
  const TensorMatrix keys = tensor_matrix(memory + 1024 + kPanelBytes, kPanelBytes, 1024);
  if (thread_index() == 0) init_barrier(memory, 1);
  fence_barriers();
  sync_block();
  if (warp_index() == 0 && elect_one()) {
    VARLEN_UNROLL_BY(1)
    for (int block = 0; block < blocks; ++block) {
      VARLEN_UNROLL
      for (std::uint32_t step = 0; step < 4; ++step) {
        tensor_multiply<Element>(address, queries + 32 * step, keys + 32 * step, product_shape<Element>(128, false),
                                 step > 0);
      }
      VARLEN_UNROLL
      for (std::uint32_t step = 0; step < 4; ++step) {
        tensor_multiply<Element>(address + 128, address + 8 * step,
                                 keys + static_cast<std::uint32_t>(kProductDepth<Element>) * 128 * step,
                                 product_shape<Element>(64, true), block + step > 0);
      }
    }
    commit_tensor_products(memory);
  }
  wait_for(memory, 0);
  fence_tensor_after_sync();
}
__global__ void multiply_fp16(TensorAddress address, int blocks) { multiply<Float16>(address, blocks); }
__global__ void multiply_bf16(TensorAddress address, int blocks) { multiply<BFloat16>(address, blocks); }
__global__ void multiply_e4m3(TensorAddress address, int blocks) { multiply<Float8E4M3>(address, blocks); }

}  // namespace tensor_operations
