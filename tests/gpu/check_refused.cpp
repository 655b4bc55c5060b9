#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checks.hpp"
#include "output_image.hpp"
#include "placed_case.hpp"
#include "score.hpp"
#include "varlen/device.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kArenaBytes = std::int64_t{1} << 25;
constexpr std::int64_t kMostNumber = INT64_MAX;

/// The arrays of a batch; those that are empty are absent.
struct Arrays {
  std::vector<std::int64_t> query_indptr;
  std::vector<std::int64_t> query_lengths;
  std::vector<std::int64_t> key_indptr;
  std::vector<std::int64_t> key_lengths;
  std::int32_t requests = 2;
};

/// Arrays that must be refused, and with which field, index and value.
struct BadLengths {
  const char* name;
  Arrays arrays;
  bool wide;
  const char* field;
  std::int64_t index;
  std::int64_t value;
};

constexpr Limits kLimits{4, 100, 300, 60, 200};

Arrays good_arrays() { return {{0, 10, 30}, {}, {0, 50, 200}, {}}; }

std::vector<BadLengths> bad_lengths() {
  return {
      {"a first offset that is not 0", {{1, 10, 30}, {}, {0, 50, 200}, {}}, false, "query_indptr", 0, 1},
      {"offsets of queries that fall", {{0, 20, 10}, {}, {0, 50, 200}, {}}, false, "query_indptr", 2, 10},
      {"offsets of keys that fall", {{0, 10, 30}, {}, {0, 50, 40}, {}}, false, "key_indptr", 2, 40},
      {"an offset below 0", {{0, -7, 30}, {}, {0, 50, 200}, {}}, false, "query_indptr", 1, -7},
      {"more queries than the limits allow", {{0, 50, 101}, {}, {0, 50, 200}, {}}, false, "query_indptr", 2, 101},
      {"more keys than the limits allow", {{0, 10, 30}, {}, {0, 150, 301}, {}}, false, "key_indptr", 2, 301},
      {"a request of too many queries", {{0, 61, 70}, {}, {0, 100, 200}, {}}, false, "query_lengths", 0, 61},
      {"a request of too many keys", {{0, 10, 30}, {}, {0, 10, 211}, {}}, false, "key_lengths", 1, 201},
      {"the largest offset", {{0, INT32_MAX, 5}, {}, {0, 50, 200}, {}}, false, "query_indptr", 2, 5},
      {"offsets of 64 bits beyond all memory",
       {{0, kMostNumber - 1, kMostNumber}, {}, {0, 50, 200}, {}},
       true,
       "query_indptr",
       2,
       kMostNumber},
      {"a length below 0", {{}, {-1, 5}, {0, 50, 200}, {}}, false, "query_lengths", 0, -1},
      {"a length beyond its range", {{0, 10, 30}, {11, 20}, {0, 50, 200}, {}}, false, "query_lengths", 0, 11},
      {"lengths of too many tokens together", {{}, {60, 41}, {0, 50, 200}, {}}, false, "query_lengths", 1, 41},
      {"fewer requests than none", {{0, 10, 30}, {}, {0, 50, 200}, {}, -1}, false, "requests", -1, -1},
      {"more requests than the limits allow", {{0, 10, 30}, {}, {0, 50, 200}, {}, 5}, false, "requests", -1, 5},
  };
}

struct RefusedCase {
  Dtype output_dtype;
  bool lse;
  std::int64_t token_gap;
  std::int64_t head_gap;
};

/// The tensors that the limits allow, and a few tokens more.
check::Case tensors_case(const RefusedCase& refused) {
  check::Case test;
  test.name = "refused";
  test.query_lengths = {kLimits.query_tokens};
  test.key_lengths = {kLimits.key_tokens};
  test.query_heads = 4;
  test.kv_heads = 2;
  test.head_dim_qk = test.head_dim_vo = 64;
  test.input_dtype = Dtype::kBFloat16;
  test.output_dtype = refused.output_dtype;
  test.mask = Mask::causal();
  test.lse = refused.lse;
  test.layout.tail_tokens = 5;
  test.layout.token_gap = refused.token_gap;
  test.layout.head_gap = refused.head_gap;
  test.seed = 5;
  return test;
}

class RefusedCheck {
 public:
  RefusedCheck(Machine& machine, Memory& memory, const RefusedCase& refused, GpuKernel gpu_kernel)
      : machine_(machine),
        memory_(memory),
        gpu_kernel_(gpu_kernel),
        placed_(tensors_case(refused), machine, memory, 2),
        spec_(placed_.batch()) {
    target_ = machine.target(placed_.batch(), gpu_kernel);
    plan_.emplace(spec_, kLimits, target_, DevicePlanOptions{.backend = machine.backend(), .device = machine.device()});
    placed_.write_inputs(oracle::Pattern::kPoison);
    constexpr std::int64_t kAlignment = 64;
    const std::int64_t bytes = workspace_bytes(*plan_);
    workspace_ = {memory.place(bytes, kAlignment).data, bytes};
    make_old(machine, placed_, 1);
    launch(place(good_arrays(), false), 1, nullptr);
  }

  /// Run before it was ever made.
  std::string check_no_plan() {
    const DevicePlan none(spec_, kLimits, target_, {.backend = machine_.backend(), .device = machine_.device()});
    make_old(machine_, placed_, 0);
    varlen::run(none, placed_.tensors(0), workspace_, options(nullptr));
    return find_number(machine_, placed_, 0);
  }

  /// `replayed`: as a graph, whose replay nobody on the host sees.
  std::string check(const BadLengths& bad, bool replayed) {
    const DeviceRequests lengths = place(bad.arrays, bad.wide);
    make_old(machine_, placed_, 0);
    raised_.clear();
    std::string finding;
    if (replayed) {
      finding = machine_.captured([&](void* stream) { launch(lengths, 0, stream); }, 1, {});
    } else {
      launch(lengths, 0, nullptr);
    }
    machine_.wait();
    if (finding.empty()) finding = find_number(machine_, placed_, 0);
    if (finding.empty()) finding = check_raised(bad);
    // The plan is good again after the next batch, and the report gone.
    if (finding.empty()) finding = check_good();
    return finding;
  }

 private:
  template <class T>
  const T* upload(const std::vector<T>& values) {
    auto* const there = memory_.place(std::ssize(values) * static_cast<std::int64_t>(sizeof(T)), sizeof(T)).data;
    machine_.upload(there, values.data(), std::ssize(values) * static_cast<std::int64_t>(sizeof(T)));
    return reinterpret_cast<const T*>(there);
  }
  DeviceIndices indices(std::vector<std::int64_t> values, bool wide) {
    if (values.empty()) return {};
    // Offsets of more requests than there are here are read up to the limits.
    values.resize(static_cast<std::size_t>(kLimits.requests + 2), values.back());
    if (wide) return upload(values);
    return upload(std::vector<std::int32_t>(values.begin(), values.end()));
  }
  DeviceRequests place(const Arrays& arrays, bool wide) {
    DeviceRequests lengths;
    lengths.query_indptr = indices(arrays.query_indptr, wide);
    lengths.query_lengths = indices(arrays.query_lengths, wide);
    lengths.key_indptr = indices(arrays.key_indptr, wide);
    lengths.key_lengths = indices(arrays.key_lengths, wide);
    lengths.request_count = upload(std::vector<std::int32_t>{arrays.requests});
    return lengths;
  }
  RunOptions options(void* stream) const {
    return {.backend = machine_.backend(), .kernel = gpu_kernel_, .stream = stream};
  }

  /// The planner may have reported by the time of run(), as it always has in the emulator. Then run() raises, and the
  /// next one does what a replayed graph would have done.
  void launch(const DeviceRequests& lengths, int output, void* stream) {
    plan_->update(lengths, stream);
    try {
      varlen::run(*plan_, placed_.tensors(output), workspace_, options(stream));
    } catch (const Error& error) {
      note(error);
      varlen::run(*plan_, placed_.tensors(output), workspace_, options(stream));
    }
  }
  void note(const Error& error) {
    raised_.push_back(fmt::format("{}[{}] = {} (code {})", error.field(), error.index(), error.value(),
                                  static_cast<int>(error.code())));
  }
  /// The next call says what was wrong, once.
  std::string check_raised(const BadLengths& bad) {
    for (int call = 0; call < 2; ++call) {
      try {
        varlen::run(*plan_, placed_.tensors(0), workspace_, options(nullptr));
      } catch (const Error& error) {
        note(error);
      }
    }
    machine_.wait();
    const std::string wanted = fmt::format("{}[{}] = {} (code {})", bad.field, bad.index, bad.value,
                                           static_cast<int>(ErrorCode::kInvalidArgument));
    if (raised_.size() != 1 || raised_.front() != wanted) {
      return fmt::format("raised {} times: {}; expected once: {}", raised_.size(),
                         raised_.empty() ? "nothing" : raised_.front(), wanted);
    }
    const std::optional<Error> status = plan_->status();
    if (!status || status->field() != bad.field) return "status() does not name " + std::string(bad.field);
    return {};
  }
  std::string check_good() {
    raised_.clear();
    make_old(machine_, placed_, 0);
    launch(place(good_arrays(), false), 0, nullptr);
    if (!raised_.empty()) return "a good batch is refused: " + raised_.front();
    for (const bool lse : {false, true}) {
      if (lse && !placed_.test().lse) continue;
      const OutputImage image(machine_, placed_, 0, lse);
      const OutputImage before(machine_, placed_, 1, lse);
      for (std::int64_t token = 0; token < image.tokens(); ++token) {
        const bool owned = token < good_arrays().query_indptr.back();
        if (owned ? image.any_nan(token) || !image.equals(before, token) : !image.is_old(token)) {
          return fmt::format("after a good batch token {} is wrong", token);
        }
      }
      if (!image.gaps_are_old()) return "memory between rows was written";
    }
    return {};
  }

  Machine& machine_;
  Memory& memory_;
  const GpuKernel gpu_kernel_;
  PlacedCase placed_;
  AttentionSpec spec_;
  PlanTarget target_;
  std::optional<DevicePlan> plan_;
  Workspace workspace_;
  std::vector<std::string> raised_;  // by calls since the batch was placed
};

}  // namespace

Outcome check_refused(Machine& machine, const Options& options) {
  Score score(options);
  Arena arena(machine, kArenaBytes);
  const RefusedCase cases[] = {
      {Dtype::kFloat32, true, 0, 0}, {Dtype::kBFloat16, true, 8, 16}, {Dtype::kFloat16, false, 0, 3}};
  const std::size_t count = std::max<std::size_t>(1, std::size(cases) / static_cast<std::size_t>(options.shrink_by));
  for (const RefusedCase& refused : std::span(cases).first(count)) {
    for (const GpuKernel gpu_kernel : options.gpu_kernels) {
      arena.clear();
      const std::string name = fmt::format("refused: {} on {}", dtype_name(refused.output_dtype), name_of(gpu_kernel));
      std::optional<RefusedCheck> check;
      bool usable = score.attempt(name + ", no plan", [&] {
        check.emplace(machine, arena, refused, gpu_kernel);
        return check->check_no_plan();
      });
      for (const BadLengths& bad : bad_lengths()) {
        for (const bool replayed : {false, true}) {
          if (!usable) return score.finish();
          usable = score.attempt(fmt::format("{}, {}{}", name, bad.name, replayed ? ", replayed" : ""),
                                 [&] { return check->check(bad, replayed); });
        }
      }
    }
  }
  return score.finish();
}

}  // namespace varlen::gpu_check
