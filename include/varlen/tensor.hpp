// TensorView: where a tensor lies and how it is laid out. Owns nothing.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

#include "varlen/export.hpp"

namespace varlen {

/// Stable numbers: the C ABI uses them.
enum class Dtype : std::int32_t {
  kFloat32 = 0,
  kFloat16 = 1,
  kBFloat16 = 2,
  kFloat8E4M3 = 3,  ///< OCP E4M3 ("fn": no infinities, NaN = S.1111.111)
  kFloat8E5M2 = 4,  ///< OCP E5M2 (IEEE-like, with infinities)
  kInt32 = 5,       ///< page numbers only
  kInt64 = 6,       ///< page numbers only
};

/// Bytes of one element.
VARLEN_API std::int64_t dtype_size(Dtype dtype) noexcept;
/// "fp32", "fp16", "bf16", "fp8_e4m3", "fp8_e5m2", "int32", "int64".
VARLEN_API const char* dtype_name(Dtype dtype) noexcept;

enum class DeviceKind : std::int32_t { kCpu = 0, kCuda = 1 };

/// A strided view of up to four dimensions. Strides count elements, not bytes. A null `data` means "absent".
struct TensorView {
  static constexpr int kMaxRank = 4;

  void* data = nullptr;
  Dtype dtype = Dtype::kFloat32;
  std::int32_t rank = 0;
  std::array<std::int64_t, kMaxRank> shape{};
  std::array<std::int64_t, kMaxRank> strides{};
  DeviceKind device = DeviceKind::kCpu;
  std::int32_t device_index = 0;

  bool present() const noexcept { return data != nullptr; }

  /// A dense row-major view of `shape`. Data that is const may be an input: inputs are never written.
  static VARLEN_API TensorView dense(const void* data, Dtype dtype, std::initializer_list<std::int64_t> shape);
  /// A view with explicit strides in elements, as many as there are dimensions.
  static VARLEN_API TensorView strided(const void* data, Dtype dtype, std::initializer_list<std::int64_t> shape,
                                       std::initializer_list<std::int64_t> strides);
};

}  // namespace varlen
