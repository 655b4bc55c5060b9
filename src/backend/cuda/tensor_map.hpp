// Tensor maps as the driver makes them.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>
#include <cuda_runtime_api.h>

#include <algorithm>

#include "backend/cuda/runtime.hpp"
#include "gpu/tensor_box.hpp"

namespace varlen::cuda {

/// The driver's function that makes tensor maps: asked for at run time, so that the library loads without a driver.
inline PFN_cuTensorMapEncodeTiled_v12000 tensor_map_encoder() {
  static const auto kEncoder = [] {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult result{};
    check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &result),
          "asking the driver for cuTensorMapEncodeTiled");
    return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(result == cudaDriverEntryPointSuccess ? function
                                                                                                     : nullptr);
  }();
  return kEncoder;
}

/// False if the driver has no tensor maps or refuses this one.
inline bool encode_tensor_map(const gpu::TensorBox& box, gpu::TensorMap& map) {
  static_assert(sizeof(CUtensorMap) == sizeof(gpu::TensorMap));
  const auto encode = tensor_map_encoder();
  if (encode == nullptr) return false;
  constexpr int kRank = gpu::kBoxRank;
  cuuint64_t sizes[kRank];
  cuuint64_t strides[kRank - 1];
  cuuint32_t extents[kRank];
  cuuint32_t steps[kRank];
  std::copy_n(box.sizes, kRank, sizes);
  std::copy_n(box.strides, kRank - 1, strides);
  std::copy_n(box.box, kRank, extents);
  std::fill_n(steps, kRank, 1);
  return encode(reinterpret_cast<CUtensorMap*>(&map), CU_TENSOR_MAP_DATA_TYPE_UINT16, kRank,
                reinterpret_cast<void*>(box.base), sizes, strides, extents, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

}  // namespace varlen::cuda
