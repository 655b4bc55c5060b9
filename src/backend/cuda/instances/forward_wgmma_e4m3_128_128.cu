#include "backend/cuda/forward_instance.cuh"

namespace varlen::cuda {

template Kernel forward_wgmma_instance<Dtype::kFloat8E4M3, 128, 128>();

}  // namespace varlen::cuda
