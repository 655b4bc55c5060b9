// Reading and writing structs whose size the caller states, and turning them into the C++ types.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>

#include "varlen.h"
#include "varlen/attention.hpp"
#include "varlen/batch.hpp"
#include "varlen/device.hpp"
#include "varlen/error.hpp"
#include "varlen/plan.hpp"

struct varlen_plan {
  varlen::Plan plan;
};

namespace varlen::c_api {

// One byte past `member` of `type`: what a caller's struct_size must reach. (Members that point to structs make the
// lint suspect a forgotten dereference.)
#define VARLEN_END_OF(type, member) \
  (offsetof(type, member) + sizeof(type::member))  // NOLINT(bugprone-sizeof-expression)

[[noreturn]] inline void refuse(const std::string& field, const std::string& value, const std::string& rule) {
  throw Error(ErrorCode::kInvalidArgument, field, Error::kNoIndex, value, fmt::format("{} = {}{}", field, value, rule));
}

inline void require_pointer(const void* pointer, const char* name) {
  if (pointer == nullptr) refuse(name, "null", ": a pointer is required");
}

/// The size that the caller states, checked: at least `required`, and not so large that it must be garbage.
template <typename Struct>
std::size_t stated_size(const Struct* given, std::size_t required, const char* name) {
  static_assert(std::is_trivially_copyable_v<Struct>);
  constexpr std::size_t kRoomToGrow = 4096;
  require_pointer(given, name);
  const std::size_t size = given->struct_size;
  const std::string field = fmt::format("{}.struct_size", name);
  if (size < required) {
    refuse(field, fmt::to_string(size), fmt::format(" is less than the {} bytes of the required fields", required));
  }
  if (size > sizeof(Struct) + kRoomToGrow) {
    refuse(field, fmt::to_string(size), fmt::format(" cannot be: this library's struct has {} bytes", sizeof(Struct)));
  }
  return size;
}

/// The caller's struct over `defaults`: fields beyond its size keep them. Fields that only a newer header has must be
/// zero.
template <typename Struct>
Struct read_struct(const Struct* given, std::size_t required, const char* name, const Struct& defaults) {
  const std::size_t size = stated_size(given, required, name);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::size_t byte = sizeof(Struct); byte < size; ++byte) {
    if (bytes[byte] != 0) {
      throw Error(ErrorCode::kUnsupported, fmt::format("{}.struct_size", name), Error::kNoIndex, fmt::to_string(size),
                  fmt::format("{}.struct_size = {}: a field past the {} bytes that this library knows is set", name,
                              size, sizeof(Struct)));
    }
  }
  Struct result = defaults;
  std::memcpy(&result, given, std::min(size, sizeof(Struct)));
  return result;
}

/// Writes as much of `value` as the caller's struct has room for; its struct_size stays.
template <typename Struct>
void write_struct(Struct* given, std::size_t required, const char* name, Struct value) {
  const std::size_t size = stated_size(given, required, name);
  value.struct_size = size;
  std::memcpy(given, &value, std::min(size, sizeof(Struct)));
}

Batch to_batch(const varlen_batch* given);
/// The same without requests: throws Error if there are any.
AttentionSpec to_spec(const varlen_batch* given);
Backend to_backend(int given);
GpuKernel to_kernel(int given, const char* name);
/// Null: the defaults.
RunOptions to_run_options(const varlen_run_options* given);
Limits to_limits(const varlen_limits* given);
Requests to_requests(const varlen_requests* given);
DeviceRequests to_device_requests(const varlen_device_requests* given);
/// Null: the defaults.
DevicePlanOptions to_device_plan_options(const varlen_device_plan_options* given);
Tensors to_tensors(const varlen_tensors* given);
PlanTarget to_target(const varlen_plan_target* given);

void from_target(const PlanTarget& target, varlen_plan_target* given);
void from_support(const SpecSupport& support, varlen_kernel_choice* given);
void from_choice(const KernelChoice& choice, varlen_kernel_choice* given);
void from_device(const DeviceInfo& info, varlen_device* given);
void from_build(const BuildInfo& info, varlen_build* given);
void from_item(const WorkItem& item, varlen_work_item* given);
void from_report(const PlanReport& report, varlen_report* given);

}  // namespace varlen::c_api
