#include "check/adapt.hpp"

#include <algorithm>

namespace varlen::check {

bool rounds_weights(Backend backend) { return backend == Backend::kCuda || backend == Backend::kEmulator; }

Case adapted(Case test, Backend backend) {
  if (!rounds_weights(backend)) return test;
  constexpr std::int32_t kLargestHeadDim = 256;
  if (test.input_dtype == Dtype::kFloat32) test.input_dtype = Dtype::kBFloat16;
  if (dtype_size(test.input_dtype) == 1) test.input_dtype = Dtype::kFloat16;
  test.fp8_scales = false;
  test.head_dim_qk = std::min(test.head_dim_qk, kLargestHeadDim);
  test.head_dim_vo = std::min(test.head_dim_vo, kLargestHeadDim);
  return test;
}

}  // namespace varlen::check
