#include "backend/cuda/forward_instance.cuh"

namespace varlen::cuda {

template Kernel forward_tcgen05_instance<Dtype::kBFloat16, 192, 128>();

}  // namespace varlen::cuda
