// Whether e4m3 becomes fp16 by hand (gpu/ptx/operations.hpp, for GPUs that have no instruction for it: sm_80 to sm_86)
// as the definition says: all pairs of two, in both places. Compiled to PTX of compute_80, which newer GPUs run as
// well.
//
//     nvcc -std=c++20 --expt-relaxed-constexpr -Isrc -Iinclude -gencode arch=compute_80,code=compute_80
//       -o widen_e4m3 tests/gpu/probes/widen_e4m3.cu

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "gpu/ptx/operations.hpp"

namespace {

constexpr int kPairs = 1 << 16;

__global__ void widen(std::uint32_t* low, std::uint32_t* high) {
  const std::uint32_t pair = blockIdx.x * blockDim.x + threadIdx.x;
  varlen::gpu::widen_e4m3(pair | (pair ^ 0xFFFFU) << 16, low[pair], high[pair]);
}

double number_of_e4m3(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 3 & 15U);
  const double mantissa = bits & 7U;
  if ((bits & 0x7FU) == 0x7FU) return NAN;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return (bits & 0x80U) != 0 ? -magnitude : magnitude;
}

double number_of_fp16(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 10 & 31U);
  const double mantissa = bits & 1023U;
  if (exponent == 31) return mantissa == 0 ? INFINITY : NAN;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (bits & 0x8000U) != 0 ? -magnitude : magnitude;
}

bool is_right(std::uint32_t halves, std::uint32_t bytes) {
  for (int i = 0; i < 2; ++i) {
    const double wanted = number_of_e4m3(bytes >> 8 * i & 0xFFU);
    const double got = number_of_fp16(halves >> 16 * i & 0xFFFFU);
    if (!(got == wanted && std::signbit(got) == std::signbit(wanted)) && !(std::isnan(got) && std::isnan(wanted))) {
      return false;
    }
  }
  return true;
}

void check(cudaError_t status) {
  if (status == cudaSuccess) return;
  std::printf("%s\n", cudaGetErrorString(status));
  std::exit(1);
}

}  // namespace

int main() {
  std::uint32_t* results = nullptr;
  check(cudaMallocManaged(&results, 2 * kPairs * sizeof(std::uint32_t)));
  widen<<<kPairs / 256, 256>>>(results, results + kPairs);
  check(cudaDeviceSynchronize());
  int wrong = 0;
  for (std::uint32_t pair = 0; pair < kPairs; ++pair) {
    wrong += is_right(results[pair], pair) && is_right(results[kPairs + pair], pair ^ 0xFFFFU) ? 0 : 1;
  }
  check(cudaFree(results));
  std::printf("%d pairs of e4m3, %d wrong\n", kPairs, wrong);
  return wrong == 0 ? 0 : 1;
}
