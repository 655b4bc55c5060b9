#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "check/random_bits.hpp"
#include "checks.hpp"
#include "output_image.hpp"
#include "placed_case.hpp"
#include "plan/device_plan_check.hpp"
#include "score.hpp"
#include "varlen/device.hpp"

namespace varlen::gpu_check {
namespace {

constexpr std::int64_t kArenaBytes = std::int64_t{1} << 28;

/// What all batches of one graph have in common. Its tensors hold what the limits allow.
struct GraphCase {
  std::string name;
  Limits limits;
  std::int64_t page_size = 0;
  bool batch_invariant = false;
  bool fp8 = false;
};

std::vector<GraphCase> graph_cases(std::int64_t shrink_by) {
  const std::int64_t tokens = 64 * std::max<std::int64_t>(1, 100 / shrink_by);
  return {{"lengths of any size", {40, tokens, 2 * tokens, 0, 0}},
          {"limited lengths, on pages", {40, tokens, 2 * tokens, tokens / 4, tokens / 2}, 16},
          {"batch-invariant", {40, tokens, 2 * tokens, 0, 0}, 0, true},
          // Or the host's plans of short requests would run on another kernel than the graph (kDecodingRows).
          {"fp8 with scales, batch-invariant", {40, tokens, 2 * tokens, 0, 0}, 0, true, true}};
}

/// The tensors of a graph, as those of one request that is as long as the limits allow.
check::Case tensors_case(const GraphCase& graph) {
  check::Case test;
  test.name = graph.name;
  test.query_lengths = {graph.limits.query_tokens};
  test.key_lengths = {graph.limits.key_tokens};
  test.page_size = graph.page_size;
  test.query_heads = 8;
  test.kv_heads = 2;
  test.head_dim_qk = test.head_dim_vo = 128;
  test.input_dtype = graph.fp8 ? Dtype::kFloat8E4M3 : Dtype::kBFloat16;
  test.output_dtype = Dtype::kBFloat16;
  test.mask = Mask::causal();
  test.batch_invariant = graph.batch_invariant;
  test.layout.spare_pages = 0;
  test.seed = 1;
  return test;
}

/// Offsets of both sides; of paged keys, lengths.
struct Lengths {
  std::vector<std::int32_t> query;
  std::vector<std::int32_t> key;
};

/// A random batch within the limits, some empty. Rows past its end are nobody's.
Lengths random_lengths(const GraphCase& graph, check::RandomBits& random) {
  const Limits& limits = graph.limits;
  const std::int64_t requests = random.one_in(12) ? 0 : random.log_between(1, limits.requests);
  const auto longest = [&](std::int64_t tokens, std::int64_t limit) {
    return std::min(limit > 0 ? limit : tokens, tokens / std::max<std::int64_t>(1, requests / 4));
  };
  const bool decode = random.one_in(3);
  Lengths lengths{{0}, {}};
  if (graph.page_size == 0) lengths.key = {0};
  std::int64_t queries_left = limits.query_tokens;
  std::int64_t keys_left = limits.key_tokens;
  for (std::int64_t r = 0; r < requests; ++r) {
    const auto draw = [&](std::int64_t most, std::int64_t left) {
      return std::min(left, random.one_in(8) ? 0 : random.log_between(1, std::max<std::int64_t>(1, most)));
    };
    const std::int64_t keys = draw(longest(limits.key_tokens, limits.key_length), keys_left);
    const std::int64_t queries =
        decode ? std::min<std::int64_t>(1, queries_left)
               : std::min(keys, draw(longest(limits.query_tokens, limits.query_length), queries_left));
    queries_left -= queries;
    keys_left -= keys;
    lengths.query.push_back(lengths.query.back() + static_cast<std::int32_t>(queries));
    lengths.key.push_back((graph.page_size > 0 ? 0 : lengths.key.back()) + static_cast<std::int32_t>(keys));
  }
  return lengths;
}

class GraphCheck {
 public:
  GraphCheck(Machine& machine, Memory& memory, const GraphCase& graph, GpuKernel gpu_kernel)
      : machine_(machine),
        memory_(memory),
        graph_(graph),
        gpu_kernel_(gpu_kernel),
        placed_(tensors_case(graph), machine, memory, 3),
        spec_(placed_.batch()),
        random_(static_cast<std::uint64_t>(graph.limits.key_length) + 1) {
    target_ = machine.target(placed_.batch(), gpu_kernel);
    plan_.emplace(spec_, graph.limits, target_,
                  DevicePlanOptions{.backend = machine.backend(), .device = machine.device()});
    placed_.write_inputs(oracle::Pattern::kPoison);
    place_block_table();
    if (graph.fp8) place_scales();
    const std::int64_t requests = graph.limits.requests;
    query_ = place<std::int32_t>(requests + 1);
    key_ = place<std::int32_t>(requests + 1);
    count_ = place<std::int32_t>(1);
    workspace_ = place_workspace(workspace_bytes(*plan_));
  }

  /// Many batches of lengths on the host, one behind the other without waiting: the host is far ahead of the device,
  /// and must not write lengths where the device still reads others.
  std::string check_host_lengths(int rounds) {
    std::vector<Lengths> lengths;
    for (const int output : {1, 2}) {
      Lengths drawn = random_lengths(graph_, random_);
      while (drawn.query.back() == 0) drawn = random_lengths(graph_, random_);
      lengths.push_back(std::move(drawn));
      placed_.clear_output(output);
      compute(make_plan(batch_of(lengths.back()), target_), std::ssize(lengths.back().query) - 1, output);
    }
    constexpr int kSame = 4;  // as many in turn as there are places for lengths: each place changes hands every time
    for (int i = 0; i < rounds; ++i) {
      const int which = i / kSame % 2;
      placed_.clear_output(0);
      attention(*plan_, static_cast<const Requests&>(batch_of(lengths[static_cast<std::size_t>(which)])),
                tensors(0, graph_.limits.requests), workspace_, options());
      for (const bool lse : {false, true}) {
        machine_.note_difference(placed_.output_rows(0, lse), placed_.output_region(1 + which, lse), nullptr);
      }
    }
    return machine_.difference_found() < 0 ? ""
                                           : "lengths of the host, without waiting: other bits than the host's plan";
  }

  /// Replays one graph `count` times.
  std::string run(std::int64_t count) {
    const auto replays = static_cast<int>(count);
    std::string finding;
    const std::string failure = machine_.captured([&](void* stream) { launch(stream); }, replays,
                                                  [&](int replay) {
                                                    if (replay > 0 && finding.empty())
                                                      finding = check_replay(replay - 1);
                                                    prepare(replay == replays / 2);
                                                  });
    if (!failure.empty()) return "as a graph: " + failure;
    return finding.empty() ? check_replay(replays - 1) : finding;
  }

 private:
  template <class T>
  T* place(std::int64_t count) {
    return reinterpret_cast<T*>(memory_.place(count * static_cast<std::int64_t>(sizeof(T)), sizeof(T)).data);
  }
  Workspace place_workspace(std::int64_t bytes) {
    constexpr std::int64_t kAlignment = 64;
    return {memory_.place(bytes, kAlignment).data, bytes};
  }

  /// Any pages of the pool, of every request.
  void place_block_table() {
    if (graph_.page_size == 0) return;
    const std::int64_t pages = graph_.limits.key_length / graph_.page_size + 1;
    std::vector<std::int32_t> table(static_cast<std::size_t>(graph_.limits.requests * pages));
    for (std::int32_t& page : table) {
      page = static_cast<std::int32_t>(random_.below(graph_.limits.key_tokens / graph_.page_size));
    }
    auto* const there = place<std::int32_t>(std::ssize(table));
    machine_.upload(there, table.data(), std::ssize(table) * 4);
    table_ = machine_.here(TensorView::dense(there, Dtype::kInt32, {graph_.limits.requests, pages}));
  }
  /// Of as many requests as the limits allow.
  void place_scales() {
    for (TensorView& scale : scales_) {
      const std::int64_t heads = spec_.kv_heads;
      std::vector<float> values(static_cast<std::size_t>(graph_.limits.requests * heads));
      for (float& value : values) value = static_cast<float>((0.25 + random_.unit()) * (random_.one_in(4) ? -1 : 1));
      auto* const there = place<float>(std::ssize(values));
      machine_.upload(there, values.data(), std::ssize(values) * 4);
      scale = machine_.here(TensorView::dense(there, Dtype::kFloat32, {graph_.limits.requests, heads}));
    }
  }
  /// For a batch of so many requests.
  Tensors tensors(int output, std::int64_t requests) const {
    Tensors tensors = placed_.tensors(output);
    if (table_.present()) tensors.block_table = table_;
    TensorView* const scales[] = {&tensors.query_scale, &tensors.key_scale, &tensors.value_scale};
    for (std::size_t i = 0; i < scales_.size(); ++i) *scales[i] = scales_[i];
    for (TensorView* view : {&tensors.block_table, scales[0], scales[1], scales[2]}) {
      if (view->present()) view->shape[0] = requests;
    }
    return tensors;
  }
  RunOptions options(void* stream = nullptr) const {
    return {.backend = machine_.backend(), .kernel = gpu_kernel_, .stream = stream};
  }

  void launch(void* stream) const {
    DeviceRequests lengths;
    lengths.query_indptr = query_;
    (graph_.page_size > 0 ? lengths.key_lengths : lengths.key_indptr) = key_;
    lengths.request_count = count_;
    plan_->update(lengths, stream);
    const auto run = [&] { varlen::run(*plan_, tensors(0, graph_.limits.requests), workspace_, options(stream)); };
    try {
      run();
    } catch (const Error&) {  // where nothing is captured, as in the emulator, the planner has reported by now
      run();
    }
  }

  /// The next batch for launch(). `spoiled`: with an offset that is wrong.
  void prepare(bool spoiled) {
    lengths_ = random_lengths(graph_, random_);
    if (spoiled) lengths_.query = {0, 5, 4};
    if (spoiled) lengths_.key = graph_.page_size > 0 ? std::vector<std::int32_t>{5, 5} : lengths_.query;
    const auto requests = static_cast<std::int32_t>(lengths_.query.size() - 1);
    machine_.upload(query_, lengths_.query.data(), std::ssize(lengths_.query) * 4);
    machine_.upload(key_, lengths_.key.data(), std::ssize(lengths_.key) * 4);
    machine_.upload(count_, &requests, 4);
    for (const int output : {0, 1}) placed_.clear_output(output);
    if (spoiled) make_old(machine_, placed_, 0);
  }

  /// What is wrong with the outputs of the batch that was prepared last; empty if nothing is.
  std::string check_replay(int replay) {
    const Batch batch = batch_of(lengths_);
    const std::optional<Error> status = plan_->status();
    std::string finding;
    try {
      const Plan host = make_plan(batch, target_);
      finding = status ? std::string("refused: ") + status->what() : plan_test::difference(*plan_, host);
      compute(host, std::ssize(lengths_.query) - 1, 1);
    } catch (const Error& error) {
      const bool refused = status && std::string(status->what()) == error.what();
      finding = refused ? find_number(machine_, placed_, 0) : "not refused with " + std::string(error.what());
      return finding.empty() ? finding : fmt::format("replay {}: {}", replay, finding);
    }
    for (const bool lse : {false, true}) {
      if (!finding.empty()) break;
      const std::int64_t at = machine_.first_difference(placed_.output_rows(0, lse), placed_.output_region(1, lse));
      if (at >= 0) finding = placed_.describe_element(lse, at) + " differs from that of the host's plan";
    }
    for (int output = 0; finding.empty() && output < 2; ++output) finding = placed_.stray_writes(output);
    if (finding.empty()) return finding;
    return fmt::format("replay {}, {} requests: {}", replay, lengths_.query.size() - 1, finding);
  }

  Batch batch_of(const Lengths& lengths) const {
    Batch batch{spec_, {}};
    batch.query_indptr = lengths.query;
    (graph_.page_size > 0 ? batch.key_lengths : batch.key_indptr) = lengths.key;
    return batch;
  }

  void compute(const Plan& host, std::int64_t requests, int output) {
    const Plan plan = machine_.prepared(host);
    const std::int64_t bytes = workspace_bytes(plan, machine_.backend());
    if (bytes > workspace_.bytes) throw std::runtime_error("the workspace of the limits is too small");
    varlen::run(plan, tensors(output, requests), workspace_, options());
    machine_.wait();
  }

  Machine& machine_;
  Memory& memory_;
  const GraphCase graph_;
  const GpuKernel gpu_kernel_;
  PlacedCase placed_;
  AttentionSpec spec_;
  PlanTarget target_;
  check::RandomBits random_;
  std::optional<DevicePlan> plan_;
  TensorView table_;
  std::array<TensorView, 3> scales_;  // of queries, keys, values; of fp8 only
  std::int32_t* query_ = nullptr;
  std::int32_t* key_ = nullptr;
  std::int32_t* count_ = nullptr;
  Workspace workspace_;
  Lengths lengths_;
};

}  // namespace

Outcome check_graph(Machine& machine, const Options& options) {
  Score score(options);
  Arena arena(machine, kArenaBytes);
  for (const GraphCase& graph : graph_cases(options.shrink_by)) {
    for (const GpuKernel gpu_kernel : options.gpu_kernels) {
      const bool usable = score.attempt(fmt::format("graph: {} on {}", graph.name, name_of(gpu_kernel)), [&] {
        arena.clear();
        GraphCheck check(machine, arena, graph, gpu_kernel);
        const std::string finding =
            check.check_host_lengths(static_cast<int>(std::min<std::int64_t>(options.count, 40)));
        return finding.empty() ? check.run(options.count) : finding;
      });
      if (!usable) return score.finish();
    }
  }
  return score.finish();
}

}  // namespace varlen::gpu_check
