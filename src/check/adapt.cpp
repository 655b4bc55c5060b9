#include "check/adapt.hpp"

#include <algorithm>

namespace varlen::check {

bool rounds_weights(Backend backend) { return backend == Backend::kCuda || backend == Backend::kEmulator; }

Case adapted(Case test, Backend backend) {
  if (!rounds_weights(backend)) return test;
  if (test.input_dtype == Dtype::kFloat32) test.input_dtype = Dtype::kBFloat16;
  if (dtype_size(test.input_dtype) == 1) test.input_dtype = Dtype::kFloat16;
  test.fp8_scales = false;
  constexpr std::int32_t kLargestHeadDimVo = 512;
  test.head_dim_vo = std::min(test.head_dim_vo, kLargestHeadDimVo);
  return test;
}

}  // namespace varlen::check
