#include "check/run_case.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "check/compare.hpp"
#include "check/device_tensors.hpp"
#include "check/guarded_memory.hpp"
#include "check/problem.hpp"
#include "varlen/attention.hpp"
#include "varlen/device.hpp"
#include "varlen/error.hpp"

namespace varlen::check {
namespace {

constexpr std::size_t kWorkspaceAlignment = 64;

/// Runs the plan. The kernel that is launched must be the one that explain() names.
std::string run_explained(const Plan& plan, const Tensors& tensors, const Workspace& workspace, RunOptions options) {
  const KernelChoice choice = explain(plan, tensors, options);
  std::string launched;
  options.launched = &launched;
  run(plan, tensors, workspace, options);
  if (launched == choice.kernel) return {};
  return fmt::format("'{}' was launched, and explain() says '{}': {}", launched, choice.kernel, choice.reason);
}

std::string run_plan(const Case& test, const Batch& batch, const Tensors& tensors, const RunOptions& options) {
  const Plan plan = make_plan(batch, test.target);
  const std::int64_t bytes = workspace_bytes(plan, options.backend);
  if (test.max_workspace >= 0 && bytes > test.max_workspace) {
    return fmt::format("workspace_bytes = {} is more than {}", bytes, test.max_workspace);
  }
  GuardedMemory workspace(static_cast<std::size_t>(bytes), kWorkspaceAlignment, GuardedMemory::Side::kBack);
  std::fill_n(workspace.data(), bytes, std::byte{0xFF});  // NaN: a slot read before it is written shows
  std::string other_kernel = run_explained(plan, tensors, Workspace{workspace.data(), bytes}, options);
  if (!other_kernel.empty()) return other_kernel;
  return workspace.canaries_intact() ? std::string() : std::string("bytes beside the workspace changed");
}

/// Bytes of device memory, all ones: NaN, so that a slot read before it is written shows.
DeviceMemory poisoned_memory(std::int64_t bytes) {
  DeviceMemory memory(bytes);
  const std::vector<std::byte> ones(static_cast<std::size_t>(bytes), std::byte{0xFF});
  copy_to_device(memory.data(), ones.data(), bytes);
  return memory;
}

/// The same on a device. A plan that was made for another machine runs there too.
std::string run_on_device(const Case& test, const Batch& batch, const Tensors& host, const RunOptions& options) {
  const RaggedBatch ragged = canonical(batch);
  DeviceTensors on_device(ragged, host, 0);
  if (test.one_call) {
    attention(batch, on_device.tensors(), Backend::kCuda);
  } else {
    const Plan plan = to_device(make_plan(batch, test.target));
    const std::int64_t bytes = workspace_bytes(plan);
    if (test.max_workspace >= 0 && bytes > test.max_workspace) {
      return fmt::format("workspace_bytes = {} is more than {}", bytes, test.max_workspace);
    }
    const DeviceMemory workspace = poisoned_memory(bytes);
    std::string other_kernel = run_explained(plan, on_device.tensors(), Workspace{workspace.data(), bytes}, options);
    synchronize();
    if (!other_kernel.empty()) return other_kernel;
  }
  return on_device.copy_back();
}

/// The first request, other than the spoiled one, whose outputs differ; −1 if none.
std::int64_t first_difference(const Case& test, const Problem& a, const Problem& b) {
  for (std::size_t i = 0; i < test.query_lengths.size(); ++i) {
    const auto r = static_cast<std::int64_t>(i);
    if (r != test.spoiled_request && a.output_bytes(r) != b.output_bytes(r)) return r;
  }
  return -1;
}

template <typename T>
std::vector<T> slice(const std::vector<T>& values, std::int64_t begin, std::int64_t count) {
  if (values.empty()) return {};
  return std::vector<T>(values.begin() + begin, values.begin() + begin + count);
}

/// The request computed alone must have the bits that it has among the others.
std::string check_solo(const Case& test, const CaseData& data, const Compute& compute, const Problem& among_others) {
  const auto r = static_cast<std::size_t>(test.solo_request);
  Case solo = test;
  solo.query_lengths = {test.query_lengths[r]};
  solo.key_lengths = {test.key_lengths[r]};
  solo.layout.packed_qkv = test.layout.packed_qkv && test.query_lengths[r] == test.key_lengths[r];
  const std::int64_t query_width = std::int64_t{test.query_heads} * test.head_dim_qk;
  const std::int64_t key_width = std::int64_t{test.kv_heads} * test.head_dim_qk;
  const std::int64_t value_width = std::int64_t{test.kv_heads} * test.head_dim_vo;
  const std::int64_t first_query = running_sum(test.query_lengths)[r];
  const std::int64_t first_key = running_sum(test.key_lengths)[r];
  const std::int64_t first_scale = test.solo_request * test.kv_heads;
  CaseData alone;
  alone.query = slice(data.query, first_query * query_width, test.query_lengths[r] * query_width);
  alone.key = slice(data.key, first_key * key_width, test.key_lengths[r] * key_width);
  alone.value = slice(data.value, first_key * value_width, test.key_lengths[r] * value_width);
  alone.sinks = data.sinks;
  alone.query_scale = slice(data.query_scale, first_scale, test.kv_heads);
  alone.key_scale = slice(data.key_scale, first_scale, test.kv_heads);
  alone.value_scale = slice(data.value_scale, first_scale, test.kv_heads);
  const Problem problem(solo, alone, Surroundings::kClean);
  if (std::string failure = compute(solo, problem.batch(), problem.tensors()); !failure.empty()) return failure;
  if (problem.output_bytes(0) == among_others.output_bytes(test.solo_request)) return {};
  return fmt::format("batch_invariant: request {} has other bits when it is computed alone", test.solo_request);
}

/// Of the items whose rows do not see all keys of their request, one that the seed chooses; null if there are none.
std::optional<WorkItem> item_with_hidden_keys(const Case& test, const Plan& plan) {
  const std::int64_t items = plan.item_count();
  for (std::int64_t i = 0; i < items; ++i) {
    const WorkItem item = plan.item((static_cast<std::int64_t>(test.seed % 1024) + i) % items);
    const auto request = static_cast<std::size_t>(item.request);
    const ShownKeys shown = shown_keys(test, request, item.query_begin, item.query_begin + item.query_count);
    if (shown.begin > 0 || shown.end < test.key_lengths[request]) return item;
  }
  return std::nullopt;
}

/// Keys that no row of a tile sees must not count for it, even if other rows of the request see them.
std::string check_hidden_from_tile(const Case& test, const CaseData& data, const Compute& compute,
                                   const Problem& clean) {
  if (test.one_call) return {};  // whose tiles are not known here
  const std::optional<WorkItem> item = item_with_hidden_keys(test, make_plan(clean.batch(), test.target));
  if (!item) return {};
  std::vector<ShownKeys> shown = shown_keys(test);
  shown[static_cast<std::size_t>(item->request)] = shown_keys(test, static_cast<std::size_t>(item->request),
                                                              item->query_begin, item->query_begin + item->query_count);
  Case spared = test;
  spared.spoiled_request = -1;
  const Problem hidden(spared, data, Surroundings::kPoisoned, std::move(shown));
  if (std::string failure = compute(test, hidden.batch(), hidden.tensors()); !failure.empty()) return failure;
  const Problem::RowBlock rows{item->request, item->query_begin, item->query_count, item->query_head_begin,
                               item->query_head_count};
  if (hidden.output_bytes(rows) == clean.output_bytes(rows)) return {};
  return fmt::format(
      "request {}, query rows {} to {}, heads {} to {}: other bits when keys that none of them sees are poison",
      item->request, rows.token_begin, rows.token_begin + rows.token_count - 1, rows.head_begin,
      rows.head_begin + rows.head_count - 1);
}

std::string check(const Case& test, const Expectation& expected, const Compute& compute, bool rounded_weights,
                  Comparison& comparison) {
  Problem clean(test, expected.data, Surroundings::kClean);
  if (std::string failure = compute(test, clean.batch(), clean.tensors()); !failure.empty()) return failure;
  comparison = compare(canonical(clean.batch()), clean.tensors(), expected.result, rounded_weights);
  if (!comparison.passed()) {
    return fmt::format("{} ({} of {} rows wrong)", comparison.first_failure, comparison.failed_rows, comparison.rows);
  }
  if (comparison.spoiled_rows > 0) return "the case's data make the reference NaN";
  if (std::string failure = clean.stray_writes(); !failure.empty()) return failure;

  Problem poisoned(test, expected.data, Surroundings::kPoisoned);
  if (std::string failure = compute(test, poisoned.batch(), poisoned.tensors()); !failure.empty()) return failure;
  if (const std::int64_t request = first_difference(test, clean, poisoned); request >= 0) {
    return fmt::format(
        "request {} has other bits when NaN, Inf and huge values lie around its data and in keys that it does not see",
        request);
  }
  if (std::string failure = poisoned.stray_writes(); !failure.empty()) return failure + " (among poison)";
  if (std::string failure = check_hidden_from_tile(test, expected.data, compute, clean); !failure.empty()) {
    return failure;
  }
  if (test.solo_request >= 0) return check_solo(test, expected.data, compute, clean);
  return {};
}

// What the exception in flight says about the case. Where memory ends nothing is learnt about the backend, and all
// checks end with that error.
std::string failure_in_flight() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kOutOfMemory) throw;
    return error.what();
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

Compute compute_with(Backend backend, GpuKernel kernel, const EmulatorOptions& emulator) {
  return [backend, options = RunOptions{.backend = backend, .kernel = kernel, .emulator = emulator}](
             const Case& test, const Batch& batch, const Tensors& tensors) -> std::string {
    if (backend == Backend::kCuda) return run_on_device(test, batch, tensors, options);
    if (!test.one_call && backend != Backend::kReference) return run_plan(test, batch, tensors, options);
    if (options.emulator != EmulatorOptions{}) {  // attention() has no options; this is its plan
      Case planned = test;
      planned.target = PlanTarget::h100();
      return run_plan(planned, batch, tensors, options);
    }
    attention(batch, tensors, backend);
    return {};
  };
}

Expectation expect(const Case& test) {
  Expectation expected;
  try {
    expected.data = make_data(test);
    const Problem problem(test, expected.data, Surroundings::kClean);
    expected.result = reference::attention(canonical(problem.batch()), problem.tensors());
  } catch (const std::exception&) {
    expected.failure = failure_in_flight();
  }
  return expected;
}

CaseResult run_case(const Case& test, const Expectation& expected, const Compute& compute, bool rounded_weights) {
  CaseResult result;
  try {
    result.failure = expected.failure;
    if (result.failure.empty()) result.failure = check(test, expected, compute, rounded_weights, result.comparison);
  } catch (const EmulatorFault& fault) {
    result.failure = fault.what();
    result.events = fault.events();
  } catch (const std::exception&) {
    result.failure = failure_in_flight();
  }
  return result;
}

}  // namespace varlen::check
