// What making a plan costs: time, memory, and how both grow with the requests, the heads and the lengths.

#include <benchmark/benchmark.h>
#include <malloc.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trace.hpp"
#include "varlen/plan.hpp"

namespace {

// Counts what make_plan allocates, on this thread and only while asked to: independent of the planner's own figures.
struct Memory {
  bool counting = false;
  std::int64_t live = 0;
  std::int64_t peak = 0;
};
Memory memory;

void release(void* pointer) noexcept {
  if (memory.counting && pointer != nullptr) memory.live -= static_cast<std::int64_t>(malloc_usable_size(pointer));
  std::free(pointer);
}

}  // namespace

void* operator new(std::size_t size) {
  void* pointer = std::malloc(size > 0 ? size : 1);
  if (pointer == nullptr) throw std::bad_alloc();
  if (memory.counting) {
    memory.live += static_cast<std::int64_t>(malloc_usable_size(pointer));
    if (memory.live > memory.peak) memory.peak = memory.live;
  }
  return pointer;
}

void operator delete(void* pointer) noexcept { release(pointer); }
void operator delete(void* pointer, std::size_t /*size*/) noexcept { release(pointer); }

namespace {

using varlen::Batch;
using varlen::Mask;
using varlen::Plan;
using varlen::PlanTarget;
using Lengths = std::vector<std::int64_t>;

Batch batch_of(const Lengths& lengths, std::int32_t query_heads, std::int32_t kv_heads, Mask mask) {
  Batch batch;
  batch.query_lengths = std::span<const std::int64_t>(lengths);
  batch.key_lengths = std::span<const std::int64_t>(lengths);
  batch.query_heads = query_heads;
  batch.kv_heads = kv_heads;
  batch.head_dim_qk = 128;
  batch.mask = mask;
  return batch;
}

/// Lengths as prompts have them: log-normal with a median of 350 tokens. The same ones on every machine.
Lengths prompt_lengths(std::int64_t count) {
  constexpr double kMedian = 350;
  std::mt19937_64 random(1103);
  Lengths lengths;
  for (std::int64_t i = 0; i < count; ++i) {
    // Twelve uniform numbers make one that is normal enough; the library's distributions differ between machines.
    double sum = 0;
    for (int draw = 0; draw < 12; ++draw) sum += static_cast<double>(random() >> 11) * 0x1p-53;
    lengths.push_back(static_cast<std::int64_t>(kMedian * std::exp(sum - 6)) + 1);
  }
  return lengths;
}

void measure(benchmark::State& state, const Batch& batch) {
  const PlanTarget target = PlanTarget::h100();
  for (auto _ : state) {
    Plan plan = varlen::make_plan(batch, target);
    benchmark::DoNotOptimize(plan);
  }
  memory = {true, 0, 0};
  {
    const Plan plan = varlen::make_plan(batch, target);
    memory.counting = false;
    state.counters["bytes"] = static_cast<double>(memory.live);
    state.counters["peak_bytes"] = static_cast<double>(memory.peak);
    state.counters["items"] = static_cast<double>(plan.item_count());
  }
}

void prompts_64(benchmark::State& state, Mask mask) {
  const varlen::bench::Trace trace = varlen::bench::read_trace(std::string(VARLEN_TRACES) + "/prompts_64.json");
  Batch batch = trace.batch();
  batch.mask = mask;
  measure(state, batch);
}

void requests(benchmark::State& state, Mask mask) {
  const Lengths lengths = prompt_lengths(state.range(0));
  measure(state, batch_of(lengths, 32, 8, mask));
  state.SetComplexityN(state.range(0));
}

void heads(benchmark::State& state, Mask mask) {
  const Lengths lengths = prompt_lengths(64);
  const auto kv_heads = static_cast<std::int32_t>(state.range(0));
  measure(state, batch_of(lengths, 4 * kv_heads, kv_heads, mask));
}

void lengths_times(benchmark::State& state, Mask mask) {
  Lengths lengths = prompt_lengths(64);
  for (std::int64_t& length : lengths) length *= state.range(0);
  measure(state, batch_of(lengths, 32, 8, mask));
}

/// One family per mask, so that each gets its own complexity fit.
void register_families() {
  constexpr std::int64_t kWindow = 1024;
  const std::pair<const char*, Mask> masks[] = {
      {"causal", Mask::causal()}, {"full", Mask::full()}, {"window", Mask::causal_window(kWindow)}};
  for (const auto& [name, mask] : masks) {
    const auto add = [&, suffix = std::string("/") + name, kind = mask](const char* family, auto function) {
      return benchmark::RegisterBenchmark((family + suffix).c_str(), function, kind)->Unit(benchmark::kMicrosecond);
    };
    add("prompts_64", prompts_64);
    add("requests", requests)->Arg(2048);
    add("requests", requests)->RangeMultiplier(4)->Range(1 << 10, 1'000'000)->Complexity(benchmark::oN);
    add("heads", heads)->Arg(1)->Arg(2)->Arg(8)->Arg(32)->Arg(128);
    add("lengths_times", lengths_times)->Arg(1)->Arg(10)->Arg(100)->Arg(1000);
  }
}

}  // namespace

int main(int argc, char** argv) {
  register_families();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
