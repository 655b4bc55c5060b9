#include "varlen/tensor.hpp"

#include <algorithm>

#include "batch/refuse.hpp"

namespace varlen {

// Numbers from the C ABI may name no dtype at all: size 0.
std::int64_t dtype_size(Dtype dtype) noexcept {
  switch (dtype) {
    case Dtype::kInt64:
      return 8;
    case Dtype::kFloat32:
    case Dtype::kInt32:
      return 4;
    case Dtype::kFloat16:
    case Dtype::kBFloat16:
      return 2;
    case Dtype::kFloat8E4M3:
    case Dtype::kFloat8E5M2:
      return 1;
  }
  return 0;
}

const char* dtype_name(Dtype dtype) noexcept {
  switch (dtype) {
    case Dtype::kFloat32:
      return "fp32";
    case Dtype::kFloat16:
      return "fp16";
    case Dtype::kBFloat16:
      return "bf16";
    case Dtype::kFloat8E4M3:
      return "fp8_e4m3";
    case Dtype::kFloat8E5M2:
      return "fp8_e5m2";
    case Dtype::kInt32:
      return "int32";
    case Dtype::kInt64:
      return "int64";
  }
  return "unknown";
}

TensorView TensorView::strided(const void* data, Dtype dtype, std::initializer_list<std::int64_t> shape,
                               std::initializer_list<std::int64_t> strides) {
  if (shape.size() > kMaxRank) {
    refuse("rank", Error::kNoIndex, shape.size(), "must be at most {}", kMaxRank);
  }
  if (strides.size() != shape.size()) {
    refuse("strides", Error::kNoIndex, strides.size(), "elements: as many as the {} dimensions are needed",
           shape.size());
  }
  TensorView view;
  view.data = const_cast<void*>(data);  // of an input, which is never written
  view.dtype = dtype;
  view.rank = static_cast<std::int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), view.shape.begin());
  std::copy(strides.begin(), strides.end(), view.strides.begin());
  return view;
}

TensorView TensorView::dense(const void* data, Dtype dtype, std::initializer_list<std::int64_t> shape) {
  if (shape.size() > kMaxRank) {
    refuse("rank", Error::kNoIndex, shape.size(), "must be at most {}", kMaxRank);
  }
  TensorView view;
  view.data = const_cast<void*>(data);  // of an input, which is never written
  view.dtype = dtype;
  view.rank = static_cast<std::int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), view.shape.begin());
  std::int64_t stride = 1;
  for (int dimension = view.rank - 1; dimension >= 0; --dimension) {
    const auto d = static_cast<std::size_t>(dimension);
    view.strides[d] = stride;
    // A product beyond 64 bits belongs to a shape that validation refuses; a zero leaves outer strides meaningful.
    if (__builtin_mul_overflow(stride, std::max<std::int64_t>(view.shape[d], 1), &stride)) stride = INT64_MAX;
  }
  return view;
}

}  // namespace varlen
