// For Hopper: compiled for sm_90a, which has all operations.
// clang-format off
#include "gpu/ptx/block_operations.hpp"  // before the kernels that call what it defines
// clang-format on
#include "fidelity/cuda_kernels.hpp"
#include "fidelity/micro_kernels.hpp"
#include "fidelity/number_functions.hpp"

namespace varlen::fidelity {
namespace {

template <class Kernel>
__global__ void __launch_bounds__(128) micro_kernel(const __grid_constant__ MicroParameters parameters) {
  Kernel::run(parameters);
}

using Entry = void (*)(MicroParameters);
#define VARLEN_ENTRY(name) micro_kernel<name>,
const Entry kEntries[] = {VARLEN_MICRO_KERNELS(VARLEN_ENTRY)};
#undef VARLEN_ENTRY

template <NumberFunction kFunction>
__global__ void evaluate_kernel(std::uint32_t first, std::uint32_t step, std::uint32_t count, std::uint32_t* results) {
  for (std::uint32_t i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) {
    results[i] = result_of<kFunction>(first + i * step);
  }
}
using Evaluation = void (*)(std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t*);
const Evaluation kEvaluations[kNumberFunctions] = {
    evaluate_kernel<NumberFunction::kPackFp16>,     evaluate_kernel<NumberFunction::kPackBf16>,
    evaluate_kernel<NumberFunction::kWidenE4M3Low>, evaluate_kernel<NumberFunction::kWidenE4M3High>,
    evaluate_kernel<NumberFunction::kExp2>,         evaluate_kernel<NumberFunction::kReciprocal>,
    evaluate_kernel<NumberFunction::kLog>};

}  // namespace

cudaError_t launch(const Experiment& experiment, const MicroParameters& parameters) {
  const Entry entry = kEntries[static_cast<int>(experiment.kernel)];
  const cudaError_t status =
      cudaFuncSetAttribute(entry, cudaFuncAttributeMaxDynamicSharedMemorySize, experiment.shared_bytes);
  if (status != cudaSuccess) return status;
  entry<<<experiment.blocks, experiment.threads, experiment.shared_bytes>>>(parameters);
  return cudaGetLastError();
}

cudaError_t launch(NumberFunction function, std::uint32_t first, std::uint32_t step, std::uint32_t count,
                   std::uint32_t* results) {
  kEvaluations[static_cast<int>(function)]<<<2048, 256>>>(first, step, count, results);
  return cudaGetLastError();
}

}  // namespace varlen::fidelity
