#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "checks.hpp"
#include "computation.hpp"
#include "score.hpp"
#include "varlen/device.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kArenaBytes = std::int64_t{1} << 26;

/// The arguments of one call, right until they are spoiled.
struct Call {
  Plan plan;
  Tensors tensors;
  Workspace workspace;
  RunOptions options;
};

/// What a call must be refused with. An empty value stands for any.
struct Refusal {
  ErrorCode code;
  std::string field;
  std::string value;
};

std::string show(const Error& error) {
  return fmt::format("code {}, field {}, value '{}': {}", static_cast<int>(error.code()), error.field(), error.value(),
                     error.what());
}

/// Empty if `call` is refused so.
std::string refused(const Refusal& wanted, const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    const bool right = error.code() == wanted.code && error.field() == wanted.field &&
                       (wanted.value.empty() ? !error.value().empty() : error.value() == wanted.value) &&
                       std::string(error.what()).find(error.field()) == 0;
    return right ? std::string() : "refused with " + show(error);
  }
  return "not refused";
}

struct BadCall {
  std::string name;
  Refusal refusal;
  std::function<void(Call& call)> spoil;
};

/// Memory that no device knows.
void* host_memory() {
  alignas(256) static std::byte memory[4096];
  return memory;
}

std::byte* moved(void* data, std::int64_t bytes) { return static_cast<std::byte*>(data) + bytes; }

/// Calls of run() whose data are wrong. `workspace`: bytes that the plan needs. `device`: where the plan is, or −1 for
/// the host.
std::vector<BadCall> bad_data(std::int64_t workspace, std::int32_t device) {
  constexpr ErrorCode kInvalid = ErrorCode::kInvalidArgument;
  std::vector<BadCall> calls = {
      {"a workspace that is a byte too small",
       {ErrorCode::kWorkspaceTooSmall, "workspace.bytes", fmt::to_string(workspace - 1)},
       [](Call& call) { --call.workspace.bytes; }},
      {"no workspace", {kInvalid, "workspace.data", "null"}, [](Call& call) { call.workspace.data = nullptr; }},
      {"a workspace that is not aligned",
       {kInvalid, "workspace.data", ""},
       [](Call& call) { call.workspace.data = moved(call.workspace.data, 32); }},
      {"a query that is not aligned",
       {kInvalid, "query.data", ""},
       [](Call& call) { call.tensors.query.data = moved(call.tensors.query.data, 1); }},
      {"an LSE that is not aligned",
       {kInvalid, "lse.data", ""},
       [](Call& call) { call.tensors.lse.data = moved(call.tensors.lse.data, 2); }},
      {"out where the query is",
       {kInvalid, "out.data", ""},
       [](Call& call) { call.tensors.out.data = call.tensors.query.data; }},
      {"a workspace on the query",
       {kInvalid, "workspace.data", ""},
       [](Call& call) {
         const auto query = reinterpret_cast<std::uintptr_t>(call.tensors.query.data);
         call.workspace.data = reinterpret_cast<void*>(query / 64 * 64);
       }},
      {"keys of another dtype",
       {kInvalid, "key.dtype", "fp16"},
       [](Call& call) { call.tensors.key.dtype = Dtype::kFloat16; }},
  };
  if (device < 0) return calls;
  const std::pair<const char*, TensorView Tensors::*> views[] = {
      {"query", &Tensors::query}, {"key", &Tensors::key}, {"value", &Tensors::value},
      {"out", &Tensors::out},     {"lse", &Tensors::lse}, {"block_table", &Tensors::block_table},
      {"sinks", &Tensors::sinks},
  };
  for (const auto& [name, view] : views) {
    calls.push_back({fmt::format("{} in memory of the host", name),
                     {kInvalid, fmt::format("{}.data", name), ""},
                     [view = view](Call& call) { (call.tensors.*view).data = host_memory(); }});
  }
  calls.push_back({"a workspace in memory of the host", {kInvalid, "workspace.data", ""}, [](Call& call) {
                     call.workspace.data = host_memory();
                   }});
  if (device_info(device).compute_major != 10) {
    calls.push_back({"a kernel for Blackwell on another device",
                     {ErrorCode::kUnsupported, "options.kernel", "forward_tcgen05"},
                     [](Call& call) { call.options.kernel = GpuKernel::kTcgen05; }});
  }
  const std::int32_t other = device == 0 ? 1 : 0;
  calls.push_back({"tensors of another device than the plan's",
                   {kInvalid, "query.device_index", fmt::to_string(other)},
                   [other](Call& call) {
                     for (TensorView* view :
                          {&call.tensors.query, &call.tensors.key, &call.tensors.value, &call.tensors.out,
                           &call.tensors.lse, &call.tensors.block_table, &call.tensors.sinks}) {
                       view->device_index = other;
                     }
                   }});
  calls.push_back({"keys of another device than the query",
                   {kInvalid, "key.device_index", fmt::to_string(other)},
                   [other](Call& call) { call.tensors.key.device_index = other; }});
  calls.push_back({"a query that says it is in memory of the host", {kInvalid, "key.device", "1"}, [](Call& call) {
                     call.tensors.query.device = DeviceKind::kCpu;
                   }});
  return calls;
}

/// Batches that no kernel computes, devices that there are not.
void check_unsupported(Score& score, const Batch& good) {
  constexpr ErrorCode kUnsupported = ErrorCode::kUnsupported;
  const auto add = [&](const char* name, const Refusal& refusal, const std::function<void(Batch&)>& change) {
    Batch batch = good;
    change(batch);
    score.attempt(fmt::format("bad-input: a target for {}", name),
                  [&] { return refused(refusal, [&] { device_target(batch, 0); }); });
    score.attempt(fmt::format("bad-input: a plan for {}", name),
                  [&] { return refused(refusal, [&] { to_device(make_plan(batch, PlanTarget::h100()), 0); }); });
  };
  add("fp32 inputs", {kUnsupported, "query_dtype", "fp32"}, [](Batch& batch) { batch.query_dtype = Dtype::kFloat32; });
  add("e5m2 inputs", {kUnsupported, "query_dtype", "fp8_e5m2"},
      [](Batch& batch) { batch.query_dtype = Dtype::kFloat8E5M2; });
  add("a head_dim_vo of 520", {kUnsupported, "head_dim_vo", "520"}, [](Batch& batch) { batch.head_dim_vo = 520; });
  add("pages of 2^31 tokens", {kUnsupported, "page_size", "2147483648"},
      [](Batch& batch) { batch.page_size = std::int64_t{1} << 31; });
  add("a head_dim_qk of 100", {ErrorCode::kInvalidArgument, "head_dim_qk", "100"},
      [](Batch& batch) { batch.head_dim_qk = 100; });
  const Refusal no_such_device{ErrorCode::kInvalidArgument, "device", "99"};
  score.attempt("bad-input: a target for device 99",
                [&] { return refused(no_such_device, [&] { device_target(good, 99); }); });
  score.attempt("bad-input: a plan on device 99",
                [&] { return refused(no_such_device, [&] { to_device(make_plan(good, PlanTarget::h100()), 99); }); });
}

check::Case good_case() {
  check::Case test;
  test.name = "good";
  test.query_lengths = {3, 0, 40, 1};
  test.key_lengths = {900, 5, 40, 2000};
  test.page_size = 16;
  test.query_heads = 8;
  test.kv_heads = 2;
  test.head_dim_qk = test.head_dim_vo = 64;
  test.input_dtype = test.output_dtype = Dtype::kBFloat16;
  test.mask = Mask::causal();
  test.sinks = true;
  test.seed = 3;
  test.target = PlanTarget::h100();  // cuts the long rows: the workspace is needed
  return test;
}

}  // namespace

Outcome check_bad_input(Machine& machine, const Options& options) {
  Score score(options);
  Arena arena(machine, kArenaBytes);
  const bool on_device = machine.backend() == Backend::kCuda;
  PlacedCase placed(good_case(), machine, arena, 1);
  placed.write_inputs(oracle::Pattern::kPoison);
  placed.clear_output(0);
  const GpuKernel gpu_kernel = options.gpu_kernels.front();
  const Computation computation(machine, arena, placed, gpu_kernel);
  const Call good{computation.plan(), placed.tensors(0), computation.workspace(), computation.options()};
  if (good.workspace.bytes == 0) score.fail("bad-input: the plan needs no workspace");

  for (const BadCall& bad : bad_data(good.workspace.bytes, on_device ? machine.device() : -1)) {
    Call call = good;
    bad.spoil(call);
    score.attempt("bad-input: " + bad.name, [&] {
      return refused(bad.refusal, [&] { run(call.plan, call.tensors, call.workspace, call.options); });
    });
  }
  if (on_device) {
    check_unsupported(score, placed.batch());
    const Plan of_host = make_plan(placed.batch(), PlanTarget::h100());
    score.attempt("bad-input: a plan that is not on the device", [&] {
      return refused({ErrorCode::kInvalidArgument, "plan", "host"},
                     [&] { run(of_host, good.tensors, good.workspace, good.options); });
    });
    Call call = good;
    call.tensors.value.data = host_memory();
    score.attempt("bad-input: refused while a graph is captured, which goes on", [&] {
      const std::string failure = machine.captured(
          [&](void* stream) {
            RunOptions captured = call.options;
            captured.stream = stream;
            run(call.plan, call.tensors, call.workspace, captured);
          },
          1);
      return failure.find("value.data") == 0 ? std::string() : "it said: " + failure;
    });
  }
  machine.wait();
  const bool untouched = machine.first_change(placed.output_region(0, false), oracle::Pattern::kUnwritten) < 0 &&
                         machine.first_change(placed.output_region(0, true), oracle::Pattern::kUnwritten) < 0;
  score.add("bad-input: nothing was launched", untouched ? "" : "a result was written");
  score.attempt("bad-input: the same call without a fault", [&] {
    run(good.plan, good.tensors, good.workspace, good.options);
    return first_wrong_row(machine, placed, machine.judge(placed.problem(), nullptr), {gpu_kernel});
  });
  return score.finish();
}

}  // namespace varlen::gpu_check
