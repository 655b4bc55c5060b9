#include "backend/cuda/forward_instance.cuh"

namespace varlen::cuda {

template Kernel forward_mma_instance<Dtype::kFloat8E4M3, 256, 256>();

}  // namespace varlen::cuda
