#include "backend/cuda/forward_instance.cuh"

namespace varlen::cuda {

template Kernel forward_mma_instance<Dtype::kBFloat16, 576, 512>();

}  // namespace varlen::cuda
