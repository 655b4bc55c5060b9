#include "backend/cuda/forward_instance.cuh"

namespace varlen::cuda {

template Kernel forward_wgmma_instance<Dtype::kBFloat16, 256, 256>();

}  // namespace varlen::cuda
