// Views of other libraries' tensors: the structs of DLPack (https://dmlc.github.io/dlpack/latest/c_api.html), whose
// layout is the same in all of its versions from 0.2 to 1.x.
#include <cstddef>
#include <cstdint>
#include <string>

#include "c_api/guarded.hpp"
#include "c_api/structs.hpp"
#include "varlen.h"
#include "varlen/tensor.hpp"

namespace varlen::c_api {
namespace {

struct DlTensor {
  void* data;
  std::int32_t device_type;
  std::int32_t device_id;
  std::int32_t ndim;
  std::uint8_t type_code;
  std::uint8_t type_bits;
  std::uint16_t type_lanes;
  const std::int64_t* shape;
  const std::int64_t* strides;  // in elements; null: dense
  std::uint64_t byte_offset;
};
/// What DLManagedTensorVersioned has before its tensor. DLManagedTensor begins with the tensor.
struct DlVersioned {
  std::uint32_t major;
  std::uint32_t minor;
  void* manager_context;
  void (*deleter)(void* self);
  std::uint64_t flags;
  DlTensor tensor;
};
static_assert(sizeof(void*) != 8 || (sizeof(DlTensor) == 48 && offsetof(DlVersioned, tensor) == 32));

constexpr std::uint32_t kMajor = 1;
constexpr std::uint64_t kReadOnly = 1;

struct DlDtype {
  std::uint8_t code;
  std::uint8_t bits;
  Dtype dtype;
};
constexpr DlDtype kDtypes[] = {{0, 32, Dtype::kInt32},     {0, 64, Dtype::kInt64},    {2, 16, Dtype::kFloat16},
                               {2, 32, Dtype::kFloat32},   {4, 16, Dtype::kBFloat16}, {10, 8, Dtype::kFloat8E4M3},
                               {12, 8, Dtype::kFloat8E5M2}};

[[noreturn]] void refuse_part(const char* part, const std::string& value, const std::string& rule) {
  const std::string field = std::string("dlpack.") + part;
  throw Error(ErrorCode::kUnsupported, field, Error::kNoIndex, value, fmt::format("{} = {} {}", field, value, rule));
}

Dtype dtype_of(const DlTensor& tensor) {
  for (const DlDtype& known : kDtypes) {
    if (tensor.type_code == known.code && tensor.type_bits == known.bits && tensor.type_lanes == 1) return known.dtype;
  }
  refuse_part("dtype", fmt::format("({}, {}, {})", tensor.type_code, tensor.type_bits, tensor.type_lanes),
              "is (code, bits, lanes) of no dtype that varlen has");
}

DeviceKind device_of(const DlTensor& tensor) {
  constexpr std::int32_t kCpu = 1;
  constexpr std::int32_t kCuda = 2;
  constexpr std::int32_t kPinned = 3;
  constexpr std::int32_t kManaged = 13;
  if (tensor.device_type == kCpu || tensor.device_type == kPinned) return DeviceKind::kCpu;
  if (tensor.device_type == kCuda || tensor.device_type == kManaged) return DeviceKind::kCuda;
  refuse_part("device_type", fmt::to_string(tensor.device_type), "is neither the host nor a CUDA device");
}

const DlTensor& tensor_in(const void* dlpack, int form, bool& read_only) {
  require_pointer(dlpack, "dlpack");
  if (form == VARLEN_DLPACK_TENSOR || form == VARLEN_DLPACK_MANAGED) return *static_cast<const DlTensor*>(dlpack);
  if (form != VARLEN_DLPACK_VERSIONED) {
    refuse("form", fmt::to_string(form), " is none of VARLEN_DLPACK_TENSOR, _MANAGED and _VERSIONED");
  }
  const auto& versioned = *static_cast<const DlVersioned*>(dlpack);
  if (versioned.major != kMajor) {
    refuse_part("version", fmt::format("{}.{}", versioned.major, versioned.minor),
                "is of another layout than version 1, which varlen knows");
  }
  read_only = (versioned.flags & kReadOnly) != 0;
  return versioned.tensor;
}

varlen_tensor view_of(const DlTensor& given) {
  if (given.ndim < 0 || given.ndim > VARLEN_MAX_RANK) {
    refuse_part("ndim", fmt::to_string(given.ndim), fmt::format("is not from 0 to {}", VARLEN_MAX_RANK));
  }
  if (given.ndim > 0) require_pointer(given.shape, "dlpack.shape");
  const DeviceKind device = device_of(given);
  auto* const data = static_cast<std::byte*>(given.data) + given.byte_offset;
  varlen_tensor tensor = varlen_tensor_dense(data, static_cast<std::int32_t>(dtype_of(given)), given.ndim, given.shape);
  for (std::int32_t i = 0; given.strides != nullptr && i < given.ndim; ++i) tensor.strides[i] = given.strides[i];
  tensor.device = static_cast<std::int32_t>(device);
  tensor.device_index = device == DeviceKind::kCuda ? given.device_id : 0;
  return tensor;
}

}  // namespace
}  // namespace varlen::c_api

int varlen_tensor_from_dlpack(const void* dlpack, int form, varlen_tensor* tensor, int32_t* read_only) {
  namespace c_api = varlen::c_api;
  return c_api::guarded([&] {
    bool is_read_only = false;
    const varlen_tensor view = c_api::view_of(c_api::tensor_in(dlpack, form, is_read_only));
    c_api::write_struct(tensor, VARLEN_END_OF(varlen_tensor, strides), "tensor", view);
    if (read_only != nullptr) *read_only = is_read_only ? 1 : 0;
  });
}
