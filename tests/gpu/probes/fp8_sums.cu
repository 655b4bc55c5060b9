// How exactly Hopper's tensor cores sum products of e4m3: what attention's scores would lose if forward_wgmma
// multiplied fp8 as it is. Prints the errors of sums of 128 products, as four wgmmas of depth 32 make them, beside
// those of the same numbers as fp16 by mma.sync.
//
//     nvcc -std=c++20 -gencode arch=compute_90a,code=sm_90a -o fp8_sums tests/gpu/probes/fp8_sums.cu && ./fp8_sums
//
// docs/decisions/0011-fp8-on-gpus.md has what came out.
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

namespace {

constexpr int kRows = 64;
constexpr int kColumns = 8;
constexpr int kDepth = 128;

/// One warpgroup. a [kRows, kDepth] and b [kColumns, kDepth] to sums [kRows, kColumns]. In shared memory rows of 128
/// bytes, 16-byte chunk c of row r at place c ^ (r % 8). (PTX ISA: wgmma.mma_async, m64n8k32; 128-byte swizzle.)
__global__ void sums_of_e4m3(const std::uint8_t* a, const std::uint8_t* b, float* sums) {
  __shared__ alignas(1024) std::uint8_t shared[(kRows + kColumns) * kDepth];
  for (int i = threadIdx.x; i < (kRows + kColumns) * kDepth; i += 128) {
    const int row = i / kDepth;
    const int byte = i % kDepth;
    const int place = row * kDepth + ((byte / 16) ^ (row % 8)) * 16 + byte % 16;
    shared[place] = row < kRows ? a[i] : b[i - kRows * kDepth];
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  const auto start = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  const auto descriptor = [](std::uint32_t address) {
    return static_cast<std::uint64_t>((address & 0x3FFFFU) >> 4) | std::uint64_t{1} << 16 | std::uint64_t{64} << 32 |
           std::uint64_t{1} << 62;
  };
  float d[4] = {};
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
  for (int depth = 0; depth < kDepth; depth += 32) {
    asm volatile(
        "{ .reg .pred add; setp.ne.b32 add, %6, 0; wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3 "
        "{%0, %1, %2, %3}, %4, %5, add, 1, 1; }"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "l"(descriptor(start + depth)), "l"(descriptor(start + kRows * kDepth + depth)), "r"(depth));
  }
  asm volatile("wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0;" ::: "memory");
  const int lane = threadIdx.x % 32;
  for (int i = 0; i < 4; ++i) {
    const int row = threadIdx.x / 32 * 16 + lane / 4 + i / 2 * 8;
    sums[row * kColumns + lane % 4 * 2 + i % 2] = d[i];
  }
}

/// The same by four warps, mma.m16n8k16 of fp16.
__global__ void sums_of_fp16(const __half* a, const __half* b, float* sums) {
  const int lane = threadIdx.x % 32;
  const int first_row = threadIdx.x / 32 * 16 + lane / 4;
  const auto pair = [](const __half* from) { return *reinterpret_cast<const std::uint32_t*>(from); };
  float d[4] = {};
  for (int depth = 0; depth < kDepth; depth += 16) {
    const int column = depth + lane % 4 * 2;
    std::uint32_t left[4];
    for (int i = 0; i < 4; ++i) left[i] = pair(a + (first_row + i % 2 * 8) * kDepth + column + i / 2 * 8);
    const __half* const right = b + lane / 4 * kDepth + column;
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(pair(right)), "r"(pair(right + 8)));
  }
  for (int i = 0; i < 4; ++i) sums[(first_row + i / 2 * 8) * kColumns + lane % 4 * 2 + i % 2] = d[i];
}

void check(cudaError_t status) {
  if (status == cudaSuccess) return;
  std::printf("%s\n", cudaGetErrorString(status));
  std::exit(1);
}

template <class T>
T* on_device(const std::vector<T>& values) {
  void* data = nullptr;
  check(cudaMalloc(&data, values.size() * sizeof(T)));
  check(cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  return static_cast<T*>(data);
}

struct Errors {
  double worst_of_magnitudes = 0;  // error / Σ |ab|
  double worst_of_score = 0;       // error of the score / (1e-5 · max(1, |score|)), what the contract allows an LSE
  double sum_of_squares = 0;       // of the latter
  long count = 0;

  void add(double computed, double exact, double magnitude) {
    const double scale = 1 / std::sqrt(kDepth);
    const double score = std::abs(computed - exact) * scale / (1e-5 * std::max(1.0, std::abs(exact) * scale));
    worst_of_magnitudes = std::max(worst_of_magnitudes, std::abs(computed - exact) / magnitude);
    worst_of_score = std::max(worst_of_score, score);
    sum_of_squares += score * score;
    ++count;
  }
  void print(const char* name) const {
    std::printf(
        "%-22s error / sum of magnitudes at worst 2^%.1f; of what an LSE is allowed: %.2f times at worst, %.3f "
        "root mean square\n",
        name, std::log2(worst_of_magnitudes), worst_of_score, std::sqrt(sum_of_squares / count));
  }
};

}  // namespace

int main() {
  std::mt19937_64 random(1);
  std::normal_distribution<float> normal;
  Errors e4m3;
  Errors fp16;
  for (int round = 0; round < 500; ++round) {
    std::vector<std::uint8_t> a(kRows * kDepth);
    std::vector<std::uint8_t> b(kColumns * kDepth);
    std::vector<__half> wide_a;
    std::vector<__half> wide_b;
    for (auto* narrow : {&a, &b}) {
      for (std::uint8_t& bits : *narrow) {
        bits = __nv_cvt_float_to_fp8(normal(random), __NV_SATFINITE, __NV_E4M3);
        (narrow == &a ? wide_a : wide_b).emplace_back(__nv_cvt_fp8_to_halfraw(bits, __NV_E4M3));
      }
    }
    std::vector<float> sums(kRows * kColumns);
    float* const on_gpu = on_device(sums);
    std::uint8_t* const narrow[] = {on_device(a), on_device(b)};
    __half* const wide[] = {on_device(wide_a), on_device(wide_b)};
    for (const bool as_fp16 : {false, true}) {
      if (as_fp16) {
        sums_of_fp16<<<1, 128>>>(wide[0], wide[1], on_gpu);
      } else {
        sums_of_e4m3<<<1, 128>>>(narrow[0], narrow[1], on_gpu);
      }
      check(cudaMemcpy(sums.data(), on_gpu, sums.size() * sizeof(float), cudaMemcpyDeviceToHost));
      for (int i = 0; i < kRows * kColumns; ++i) {
        double exact = 0;
        double magnitude = 0;
        for (int k = 0; k < kDepth; ++k) {
          const double product = static_cast<double>(__half2float(wide_a[i / kColumns * kDepth + k])) *
                                 static_cast<double>(__half2float(wide_b[i % kColumns * kDepth + k]));
          exact += product;
          magnitude += std::abs(product);
        }
        (as_fp16 ? fp16 : e4m3).add(sums[i], exact, magnitude);
      }
    }
    for (void* data : {static_cast<void*>(on_gpu), static_cast<void*>(narrow[0]), static_cast<void*>(narrow[1]),
                       static_cast<void*>(wide[0]), static_cast<void*>(wide[1])}) {
      check(cudaFree(data));
    }
  }
  std::printf("%ld sums of 128 products of normal numbers, rounded to e4m3\n", e4m3.count);
  e4m3.print("wgmma, e4m3");
  fp16.print("mma.sync, fp16");
}
