#include "backend/cuda/device_memory_check.hpp"

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "batch/refuse.hpp"
#include "batch/tensor_fields.hpp"

namespace varlen::cuda {
namespace {

bool has_elements(const TensorView& view) {
  return view.present() &&
         std::all_of(view.shape.begin(), view.shape.begin() + view.rank, [](auto size) { return size > 0; });
}

/// `name` and `part` make the field of the interface.
void check_address(const char* name, const char* part, const void* address, std::int32_t device) {
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, address) != cudaSuccess) {
    cudaGetLastError();  // or the next launch would report it
    attributes.type = cudaMemoryTypeUnregistered;
  }
  std::string memory = "not memory of CUDA";  // an address of the host, or of nothing
  switch (attributes.type) {
    case cudaMemoryTypeManaged:
      return;
    case cudaMemoryTypeDevice:
      if (attributes.device == device) return;
      memory = fmt::format("memory of CUDA device {}", attributes.device);
      break;
    case cudaMemoryTypeHost:
      memory = "page-locked memory of the host";
      break;
    default:
      break;
  }
  refuse(fmt::format("{}{}", name, part), Error::kNoIndex, memory, "where memory of CUDA device {} is needed", device);
}

}  // namespace

void check_device_memory(const Tensors& tensors, const Workspace& workspace, std::int32_t device) {
  for (const TensorField& field : kTensorFields) {
    const TensorView& view = tensors.*field.view;
    if (has_elements(view)) check_address(field.name, ".data", view.data, device);
  }
  if (workspace.bytes > 0) check_address("workspace", ".data", workspace.data, device);
}

void check_device_memory(const char* field, const void* address, std::int32_t device) {
  check_address(field, "", address, device);
}

void check_device_memory(const DeviceRequests& lengths, std::int32_t device) {
  const std::pair<const char*, const void*> arrays[] = {{".query_indptr", lengths.query_indptr.data()},
                                                        {".query_lengths", lengths.query_lengths.data()},
                                                        {".key_indptr", lengths.key_indptr.data()},
                                                        {".key_lengths", lengths.key_lengths.data()},
                                                        {".request_count", lengths.request_count}};
  for (const auto& [field, data] : arrays) {
    if (data != nullptr) check_address("lengths", field, data, device);
  }
}

}  // namespace varlen::cuda
