// The entry points of varlen.h. Each runs inside guarded(), which no exception leaves.
#include <array>
#include <cstdio>
#include <exception>
#include <new>
#include <stdexcept>
#include <utility>

#include "c_api/structs.hpp"
#include "varlen.h"
#include "varlen/attention.hpp"

struct varlen_plan {
  varlen::Plan plan;
};

namespace {

using varlen::ErrorCode;

static_assert(VARLEN_OK == static_cast<int>(ErrorCode::kOk));
static_assert(VARLEN_INVALID_ARGUMENT == static_cast<int>(ErrorCode::kInvalidArgument));
static_assert(VARLEN_UNSUPPORTED == static_cast<int>(ErrorCode::kUnsupported));
static_assert(VARLEN_OUT_OF_MEMORY == static_cast<int>(ErrorCode::kOutOfMemory));
static_assert(VARLEN_WORKSPACE_TOO_SMALL == static_cast<int>(ErrorCode::kWorkspaceTooSmall));
static_assert(VARLEN_INPUT_OUTPUT == static_cast<int>(ErrorCode::kInputOutput));
static_assert(VARLEN_INTERNAL == static_cast<int>(ErrorCode::kInternal));
static_assert(VARLEN_BACKEND_AUTO == static_cast<int>(varlen::Backend::kAuto));
static_assert(VARLEN_BACKEND_CPU == static_cast<int>(varlen::Backend::kCpu));
static_assert(VARLEN_BACKEND_REFERENCE == static_cast<int>(varlen::Backend::kReference));
static_assert(VARLEN_BACKEND_CUDA == static_cast<int>(varlen::Backend::kCuda));
static_assert(VARLEN_BACKEND_EMULATOR == static_cast<int>(varlen::Backend::kEmulator));

// Fixed room, so that reporting that there is no memory needs none.
struct LastError {
  ErrorCode code = ErrorCode::kOk;
  std::int64_t index = varlen::Error::kNoIndex;
  std::array<char, 1024> message{};
  std::array<char, 64> field{};
  std::array<char, 128> value{};
};
thread_local LastError last_error;

template <std::size_t kSize>
void keep(std::array<char, kSize>& room, const char* text) noexcept {
  std::snprintf(room.data(), room.size(), "%s", text);
}

int fail(ErrorCode code, const char* message, const char* field = "", std::int64_t index = varlen::Error::kNoIndex,
         const char* value = "") noexcept {
  last_error.code = code;
  last_error.index = index;
  keep(last_error.message, message);
  keep(last_error.field, field);
  keep(last_error.value, value);
  return static_cast<int>(code);
}

template <typename Body>
int guarded(Body&& body) noexcept {
  try {
    std::forward<Body>(body)();
    return VARLEN_OK;
  } catch (const varlen::Error& error) {
    return fail(error.code(), error.what(), error.field().c_str(), error.index(), error.value().c_str());
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kOutOfMemory, "out of memory");
  } catch (const std::length_error&) {  // more than any container holds
    return fail(ErrorCode::kOutOfMemory, "out of memory");
  } catch (const std::exception& error) {
    return fail(ErrorCode::kInternal, error.what());
  } catch (...) {
    return fail(ErrorCode::kInternal, "an exception of unknown type");
  }
}

}  // namespace

const char* varlen_version(void) { return VARLEN_VERSION; }

const char* varlen_last_error(void) { return last_error.message.data(); }
int varlen_last_error_code(void) { return static_cast<int>(last_error.code); }
const char* varlen_last_error_field(void) { return last_error.field.data(); }
int64_t varlen_last_error_index(void) { return last_error.index; }
const char* varlen_last_error_value(void) { return last_error.value.data(); }

int varlen_plan_target_named(const char* name, varlen_plan_target* target) {
  return guarded([&] {
    varlen::c_api::require_pointer(name, "name");
    varlen::c_api::from_target(varlen::PlanTarget::named(name), target);
  });
}

int varlen_plan_create(const varlen_batch* batch, const varlen_plan_target* target, varlen_plan** plan) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    *plan = nullptr;
    const varlen::PlanTarget plan_target =
        target == nullptr ? varlen::PlanTarget::cpu(0) : varlen::c_api::to_target(target);
    *plan = new varlen_plan{varlen::make_plan(varlen::c_api::to_batch(batch), plan_target)};
  });
}

void varlen_plan_destroy(varlen_plan* plan) { delete plan; }

int varlen_plan_item_count(const varlen_plan* plan, int64_t* count) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::c_api::require_pointer(count, "count");
    *count = plan->plan.item_count();
  });
}

int varlen_plan_item(const varlen_plan* plan, int64_t index, varlen_work_item* item) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    const std::int64_t count = plan->plan.item_count();
    if (index < 0 || index >= count) {
      varlen::c_api::refuse("index", fmt::to_string(index), fmt::format(" is not among the plan's {} items", count));
    }
    varlen::c_api::from_item(plan->plan.item(index), item);
  });
}

int varlen_plan_report(const varlen_plan* plan, varlen_report* report) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::c_api::from_report(plan->plan.report(), report);
  });
}

int varlen_workspace_bytes(const varlen_plan* plan, int64_t* bytes) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::c_api::require_pointer(bytes, "bytes");
    *bytes = varlen::workspace_bytes(plan->plan);
  });
}

int varlen_run(const varlen_plan* plan, const varlen_tensors* tensors, void* workspace, int64_t workspace_bytes) {
  return guarded([&] {
    varlen::c_api::require_pointer(plan, "plan");
    varlen::run(plan->plan, varlen::c_api::to_tensors(tensors), {workspace, workspace_bytes});
  });
}

int varlen_attention(const varlen_batch* batch, const varlen_tensors* tensors, int backend) {
  return guarded([&] {
    varlen::attention(varlen::c_api::to_batch(batch), varlen::c_api::to_tensors(tensors),
                      static_cast<varlen::Backend>(backend));
  });
}
