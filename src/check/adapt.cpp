#include "check/adapt.hpp"

#include <algorithm>

namespace varlen::check {

bool rounds_weights(Backend backend) { return backend == Backend::kCuda || backend == Backend::kEmulator; }

void adapt_to(Backend backend, std::vector<EdgeCase>& edges) {
  if (backend != Backend::kEmulator) return;
  constexpr std::int64_t kManyItems = 10'000;
  constexpr std::int32_t kFewHeads = 8;
  for (EdgeCase& edge : edges) {
    Case& test = edge.test;
    const auto requests = static_cast<std::int64_t>(test.query_lengths.size());
    if (requests * test.query_heads <= kManyItems) continue;
    if (test.kv_heads > kFewHeads) {
      test.query_heads = kFewHeads * (test.query_heads / test.kv_heads);
      test.kv_heads = kFewHeads;
    }
    std::erase_if(edge.targets, [](const PlanTarget& target) { return target.name != "h100"; });
  }
}

Case adapted(Case test, Backend backend) {
  if (!rounds_weights(backend)) return test;
  if (test.input_dtype == Dtype::kFloat32) test.input_dtype = Dtype::kBFloat16;
  if (test.input_dtype == Dtype::kFloat8E5M2) {
    test.input_dtype = Dtype::kFloat16;
    test.fp8_scales = false;
  }
  constexpr std::int32_t kLargestHeadDimVo = 512;
  test.head_dim_vo = std::min(test.head_dim_vo, kLargestHeadDimVo);
  // Memory of a device is there as a whole, also what nobody touches: beyond 2^31 elements, not beyond 2^31 tokens.
  constexpr std::int64_t kLargestGap = (std::int64_t{1} << 28) + 7;
  if (backend == Backend::kCuda) test.layout.first_gap = std::min(test.layout.first_gap, kLargestGap);
  return test;
}

}  // namespace varlen::check
